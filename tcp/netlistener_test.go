//go:build unix || windows

package tcp_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"github.com/eddyloop/eddy/internal/wine"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/eddyloop/eddy/internal/leaktest"
	"github.com/eddyloop/eddy/tcp"
	"github.com/stretchr/testify/require"
)

// netListen returns a listener of a server that serves until the test is over.
func netListen(t *testing.T, srv *tcp.Server) net.Listener {
	t.Helper()
	leaktest.Check(t)
	srv.Logger = quiet()
	_, err := srv.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	listener, err := srv.NetListener()
	require.NoError(t, err)
	serve(t, srv)
	return listener
}

// Connections that nobody accepts wait in the kernel's backlog, and are returned
// in the order in which they came.
func TestNetListenerHoldsBack(t *testing.T) {
	const clients, most = 100, 16
	srv := &tcp.Server{Loops: 3}
	listener := netListen(t, srv)
	var all []*client
	for range clients {
		all = append(all, dial(t, listener.Addr()))
	}
	eventually(t, func() bool { return srv.Stats().Conns == most })
	time.Sleep(20 * time.Millisecond) // for more, if there were to be any
	require.Equal(t, most, srv.Stats().Conns)
	for _, c := range all {
		conn, err := listener.Accept()
		require.NoError(t, err)
		require.Equal(t, c.LocalAddr().String(), conn.RemoteAddr().String())
		require.NoError(t, conn.Close())
	}
}

// Accept makes room for another at once: also while what it has returned stays open.
func TestNetListenerFillsUp(t *testing.T) {
	const clients, most = 40, 16
	srv := &tcp.Server{Loops: 1}
	listener := netListen(t, srv)
	for range clients {
		dial(t, listener.Addr())
	}
	for open := range clients {
		eventually(t, func() bool { return srv.Stats().Conns == min(clients, open+most) })
		conn, err := listener.Accept()
		require.NoError(t, err)
		defer conn.Close()
	}
}

// What was waiting when the listener was closed is closed, and not returned.
func TestNetListenerCloseDropsWhatWaits(t *testing.T) {
	srv := &tcp.Server{Loops: 1}
	listener := netListen(t, srv)
	c := dial(t, listener.Addr())
	eventually(t, func() bool { return srv.Stats().Conns == 1 })
	require.NoError(t, listener.Close())
	_, err := listener.Accept()
	require.ErrorIs(t, err, net.ErrClosed)
	c.expectEnd()
}

// Clients that have gone before anybody accepts them make room for others.
func TestNetListenerForgetsTheGone(t *testing.T) {
	wine.SkipResets(t)
	srv := &tcp.Server{Loops: 1}
	listener := netListen(t, srv)
	for range 200 {
		dial(t, listener.Addr()).reset()
	}
	late := dial(t, listener.Addr())
	eventually(t, func() bool { return srv.Stats().Accepted > 16 && srv.Stats().Conns <= 16 })
	late.send("hello\n")
	for {
		conn, err := listener.Accept()
		require.NoError(t, err)
		buf := make([]byte, 6)
		n, err := io.ReadFull(conn, buf)
		require.NoError(t, conn.Close())
		if n > 0 {
			require.NoError(t, err)
			break
		}
	}
}

// net/http over a server with TLS is https, with HTTP/1 and HTTP/2.
func TestNetListenerTLS(t *testing.T) {
	for _, test := range []struct {
		name   string
		protos []string // of the server
		h2     bool     // the client wants it
		want   int
	}{
		{"HTTP/2", []string{"h2", "http/1.1"}, true, 2},
		{"HTTP/1 client", []string{"h2", "http/1.1"}, false, 1},
		{"HTTP/1 server", []string{"http/1.1"}, true, 1},
		{"no ALPN", nil, true, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			config := testTLS().server.Clone()
			config.NextProtos = test.protos
			srv := &tcp.Server{TLS: config}
			listener := netListen(t, srv)
			web := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				fmt.Fprint(w, r.ProtoMajor, r.TLS != nil && r.TLS.HandshakeComplete)
			})}
			webbed := make(chan error, 1)
			go func() { webbed <- web.Serve(listener) }()
			transport := &http.Transport{TLSClientConfig: testTLS().client.Clone(), ForceAttemptHTTP2: test.h2}
			if !test.h2 {
				transport.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{}
			}
			defer transport.CloseIdleConnections()
			client := &http.Client{Transport: transport, Timeout: patience}
			for range 3 {
				reply, err := client.Get("https://" + listener.Addr().String())
				require.NoError(t, err)
				body, err := io.ReadAll(reply.Body)
				require.NoError(t, err)
				require.NoError(t, reply.Body.Close())
				require.Equal(t, fmt.Sprint(test.want, " ", true), string(body))
			}
			transport.CloseIdleConnections()
			require.NoError(t, web.Shutdown(context.Background()))
			require.ErrorIs(t, receive(t, webbed), http.ErrServerClosed)
		})
	}
}

// A client that does not shake hands never reaches Accept, and does not keep
// others from it.
func TestNetListenerBadHandshakes(t *testing.T) {
	srv := &tcp.Server{TLS: testTLS().server, Loops: 1}
	listener := netListen(t, srv)
	var silent []*client
	for range 40 {
		silent = append(silent, dial(t, listener.Addr()))
	}
	plain := dial(t, listener.Addr())
	plain.send("GET / HTTP/1.1\r\n\r\n")
	eventually(t, func() bool { return srv.Stats().HandshakeErrors == 1 })
	good := overTLS(t, listener.Addr(), testTLS().client)
	shaken := make(chan error, 1)
	go func() { shaken <- good.Conn.(*tls.Conn).Handshake() }()
	conn, err := listener.Accept()
	require.NoError(t, err)
	require.NoError(t, receive(t, shaken))
	require.True(t, conn.(*tls.Conn).ConnectionState().HandshakeComplete)
	eventually(t, func() bool { return srv.Stats().Handshakes == 40 })
	require.NoError(t, conn.Close())
	for _, c := range silent {
		c.Close()
	}
	eventually(t, func() bool { return srv.Stats().Handshakes == 0 })
}

// Shutdown of the server cuts no request of net/http's.
func TestShutdownWaitsForHTTP(t *testing.T) {
	srv := new(tcp.Server)
	listener := netListen(t, srv)
	started, release := make(chan struct{}, 10), make(chan struct{})
	web := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		started <- struct{}{}
		<-release
		_, _ = io.WriteString(w, "done")
	})}
	webbed := make(chan error, 1)
	go func() { webbed <- web.Serve(listener) }()
	replies := make(chan string, 10)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	for range 10 {
		go func() {
			reply, err := client.Get("http://" + listener.Addr().String())
			if err != nil {
				replies <- err.Error()
				return
			}
			body, _ := io.ReadAll(reply.Body)
			reply.Body.Close()
			replies <- string(body)
		}()
	}
	for range 10 {
		receive(t, started)
	}
	shut := shutdown(srv, context.Background())
	require.ErrorIs(t, receive(t, webbed), net.ErrClosed)
	time.Sleep(20 * time.Millisecond)
	require.Empty(t, shut)
	close(release)
	for range 10 {
		require.Equal(t, "done", receive(t, replies))
	}
	require.Equal(t, drained{DrainCounts: tcp.DrainCounts{Drained: 10}}, receive(t, shut))
}
