//go:build unix || windows

package tcp_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/eddyloop/eddy/internal/leaktest"
	"github.com/eddyloop/eddy/iostream"
	"github.com/eddyloop/eddy/tcp"
	"github.com/stretchr/testify/require"
)

// web is an http.Server on a listener of tcp.Server, and an http.Client on
// streams.
type web struct {
	*http.Server
	url    string
	client *http.Client
	dials  atomic.Int32
	tcp    *tcp.Server
}

func startWeb(t *testing.T, network string, handler http.HandlerFunc, setUp func(*http.Server)) *web {
	t.Helper()
	w := &web{Server: &http.Server{Handler: handler}, tcp: new(tcp.Server)}
	if setUp != nil {
		setUp(w.Server)
	}
	address := "127.0.0.1:0"
	if network == "unix" {
		address = socketPath(t)
	}
	addr, err := w.tcp.Listen(network, address)
	require.NoError(t, err)
	listener, err := w.tcp.NetListener()
	require.NoError(t, err)
	require.Equal(t, addr, listener.Addr())
	served, webbed := make(chan error, 1), make(chan error, 1)
	go func() { served <- w.tcp.Serve(context.Background()) }()
	go func() { webbed <- w.Serve(listener) }()

	l := newLoop(t)
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		w.dials.Add(1)
		s, err := tcp.Dial(ctx, l, network, addr.String())
		if err != nil {
			return nil, err
		}
		return s.NetConn(), nil
	}}
	w.client, w.url = &http.Client{Transport: transport, Timeout: patience}, "http://eddy.test/"
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		require.NoError(t, w.Close())
		require.ErrorIs(t, receive(t, webbed), http.ErrServerClosed)
		require.ErrorIs(t, receive(t, served), tcp.ErrServerClosed)
	})
	return w
}

// echoBody sends while it receives, which net/http wants to be told.
func echoBody(w http.ResponseWriter, r *http.Request) {
	_ = http.NewResponseController(w).EnableFullDuplex()
	_, _ = io.Copy(w, r.Body)
}

// TestHTTP posts small and large bodies over one connection that is kept alive.
func TestHTTP(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			w := startWeb(t, network, echoBody, nil)
			for _, size := range []int{0, 1, 5000, 10 << 20} {
				body := make([]byte, size)
				_, _ = rand.Read(body)
				reply, err := w.client.Post(w.url, "application/octet-stream", bytes.NewReader(body))
				require.NoError(t, err)
				got, err := io.ReadAll(reply.Body)
				require.NoError(t, err)
				require.NoError(t, reply.Body.Close())
				require.True(t, bytes.Equal(body, got), "%d bytes", size)
			}
			require.EqualValues(t, 1, w.dials.Load(), "kept alive")
		})
	}
}

// TestHTTPHijack takes the stream back from net/http.
func TestHTTPHijack(t *testing.T) {
	w := startWeb(t, "tcp", func(w http.ResponseWriter, r *http.Request) {
		conn, buf, err := w.(http.Hijacker).Hijack()
		if err != nil {
			panic(err)
		}
		s := conn.(interface{ Stream() *iostream.Stream }).Stream()
		line, _ := buf.ReadString('\n')
		_, _ = s.Write([]byte("hijacked " + line))
		_ = s.Close()
	}, nil)
	conn := connect(t, w)
	_, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\nearly\n")
	require.NoError(t, err)
	reply, err := io.ReadAll(conn)
	require.NoError(t, err)
	require.Equal(t, "hijacked early\n", string(reply))
}

func connect(t *testing.T, w *web) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", w.tcp.Addrs()[0].String())
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(patience)))
	return conn
}

