//go:build unix || windows

package tcp_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/eddyloop/eddy/internal/leaktest"
	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
	"github.com/eddyloop/eddy/tcp"
	"github.com/stretchr/testify/require"
)

var errSignal = errors.New("signal")

// serveUntil is local, with a context that the returned function ends because of
// errSignal.
func serveUntil(t *testing.T, srv *tcp.Server) (addr net.Addr, end func(), done <-chan error) {
	t.Helper()
	leaktest.Check(t)
	srv.Logger = quiet()
	addr, err := srv.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, cancel := context.WithCancelCause(context.Background())
	result, ended := make(chan error, 1), make(chan struct{})
	go func() {
		result <- srv.Serve(ctx)
		close(ended)
	}()
	t.Cleanup(func() {
		_ = srv.Close()
		receive(t, ended)
		cancel(nil)
		require.Zero(t, srv.Stats().Conns)
		require.Empty(t, srv.Addrs())
	})
	return addr, func() { cancel(errSignal) }, result
}

// acceptLines is lines for a server's NetListener, on goroutines.
func acceptLines(t *testing.T, srv *tcp.Server) {
	listener, err := srv.NetListener()
	require.NoError(t, err)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				for lines := bufio.NewReader(conn); ; {
					line, err := lines.ReadString('\n')
					if err != nil || line == "bye\n" {
						return
					}
					_, _ = io.WriteString(conn, line)
				}
			}()
		}
	}()
}

// eachStyle runs a test with a server of each style, in plain and over TLS.
func eachStyle(t *testing.T, run func(t *testing.T, srv *tcp.Server, dial func(net.Addr) *client)) {
	for style, set := range map[string]func(*tcp.Server){
		"handler":      func(srv *tcp.Server) { srv.Handler = lines },
		"message":      func(srv *tcp.Server) { srv.Frame, srv.Message = line, lineMessage },
		"callback":     func(srv *tcp.Server) { srv.Callback = lineCallback },
		"net listener": func(srv *tcp.Server) { acceptLines(t, srv) },
	} {
		t.Run(style, func(t *testing.T) {
			srv := new(tcp.Server)
			set(srv)
			run(t, srv, func(addr net.Addr) *client { return dial(t, addr) })
		})
		t.Run(style+", TLS", func(t *testing.T) {
			srv := &tcp.Server{TLS: testTLS().server}
			set(srv)
			run(t, srv, func(addr net.Addr) *client { return overTLS(t, addr, testTLS().client) })
		})
	}
}

// A message that is half there when the context ends is answered.
func TestDrainTimeoutWaits(t *testing.T) {
	eachStyle(t, func(t *testing.T, srv *tcp.Server, dial func(net.Addr) *client) {
		srv.DrainTimeout = time.Hour
		addr, end, done := serveUntil(t, srv)
		c := dial(addr)
		inMiddle(t, c)
		end()
		eventually(t, func() bool { return len(srv.Addrs()) == 0 })
		require.Empty(t, done)
		c.send("message\n")
		c.expect("half a message\n")
		if srv.Handler == nil && srv.Message == nil && srv.Callback == nil {
			c.send("bye\n") // its net.Conn is its user's to close
		}
		c.expectEOF()
		_ = c.Close() // TLS has nobody to tell it any more
		require.Equal(t, errSignal, receive(t, done))
		require.Equal(t, drained{DrainCounts: tcp.DrainCounts{Drained: 1}}, receive(t, shutdown(srv, context.Background())))
	})
}

// One that never ends is closed by force after the time.
func TestDrainTimeoutForces(t *testing.T) {
	eachStyle(t, func(t *testing.T, srv *tcp.Server, dial func(net.Addr) *client) {
		srv.DrainTimeout = 10 * time.Millisecond
		addr, end, done := serveUntil(t, srv)
		c := dial(addr)
		inMiddle(t, c)
		end()
		c.expectEnd()
		require.Equal(t, errSignal, receive(t, done))
		require.Equal(t, drained{DrainCounts: tcp.DrainCounts{Forced: 1}}, receive(t, shutdown(srv, context.Background())))
	})
}

// A function that does not look at its stream is told when the time is over.
func TestDrainTimeoutStopsTasks(t *testing.T) {
	told := make(chan error, 1)
	srv := &tcp.Server{DrainTimeout: 10 * time.Millisecond, Frame: line, Message: func(t *ioloop.Task, _ *iostream.Stream, _ []byte) error {
		err := t.Sleep(time.Hour)
		told <- err
		return err
	}}
	addr, end, done := serveUntil(t, srv)
	dial(t, addr).send("a\n")
	eventually(t, func() bool { return srv.Stats().Handlers == 1 })
	end()
	require.ErrorIs(t, receive(t, told), ioloop.ErrTaskStopped)
	require.Equal(t, errSignal, receive(t, done))
}

// Whoever has connected by the time that the context ends is served, though the server
// has not accepted him yet.
func TestDrainTimeoutServesTheBacklog(t *testing.T) {
	group := newGroup(t, 1, ioloop.Config{})
	srv := &tcp.Server{Handler: lines, Group: group, DrainTimeout: time.Hour}
	addr, end, done := serveUntil(t, srv)
	dial(t, addr).echo("it serves\n")
	release := hold(t, group.Loops()[0])
	defer release()
	late := dial(t, addr)
	late.send("late\n")
	arrived(t, late)
	end()
	eventually(t, func() bool { return group.Loops()[0].Stats().Queue >= 2 })
	release()
	late.expect("late\n")
	late.expectEOF()
	require.NoError(t, late.Close())
	require.Equal(t, errSignal, receive(t, done))
}

// Close cuts the waiting short, and so does the limit of a Shutdown.
func TestDrainTimeoutIsCutShort(t *testing.T) {
	limit, cancel := context.WithCancel(context.Background())
	cancel()
	for name, cut := range map[string]func(*tcp.Server){
		"Close":    func(srv *tcp.Server) { _ = srv.Close() },
		"Shutdown": func(srv *tcp.Server) { _, _ = srv.Shutdown(limit) },
	} {
		t.Run(name, func(t *testing.T) {
			srv := &tcp.Server{Handler: lines, DrainTimeout: time.Hour}
			addr, end, done := serveUntil(t, srv)
			c := dial(t, addr)
			inMiddle(t, c)
			end()
			eventually(t, func() bool { return len(srv.Addrs()) == 0 })
			require.Empty(t, done)
			cut(srv)
			c.expectEnd()
			require.Equal(t, errSignal, receive(t, done), "the context was first")
		})
	}
}

// The time bounds a Shutdown that is under way when the context ends.
func TestDrainTimeoutDuringShutdown(t *testing.T) {
	srv := &tcp.Server{Handler: lines, DrainTimeout: 10 * time.Millisecond}
	addr, end, done := serveUntil(t, srv)
	inMiddle(t, dial(t, addr))
	result := shutdown(srv, context.Background())
	eventually(t, func() bool { return len(srv.Addrs()) == 0 })
	require.Empty(t, result)
	end()
	require.Equal(t, drained{DrainCounts: tcp.DrainCounts{Forced: 1}}, receive(t, result))
	require.Equal(t, tcp.ErrServerClosed, receive(t, done))
}
