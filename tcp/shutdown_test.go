//go:build unix || windows

package tcp_test

import (
	"context"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/eddyloop/eddy/internal/leaktest"
	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
	"github.com/eddyloop/eddy/poller"
	"github.com/eddyloop/eddy/tcp"
	"github.com/stretchr/testify/require"
)

// inMiddle has a client send a line and the beginning of another, which the
// server has read when this returns.
func inMiddle(t *testing.T, c *client) {
	t.Helper()
	c.send("whole\nhalf a ") // in one packet
	c.expect("whole\n")
}

func TestShutdownIdle(t *testing.T) {
	for name, srv := range map[string]*tcp.Server{
		"task":     {Handler: lines},
		"callback": {Callback: lineCallback},
	} {
		t.Run(name, func(t *testing.T) {
			addr, done := local(t, srv)
			var clients []*client
			for range 20 {
				c := dial(t, addr)
				c.echo("hello\n")
				clients = append(clients, c)
			}
			drain, err := srv.Shutdown(context.Background())
			require.NoError(t, err)
			require.Equal(t, tcp.DrainCounts{Drained: 20}, drain)
			require.ErrorIs(t, receive(t, done), tcp.ErrServerClosed)
			for _, c := range clients {
				c.expectEOF()
			}
		})
	}
}

// A client in the middle of a message may finish it.
func TestShutdownWaits(t *testing.T) {
	srv := &tcp.Server{Handler: lines}
	addr, done := local(t, srv)
	c := dial(t, addr)
	inMiddle(t, c)
	idle := dial(t, addr)
	idle.echo("hello\n")
	result := shutdown(srv, context.Background())
	idle.expectEOF() // Shutdown is under way
	idle.Close()
	eventually(t, func() bool { return srv.Stats().Conns == 1 })
	require.Empty(t, result)
	c.send("message\n")
	c.expect("half a message\n")
	c.expectEOF()
	require.Equal(t, drained{DrainCounts: tcp.DrainCounts{Drained: 2}}, receive(t, result))
	require.ErrorIs(t, receive(t, done), tcp.ErrServerClosed)
}

// One that does not is closed in the end.
func TestShutdownForces(t *testing.T) {
	srv := &tcp.Server{Handler: lines}
	addr, done := local(t, srv)
	stuck := []*client{dial(t, addr), dial(t, addr)}
	for _, c := range stuck {
		inMiddle(t, c)
	}
	idle := dial(t, addr)
	idle.echo("hello\n")
	ctx, cancel := context.WithCancel(context.Background())
	result := shutdown(srv, ctx)
	idle.expectEOF()
	eventually(t, func() bool { return srv.Stats().Conns == 2 })
	require.Empty(t, result)
	cancel()
	want := drained{tcp.DrainCounts{Drained: 1, Forced: 2}, context.Canceled}
	require.Equal(t, want, receive(t, result))
	require.ErrorIs(t, receive(t, done), tcp.ErrServerClosed)
	for _, c := range stuck {
		c.expectEnd()
	}
	want.err = nil
	require.Equal(t, want, receive(t, shutdown(srv, context.Background())), "every call says the same")
}

func TestShutdownConcurrently(t *testing.T) {
	for range 20 {
		srv := &tcp.Server{Handler: lines, Loops: 2}
		addr, done := local(t, srv)
		dial(t, addr).echo("hello\n")
		dial(t, addr).echo("hello\n")
		var results []<-chan drained
		for range 8 {
			results = append(results, shutdown(srv, context.Background()))
		}
		for _, r := range results {
			require.Equal(t, drained{DrainCounts: tcp.DrainCounts{Drained: 2}}, receive(t, r))
		}
		require.ErrorIs(t, receive(t, done), tcp.ErrServerClosed)
	}
}

// A task that shuts a server down does not hold its loop.
func TestShutdownInTask(t *testing.T) {
	t.Run("of another loop", func(t *testing.T) {
		srv := &tcp.Server{Handler: lines}
		addr, done := local(t, srv)
		dial(t, addr).echo("hello\n")
		result := make(chan drained, 1)
		require.NoError(t, newLoop(t).Go(func(task *ioloop.Task) {
			drain, err := srv.Shutdown(task)
			result <- drained{drain, err}
		}))
		require.Equal(t, drained{DrainCounts: tcp.DrainCounts{Drained: 1}}, receive(t, result))
		require.ErrorIs(t, receive(t, done), tcp.ErrServerClosed)
	})
	t.Run("of the server's", func(t *testing.T) {
		srv, result := &tcp.Server{Loops: 1}, make(chan error, 1)
		srv.Handler = func(task *ioloop.Task, s *iostream.Stream) error {
			limited, cancel := task.WithTimeout(time.Millisecond)
			defer cancel()
			_, err := srv.Shutdown(limited)
			result <- err
			return err
		}
		addr, done := local(t, srv)
		dial(t, addr).expectEnd()
		require.ErrorIs(t, receive(t, result), context.DeadlineExceeded)
		require.ErrorIs(t, receive(t, done), tcp.ErrServerClosed)
	})
	t.Run("with a context derived from it", func(t *testing.T) {
		srv, result := &tcp.Server{}, make(chan error, 1)
		srv.Handler = func(task *ioloop.Task, s *iostream.Stream) error {
			_, err := srv.Shutdown(context.WithValue(task, srv, srv))
			result <- err
			return lines(task, s)
		}
		addr, _ := local(t, srv)
		c := dial(t, addr)
		require.ErrorIs(t, receive(t, result), ioloop.ErrTaskContext)
		c.echo("as if nothing had been\n")
	})
}