// TestHTTPTimeouts: the server's deadlines are the streams'.
func TestHTTPTimeouts(t *testing.T) {
	const limit = 30 * time.Millisecond
	w := startWeb(t, "tcp", echoBody, func(s *http.Server) { s.ReadHeaderTimeout = limit })
	eventually(t, func() bool {
		begin := time.Now()
		slow := connect(t, w)
		_, err := io.WriteString(slow, "GET / HTTP/1.1\r\nHo")
		if time.Since(begin) >= limit {
			return false // it came when the connection was closed
		}
		require.NoError(t, err)
		_, err = io.ReadAll(slow)
		require.NoError(t, err, "closed after ReadHeaderTimeout")
		return true
	})

	w = startWeb(t, "tcp", echoBody, func(s *http.Server) { s.ReadHeaderTimeout, s.IdleTimeout = patience, limit })
	idle := connect(t, w)
	_, err := io.WriteString(idle, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	require.NoError(t, err)
	r := bufio.NewReader(idle)
	reply, err := http.ReadResponse(r, nil)
	require.NoError(t, err)
	require.NoError(t, reply.Body.Close())
	_, err = r.ReadByte()
	require.Equal(t, io.EOF, err, "closed after IdleTimeout")
}

// TestHTTPClientGoesAway cancels the request's context on the server.
func TestHTTPClientGoesAway(t *testing.T) {
	started, ended := make(chan struct{}), make(chan struct{})
	w := startWeb(t, "tcp", func(_ http.ResponseWriter, r *http.Request) {
		close(started)
		<-r.Context().Done()
		close(ended)
	}, nil)
	conn := connect(t, w)
	_, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	require.NoError(t, err)
	receive(t, started)
	require.NoError(t, conn.Close())
	receive(t, ended)
}

func TestHTTPClientTimeout(t *testing.T) {
	release := make(chan struct{})
	w := startWeb(t, "tcp", func(http.ResponseWriter, *http.Request) { <-release }, nil)
	defer close(release)
	w.client.Timeout = 20 * time.Millisecond
	_, err := w.client.Get(w.url)
	var timeout net.Error
	require.ErrorAs(t, err, &timeout)
	require.True(t, timeout.Timeout())
}

// TestHTTPShutdown lets a request finish and takes no more.
func TestHTTPShutdown(t *testing.T) {
	started, release := make(chan struct{}), make(chan struct{})
	w := startWeb(t, "tcp", func(w http.ResponseWriter, _ *http.Request) {
		close(started)
		<-release
		_, _ = io.WriteString(w, "done")
	}, nil)
	addr := w.tcp.Addrs()[0].String()
	replies := make(chan string, 1)
	go func() {
		reply, err := w.client.Get(w.url)
		if err != nil {
			replies <- err.Error()
			return
		}
		defer reply.Body.Close()
		body, _ := io.ReadAll(reply.Body)
		replies <- string(body)
	}()
	receive(t, started)
	shut := make(chan error, 1)
	go func() { shut <- w.Shutdown(context.Background()) }()
	for {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			break // it listens no more
		}
		_ = conn.Close()
	}
	close(release)
	require.Equal(t, "done", receive(t, replies))
	require.NoError(t, receive(t, shut))
}

func TestNetListenerRefuses(t *testing.T) {
	srv := &tcp.Server{Frame: line, Message: lineMessage}
	_, err := srv.NetListener()
	require.ErrorIs(t, err, tcp.ErrInvalid)
	srv = new(tcp.Server)
	listener, err := srv.NetListener()
	require.NoError(t, err)
	_, err = srv.NetListener()
	require.ErrorIs(t, err, tcp.ErrInvalid)
	require.NoError(t, srv.Close())
	_, err = listener.Accept()
	require.ErrorIs(t, err, net.ErrClosed)
	require.ErrorIs(t, listener.Close(), net.ErrClosed)
}

// TestNetListenerKeepsHalfClosed: a client may have finished sending before its
// connection is accepted. It is a net.Conn from the beginning.
func TestNetListenerKeepsHalfClosed(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			leaktest.Check(t)
			noticed := make(chan struct{})
			srv := new(tcp.Server)
			srv.Hooks.Accepted = func(s *iostream.Stream) { _ = s.WaitReadClosedFunc(func() { close(noticed) }) }
			address := "127.0.0.1:0"
			if network == "unix" {
				address = socketPath(t)
			}
			addr, err := srv.Listen(network, address)
			require.NoError(t, err)
			listener, err := srv.NetListener()
			require.NoError(t, err)
			served := make(chan error, 1)
			go func() { served <- srv.Serve(context.Background()) }()
			client, err := net.Dial(network, addr.String())
			require.NoError(t, err)
			defer client.Close()
			require.NoError(t, client.(interface{ CloseWrite() error }).CloseWrite())
			require.NoError(t, client.SetDeadline(time.Now().Add(patience)))
			receive(t, noticed)

			conn, err := listener.Accept()
			require.NoError(t, err)
			_, err = io.WriteString(conn, "hello")
			require.NoError(t, err)
			require.NoError(t, conn.Close())
			got, err := io.ReadAll(client)
			require.NoError(t, err)
			require.Equal(t, "hello", string(got))
			require.NoError(t, listener.Close())
			require.ErrorIs(t, receive(t, served), tcp.ErrServerClosed)
		})
	}
}
