package interop_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/eddyloop/eddy/internal/closedport"
	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
	"github.com/eddyloop/eddy/tcp"
	"github.com/stretchr/testify/require"
)

// socat sends lines and its end of the stream, and gets every answer, over each
// kind of socket and over TLS.
func TestSocat(t *testing.T) {
	id := newIdentity(t)
	dir, err := os.MkdirTemp("", "eddy")
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	for _, test := range []struct {
		name, network, address, peer string
		srv                          *tcp.Server
	}{
		{"tcp", "tcp4", "127.0.0.1:0", "TCP4:%s", &tcp.Server{Handler: serveLines}},
		{"callback", "tcp4", "127.0.0.1:0", "TCP4:%s", &tcp.Server{Callback: callbackLines}},
		{"unix", "unix", filepath.Join(dir, "s"), "UNIX-CONNECT:%s", &tcp.Server{Handler: serveLines}},
		{"tls", "tcp4", "127.0.0.1:0", "OPENSSL:%s,cafile=" + id.certFile + ",commonname=localhost",
			&tcp.Server{TLS: id.server(), Handler: serveLines}},
	} {
		t.Run(test.name, func(t *testing.T) {
			lines := strings.Repeat("a line of some length, which comes back\n", 50_000)
			if test.name == "callback" || test.name == "tls" { // ends the stream when the flood is out
				lines = "flood\n"
			}
			want := strings.Replace(lines, "flood\n", string(flood), 1)
			addr := serve(t, test.srv, test.network, test.address)
			cmd := needs(t, "socat", "-t", "20", "-", fmt.Sprintf(test.peer, addr))
			cmd.Stdin = strings.NewReader(lines)
			var stderr strings.Builder
			cmd.Stderr = &stderr
			got, err := cmd.Output()
			require.NoError(t, err, stderr.String())
			require.Equal(t, len(want), len(got))
			require.True(t, want == string(got))
		})
	}
}

// nginx stands in front of our server and tells it who the clients are.
func TestNginxProxiesStreams(t *testing.T) {
	const module = "/usr/lib/nginx/modules/ngx_stream_module.so"
	if _, err := os.Stat(module); err != nil {
		t.Skip("no nginx with streams here (on Debian: apt-get install nginx-light libnginx-mod-stream)")
	}
	clients := make(chan string, 10)
	addr := serve(t, &tcp.Server{
		ProxyProtocol: &tcp.ProxyProtocol{Trusted: func(net.Addr) bool { return true }},
		Handler: func(task *ioloop.Task, s *iostream.Stream) error {
			clients <- s.RemoteAddr().String()
			return serveLines(task, s)
		},
	}, "tcp4", "127.0.0.1:0")
	dir := t.TempDir()
	require.NoError(t, os.Chmod(dir, 0o755))
	front := closedport.Free(t)
	config := filepath.Join(dir, "nginx.conf")
	require.NoError(t, os.WriteFile(config, []byte(fmt.Sprintf(`
load_module %s;
daemon off;
master_process off;
pid %s/pid;
error_log stderr;
events {}
stream {
	server {
		listen %s;
		proxy_pass %s;
		proxy_protocol on;
	}
}`, module, dir, front, addr)), 0o600))
	start(t, needs(t, "nginx", "-c", config, "-p", dir))
	for range 3 {
		conn := dialUntil(t, front)
		defer conn.Close()
		require.NoError(t, conn.SetDeadline(time.Now().Add(patience)))
		_, err := io.WriteString(conn, "hello\nflood\n")
		require.NoError(t, err)
		reader := bufio.NewReader(conn)
		line, err := reader.ReadString('\n')
		require.NoError(t, err)
		require.Equal(t, "hello\n", line)
		rest, err := io.ReadAll(reader)
		require.NoError(t, err)
		require.True(t, string(rest) == string(flood))
		require.Equal(t, conn.LocalAddr().String(), <-clients, "not nginx's own address")
	}
}

// start runs a program to the end of the test, and shows what it said if that
// has failed.
func start(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	said := new(bytes.Buffer)
	cmd.Stdout, cmd.Stderr = said, said
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if _ = cmd.Wait(); t.Failed() {
			t.Log(said)
		}
	})
}

// dialUntil connects to a program that may still be starting.
func dialUntil(t *testing.T, addr string) net.Conn {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		conn, err := net.Dial("tcp4", addr)
		if err == nil {
			return conn
		}
		require.True(t, time.Now().Before(end), err)
	}
}
