//go:build unix || windows

package tcp_test

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/eddyloop/eddy/internal/leaktest"
	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/tcp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// groups are the states that a caller's Group may be in. Each returns a server that
// serves on one, and what ends the group.
var groups = map[string]func(t *testing.T, g *ioloop.Group, ran chan error){
	"never run": func(_ *testing.T, _ *ioloop.Group, ran chan error) { ran <- nil },
	"running":   runGroup,
	"ended": func(t *testing.T, g *ioloop.Group, ran chan error) {
		runGroup(t, g, ran)
		g.Stop()
		ran <- receive(t, ran)
	},
	"closed": func(t *testing.T, g *ioloop.Group, ran chan error) {
		runGroup(t, g, ran)
		require.NoError(t, g.Close())
	},
}

func runGroup(_ *testing.T, g *ioloop.Group, ran chan error) {
	go func() { ran <- g.Run(context.Background()) }()
}

// lifeCalls are what may be called on a server at any time.
var lifeCalls = map[string]func(srv *tcp.Server){
	"Serve":    func(srv *tcp.Server) { _ = srv.Serve(context.Background()) },
	"Shutdown": func(srv *tcp.Server) { _, _ = srv.Shutdown(context.Background()) },
	"Close":    func(srv *tcp.Server) { _ = srv.Close() },
	"Stop":     func(srv *tcp.Server) { srv.StopListening() },
	"Listen":   func(srv *tcp.Server) { _, _ = srv.Listen("tcp", "127.0.0.1:0") },
	"Files": func(srv *tcp.Server) {
		files, _, _ := srv.Files()
		for _, f := range files {
			_ = f.Close()
		}
	},
}

// TestLifeWithAnyGroup: two calls at once, whatever the group does, and then Shutdown
// without a limit: all return, nobody listens any more and nothing is left.
func TestLifeWithAnyGroup(t *testing.T) {
	for state, bring := range groups {
		for _, moment := range []string{"before", "after"} { // the group is in its state before or after Serve
			t.Run(state+"/"+moment, func(t *testing.T) {
				leaktest.Check(t)
				var wg sync.WaitGroup
				for name, first := range lifeCalls {
					for name2, second := range lifeCalls {
						group, err := ioloop.NewGroup(1, ioloop.Config{Logger: quiet()})
						require.NoError(t, err)
						srv := &tcp.Server{Handler: lines, Group: group, Logger: quiet()}
						addr, err := srv.Listen("tcp", "127.0.0.1:0")
						require.NoError(t, err)
						ran := make(chan error, 2)
						if moment == "before" {
							bring(t, group, ran)
						}
						served := make(chan error, 1)
						go func() { served <- srv.Serve(context.Background()) }()
						wg.Go(func() {
							if moment == "after" {
								conn, err := net.Dial("tcp", addr.String())
								if assert.NoError(t, err) {
									defer conn.Close()
								}
								bring(t, group, ran)
							}
							live(t, name+" and "+name2, srv, first, second)
							assert.Error(t, receive(t, served))
							assert.Empty(t, srv.Addrs())
							if conn, err := net.Dial("tcp", addr.String()); !assert.Error(t, err, "nobody listens") {
								conn.Close()
							}
							_ = group.Close() // which may have been done
							receive(t, ran)
							assert.Zero(t, srv.Stats().Conns)
						})
					}
				}
				wg.Wait()
			})
		}
	}
}

// live makes two calls at once, and then shuts the server down.
func live(t *testing.T, name string, srv *tcp.Server, calls ...func(*tcp.Server)) {
	var wg sync.WaitGroup
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for _, call := range calls {
			wg.Go(func() { call(srv) })
		}
		_, _ = srv.Shutdown(context.Background())
		wg.Wait()
	}()
	select {
	case <-ended:
	case <-time.After(patience):
		assert.Fail(t, "it hangs", name)
	}
}

// Shutdown of connections on loops that do not run says so.
func TestShutdownOfStoppedLoops(t *testing.T) {
	leaktest.Check(t)
	group, err := ioloop.NewGroup(1, ioloop.Config{Logger: quiet()})
	require.NoError(t, err)
	srv := &tcp.Server{Handler: lines, Group: group, Logger: quiet()}
	addr, err := srv.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ran, served := make(chan error, 1), make(chan error, 1)
	go func() { ran <- group.Run(context.Background()) }()
	go func() { served <- srv.Serve(context.Background()) }()
	c := dial(t, addr)
	c.echo("hello\n")
	group.Stop()
	require.NoError(t, receive(t, ran))
	got := receive(t, shutdown(srv, context.Background()))
	require.Equal(t, drained{tcp.DrainCounts{Forced: 1}, tcp.ErrLoopsStopped}, got)
	require.ErrorIs(t, receive(t, served), tcp.ErrServerClosed)
	require.NoError(t, group.Close())
	c.expectEnd()
	require.Zero(t, srv.Stats().Conns)
}

// Where nothing is open but the address, the loops are not missed.
func TestShutdownOfLoopsThatNeverRan(t *testing.T) {
	leaktest.Check(t)
	group, err := ioloop.NewGroup(1, ioloop.Config{Logger: quiet()})
	require.NoError(t, err)
	srv := &tcp.Server{Handler: lines, Group: group, Logger: quiet()}
	_, err = srv.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	started := make(chan struct{})
	srv.Hooks.Started = func([]*ioloop.Loop) { close(started) }
	served := make(chan error, 1)
	go func() { served <- srv.Serve(context.Background()) }()
	receive(t, started)
	require.Equal(t, drained{}, receive(t, shutdown(srv, context.Background())))
	require.ErrorIs(t, receive(t, served), tcp.ErrServerClosed)
	require.NoError(t, group.Close())
}

// StopListening needs no loop.
func TestStopListeningWithoutLoops(t *testing.T) {
	leaktest.Check(t)
	group, err := ioloop.NewGroup(1, ioloop.Config{Logger: quiet()})
	require.NoError(t, err)
	srv := &tcp.Server{Handler: lines, Group: group, Logger: quiet()}
	addr, err := srv.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	served := make(chan error, 1)
	go func() { served <- srv.Serve(context.Background()) }()
	eventually(t, func() bool {
		srv.StopListening()
		conn, err := net.Dial("tcp", addr.String())
		if err == nil {
			conn.Close()
		}
		return err != nil
	})
	again, err := srv.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ran := make(chan error, 1)
	go func() { ran <- group.Run(context.Background()) }()
	dial(t, again).echo("hello\n")
	require.NoError(t, srv.Close())
	require.ErrorIs(t, receive(t, served), tcp.ErrServerClosed)
	require.NoError(t, group.Close())
	require.NoError(t, receive(t, ran))
}
