package main

import (
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/eddyloop/eddy/examples/internal/trial"
)

const nginxConf = `daemon off; pid %[1]s/pid; error_log %[1]s/error.log;
events {}
http {
	access_log off;
	client_body_temp_path %[1]s/body; proxy_temp_path %[1]s/proxy; fastcgi_temp_path %[1]s/f; uwsgi_temp_path %[1]s/u; scgi_temp_path %[1]s/s;
	server {
		listen %[2]s proxy_protocol;
		root %[1]s/root;
		location = /who { return 200 "$proxy_protocol_addr:$proxy_protocol_port"; }
	}
}`

// start starts nginx and the relay, and returns the relay's address, the file of its
// certificate, and the folder that nginx serves.
func start(t *testing.T) (address, certFile, root string) {
	dir, backend := t.TempDir(), trial.Free(t)
	root, conf := filepath.Join(dir, "root"), filepath.Join(dir, "nginx.conf")
	require.NoError(t, os.Chmod(filepath.Dir(dir), 0o755)) // nginx's workers are another user
	require.NoError(t, os.Chmod(dir, 0o755))
	require.NoError(t, os.Mkdir(root, 0o755))
	require.NoError(t, os.WriteFile(conf, fmt.Appendf(nil, nginxConf, dir, backend), 0o600))
	trial.Background(t, "nginx", "-e", "stderr", "-c", conf)
	trial.Dial(t, backend)
	cert, _, certFile, _ := trial.Certificate(t)
	return trial.Serve(t, newServer(cert, backend)), certFile, root
}

func TestBackendKnowsTheClient(t *testing.T) {
	address, certFile, _ := start(t)
	out := trial.Ask(t, "", "curl", "-sS", "--cacert", certFile, "-w", " %{local_ip}:%{local_port}", "https://"+address+"/who")
	var told, real string
	_, err := fmt.Sscan(out, &told, &real)
	require.NoError(t, err)
	require.Equal(t, real, told)
}

func TestEveryByteArrives(t *testing.T) {
	address, certFile, root := start(t)
	content := make([]byte, 20<<20)
	_, _ = rand.Read(content)
	require.NoError(t, os.WriteFile(filepath.Join(root, "big"), content, 0o644))
	out := trial.Ask(t, "", "curl", "-sS", "--cacert", certFile, "https://"+address+"/big")
	require.True(t, bytes.Equal(content, []byte(out)))
}

// A client that has said everything still gets the answer.
func TestHalfClose(t *testing.T) {
	backend, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer backend.Close()
	go func() {
		conn, err := backend.Accept()
		if err != nil {
			return
		}
		all, _ := io.ReadAll(conn)
		_, header, _ := bytes.Cut(all, []byte("\r\n"))
		_, _ = conn.Write(append([]byte("all of it: "), header...))
		_ = conn.Close()
	}()
	cert, roots, _, _ := trial.Certificate(t)
	conn, err := tls.Dial("tcp", trial.Serve(t, newServer(cert, backend.Addr().String())), &tls.Config{RootCAs: roots})
	require.NoError(t, err)
	defer conn.Close()
	_, err = io.WriteString(conn, "hello")
	require.NoError(t, err)
	require.NoError(t, conn.CloseWrite())
	all, err := io.ReadAll(conn)
	require.NoError(t, err)
	require.Equal(t, "all of it: hello", string(all))
}

func TestNoBackend(t *testing.T) {
	cert, roots, _, _ := trial.Certificate(t)
	conn, err := tls.Dial("tcp", trial.Serve(t, newServer(cert, trial.Free(t))), &tls.Config{RootCAs: roots})
	require.NoError(t, err)
	defer conn.Close()
	_, err = conn.Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF)
}
