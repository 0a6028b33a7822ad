package interop_test

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/eddyloop/eddy/internal/leaktest"
	"github.com/eddyloop/eddy/tcp"
	"github.com/stretchr/testify/require"
)

// needs returns a command with the test's patience, or skips the test.
func needs(t *testing.T, name string, args ...string) *exec.Cmd {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("no %s here (on Debian: apt-get install curl socat nginx-light libnginx-mod-stream)", name)
	}
	leaktest.Check(t)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return exec.CommandContext(ctx, path, args...)
}

// serveHTTP runs net/http on a listener of a tcp.Server.
func serveHTTP(t *testing.T, srv *tcp.Server, serve func(*http.Server, net.Listener) error) (port string) {
	t.Helper()
	leaktest.Check(t)
	addr, err := srv.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	listener, err := srv.NetListener()
	require.NoError(t, err)
	web := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Protocol", r.Proto)
		n, _ := io.Copy(io.Discard, r.Body)
		if n > 0 {
			_, _ = io.WriteString(w, strconv.FormatInt(n, 10))
			return
		}
		_, _ = w.Write(flood)
	})}
	served, webbed := make(chan error, 1), make(chan error, 1)
	go func() { served <- srv.Serve(context.Background()) }()
	go func() { webbed <- serve(web, listener) }()
	t.Cleanup(func() {
		require.NoError(t, web.Shutdown(context.Background()))
		require.ErrorIs(t, <-webbed, http.ErrServerClosed)
		require.NoError(t, srv.Close())
		require.ErrorIs(t, <-served, tcp.ErrServerClosed)
	})
	return strconv.Itoa(addr.(*net.TCPAddr).Port)
}

// curl gets 4 MiB and posts 10 MiB on one connection, over HTTP/1.1, over our
// TLS, and over HTTP/2, for which net/http needs a tls.Conn of its own.
func TestCurl(t *testing.T) {
	id := newIdentity(t)
	overOurs := &tls.Config{Certificates: []tls.Certificate{id.cert}, NextProtos: []string{"http/1.1"}}
	for _, test := range []struct {
		name, scheme, option, protocol string
		srv                            *tcp.Server
		serve                          func(*http.Server, net.Listener) error
	}{
		{"plain", "http", "--http1.1", "HTTP/1.1", new(tcp.Server), (*http.Server).Serve},
		{"our TLS", "https", "--http1.1", "HTTP/1.1", &tcp.Server{TLS: overOurs}, (*http.Server).Serve},
		{"HTTP/2", "https", "--http2", "HTTP/2.0", new(tcp.Server), func(web *http.Server, l net.Listener) error {
			return web.ServeTLS(l, id.certFile, id.keyFile)
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			file, got := filepath.Join(dir, "10 MiB"), filepath.Join(dir, "got")
			require.NoError(t, os.WriteFile(file, make([]byte, 10<<20), 0o600))
			port := serveHTTP(t, test.srv, test.serve)
			url := test.scheme + "://localhost:" + port + "/"
			common := []string{"--silent", "--show-error", "--fail", test.option, "--cacert", id.certFile,
				"--resolve", "localhost:" + port + ":127.0.0.1", "--write-out", `%{num_connects} %header{protocol}\n`}
			args := append(append(append([]string{}, common...), "--output", got, url, "--next"), common...)
			args = append(args, "--data-binary", "@"+file, "-H", "Expect:", "--output", got+"2", url)
			out, err := needs(t, "curl", args...).CombinedOutput()
			require.NoError(t, err, "%s", out)
			require.Equal(t, "1 "+test.protocol+"\n0 "+test.protocol+"\n", string(out), "the second on the first's connection")
			body, err := os.ReadFile(got)
			require.NoError(t, err)
			require.True(t, string(body) == string(flood))
			answer, err := os.ReadFile(got + "2")
			require.NoError(t, err)
			require.Equal(t, strconv.Itoa(10<<20), strings.TrimSpace(string(answer)))
		})
	}
}
