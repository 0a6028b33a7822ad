//go:build unix || windows

package tcp_test

import (
	"bufio"
	"context"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/eddyloop/eddy/tcp"
	"github.com/stretchr/testify/require"
)

// askOverNet sends a line by package net and reads the echo.
func askOverNet(t *testing.T, addr net.Addr) {
	t.Helper()
	conn, err := net.Dial(addr.Network(), addr.String())
	require.NoError(t, err)
	defer conn.Close()
	_, err = conn.Write([]byte("hello\n"))
	require.NoError(t, err)
	line, err := bufio.NewReader(conn).ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "hello\n", line)
}

// What works over package net in a bubble of testing/synctest, and across its border, works
// with servers and their loops.
func TestBubble(t *testing.T) {
	for name, end := range map[string]func(srv *tcp.Server, cancel func()){
		"shutdown": func(srv *tcp.Server, _ func()) { _, _ = srv.Shutdown(context.Background()) },
		"close":    func(srv *tcp.Server, _ func()) { _ = srv.Close() },
		"context":  func(_ *tcp.Server, cancel func()) { cancel() },
	} {
		t.Run(name+" of all within", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := &tcp.Server{Handler: lines}
				addr, err := srv.Listen("tcp", "127.0.0.1:0")
				require.NoError(t, err)
				ctx, cancel := context.WithCancel(context.Background())
				defer cancel()
				served := make(chan error, 1)
				go func() { served <- srv.Serve(ctx) }()
				askOverNet(t, addr)
				end(srv, cancel)
				require.Error(t, <-served)
			})
		})
		t.Run(name+" of a server outside", func(t *testing.T) {
			srv := &tcp.Server{Handler: lines}
			addr, err := srv.Listen("tcp", "127.0.0.1:0")
			require.NoError(t, err)
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			served := make(chan error, 1)
			go func() { served <- srv.Serve(ctx) }()
			synctest.Test(t, func(t *testing.T) {
				askOverNet(t, addr)
				if name != "context" { // package context has a channel of its own
					end(srv, cancel)
				}
			})
			cancel()
			require.Error(t, receive(t, served))
		})
	}
	t.Run("a server that was shut down before it served", func(t *testing.T) {
		srv := &tcp.Server{Handler: lines}
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			_, err := srv.Shutdown(ctx)
			require.NoError(t, err)
		})
		require.ErrorIs(t, srv.Serve(context.Background()), tcp.ErrServerClosed)
	})
	t.Run("dialling on a loop outside", func(t *testing.T) {
		addr, _ := local(t, &tcp.Server{Handler: lines})
		l := newLoop(t)
		synctest.Test(t, func(t *testing.T) {
			s, err := tcp.Dial(context.Background(), l, "tcp", addr.String())
			require.NoError(t, err)
			require.NoError(t, echoLine(context.Background(), s, "hello\n"))
			require.NoError(t, s.SetReadDeadline(time.Now().Add(-time.Second)))
			require.NoError(t, s.Close())
			require.NoError(t, s.WaitClosed(context.Background()))
		})
	})
}