// What is closed by force has ended, and its Handler returned, when Shutdown returns.
func TestShutdownAwaitsWhatItForces(t *testing.T) {
	var returned atomic.Bool
	srv := &tcp.Server{Handler: func(task *ioloop.Task, s *iostream.Stream) error {
		defer returned.Store(true)
		err := lines(task, s)
		time.Sleep(20 * time.Millisecond) // a Shutdown that does not wait is quicker
		return err
	}}
	addr, _ := local(t, srv)
	inMiddle(t, dial(t, addr))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	got := receive(t, shutdown(srv, ctx))
	require.True(t, returned.Load())
	require.Equal(t, drained{tcp.DrainCounts{Forced: 1}, context.Canceled}, got)
}

// A Close ends a Shutdown that waits.
func TestCloseDuringShutdown(t *testing.T) {
	srv := &tcp.Server{Handler: lines}
	addr, _ := local(t, srv)
	inMiddle(t, dial(t, addr))
	result := shutdown(srv, context.Background())
	eventually(t, func() bool { return len(srv.Addrs()) == 0 })
	require.NoError(t, srv.Close())
	require.Equal(t, drained{DrainCounts: tcp.DrainCounts{Forced: 1}}, receive(t, result))
}

// Connections that arrive while the server ends are closed, whichever stage
// they have reached, and Serve does not return before.
func TestShutdownDuringAccept(t *testing.T) {
	leaktest.Check(t)
	for name, end := range map[string]func(*tcp.Server){
		"Shutdown": func(srv *tcp.Server) { _, _ = srv.Shutdown(context.Background()) },
		"Close":    func(srv *tcp.Server) { _ = srv.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			for i := range 60 {
				srv := &tcp.Server{Handler: lines, Loops: 2, Logger: quiet()}
				if i%2 == 0 {
					srv.Group = newGroup(t, 2, ioloop.Config{})
				}
				addr, err := srv.Listen("tcp", "127.0.0.1:0")
				require.NoError(t, err)
				done := serve(t, srv)
				var clients []*client
				for range i % 8 {
					clients = append(clients, dial(t, addr))
				}
				end(srv)
				require.ErrorIs(t, receive(t, done), tcp.ErrServerClosed)
				require.Zero(t, srv.Stats().Conns)
				for _, c := range clients {
					c.expectEnd()
				}
			}
		})
	}
}

// A message that had arrived before Shutdown is answered, also if the loop has
// not got to it yet.
func TestShutdownAnswersWhatHasArrived(t *testing.T) {
	group := newGroup(t, 1, ioloop.Config{})
	srv := &tcp.Server{Handler: lines, Group: group}
	addr, _ := local(t, srv)
	c := dial(t, addr)
	c.echo("hello\n")
	release := holdInHandler(t, group.Loops()[0])
	defer release()
	c.send("arrived\n")
	arrived(t, c)
	result := shutdown(srv, context.Background())
	eventually(t, func() bool { return group.Loops()[0].Stats().Queue >= 2 })
	release()
	c.expect("arrived\n")
	c.expectEOF()
	require.Equal(t, drained{DrainCounts: tcp.DrainCounts{Drained: 1}}, receive(t, result))
}

// Nothing is accepted once the server has ended, although its loop has not got
// to closing the listening socket.
func TestNoAcceptAfterEnd(t *testing.T) {
	group := newGroup(t, 1, ioloop.Config{})
	srv := &tcp.Server{Handler: lines, Group: group}
	addr, done := local(t, srv)
	dial(t, addr).echo("hello\n")
	release := hold(t, group.Loops()[0])
	defer release()
	late := dial(t, addr)
	require.NoError(t, srv.Close())
	release()
	require.ErrorIs(t, receive(t, done), tcp.ErrServerClosed)
	late.expectEnd()
	require.Equal(t, uint64(1), srv.Stats().Accepted)
}

type drained struct {
	tcp.DrainCounts
	err error
}

func shutdown(srv *tcp.Server, ctx context.Context) <-chan drained {
	result := make(chan drained, 1)
	go func() {
		drain, err := srv.Shutdown(ctx)
		result <- drained{drain, err}
	}()
	return result
}

// holdInHandler is hold by a handler: the loop has fetched the events of its
// turn and will look into its queue before it fetches further ones.
func holdInHandler(t *testing.T, l *ioloop.Loop) (release func()) {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("pipes can't be watched")
	}
	r, w, err := os.Pipe()
	require.NoError(t, err)
	holding, released := make(chan struct{}), make(chan struct{})
	on(t, l, func() {
		var registration ioloop.Registration
		registration, err = l.Handle(int(r.Fd()), poller.Readable, ioloop.HandlerFunc(
			func(poller.Interest, poller.Hint) {
				_ = l.Remove(registration)
				close(holding)
				<-released
			}))
	})
	require.NoError(t, err)
	_, err = w.WriteString("x")
	require.NoError(t, err)
	receive(t, holding)
	return sync.OnceFunc(func() {
		close(released)
		r.Close()
		w.Close()
	})
}
