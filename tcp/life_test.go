//go:build unix || windows

package tcp_test

import (
	"context"
	"errors"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/eddyloop/eddy/internal/leaktest"
	"github.com/eddyloop/eddy/internal/wine"
	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
	"github.com/eddyloop/eddy/tcp"
	"github.com/stretchr/testify/require"
)

// slowWork is a handler that reads a line and then works, whatever becomes of its
// client, until release is closed.
func slowWork(release <-chan struct{}, result chan<- error) func(*ioloop.Task, *iostream.Stream) error {
	return func(t *ioloop.Task, s *iostream.Stream) error {
		if _, err := s.Read(t, iostream.Until("\n")); err != nil {
			return err
		}
		_, err := ioloop.Await(t, func() (struct{}, error) { <-release; return struct{}{}, nil })
		result <- err
		return err
	}
}

// A client that sends and resets leaves a handler behind, and MaxConns bounds
// those.
func TestMaxConnsBoundsHandlers(t *testing.T) {
	wine.SkipResets(t)
	const limit, clients = 4, 40
	release, result := make(chan struct{}), make(chan error, clients)
	srv := &tcp.Server{Handler: slowWork(release, result), MaxConns: limit, Loops: 1}
	addr, _ := local(t, srv)
	for range clients {
		c := dial(t, addr)
		c.send("work\n")
		c.reset()
	}
	eventually(t, func() bool { return srv.Stats().Handlers == limit })
	time.Sleep(20 * time.Millisecond) // for more, if there were to be any
	stats := srv.Stats()
	require.Equal(t, limit, stats.Handlers)
	require.Equal(t, limit, stats.Conns)
	close(release)
	eventually(t, func() bool { return srv.Stats().Conns == 0 })
	require.Zero(t, srv.Stats().Handlers)
}

// Shutdown waits for a handler whose client has gone, and does not cut it.
func TestShutdownWaitsForHandlers(t *testing.T) {
	wine.SkipResets(t)
	release, result := make(chan struct{}), make(chan error, 1)
	srv := &tcp.Server{Handler: slowWork(release, result)}
	addr, done := local(t, srv)
	c := dial(t, addr)
	c.send("work\n")
	eventually(t, func() bool { return srv.Stats().Handlers == 1 })
	c.reset()
	shut := shutdown(srv, context.Background())
	time.Sleep(20 * time.Millisecond) // for the stream to close
	require.Empty(t, shut)
	close(release)
	require.NoError(t, receive(t, result))
	require.Equal(t, drained{DrainCounts: tcp.DrainCounts{Drained: 1}}, receive(t, shut))
	require.ErrorIs(t, receive(t, done), tcp.ErrServerClosed)
}

// The program that gives one context to its group and its server ends.
func TestOneContextForGroupAndServer(t *testing.T) {
	leaktest.Check(t)
	for range 10 {
		group, err := ioloop.NewGroup(2, ioloop.Config{Logger: quiet()})
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(context.Background())
		srv := &tcp.Server{Handler: lines, Group: group, Logger: quiet()}
		addr, err := srv.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		ran, served := make(chan error, 1), make(chan error, 1)
		go func() { ran <- group.Run(ctx) }()
		go func() { served <- srv.Serve(ctx) }()
		var clients []*client
		for range 5 {
			c := dial(t, addr)
			c.echo("hello\n")
			clients = append(clients, c)
		}
		cancel()
		require.ErrorIs(t, receive(t, served), context.Canceled)
		require.ErrorIs(t, receive(t, ran), context.Canceled)
		_, err = net.Dial("tcp", addr.String())
		require.Error(t, err, "nobody listens any more")
		require.NoError(t, group.Close())
		for _, c := range clients {
			c.expectEnd()
		}
		require.Zero(t, srv.Stats().Conns)
	}
}

// Whatever the group does, the server ends by its context.
func TestShutdownWithoutLoops(t *testing.T) {
	leaktest.Check(t)
	for name, stop := range map[string]func(*ioloop.Group){
		"never run": nil,
		"ended":     (*ioloop.Group).Stop,
		"closed":    func(g *ioloop.Group) { _ = g.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			group, err := ioloop.NewGroup(1, ioloop.Config{Logger: quiet()})
			require.NoError(t, err)
			srv := &tcp.Server{Handler: lines, Group: group, Logger: quiet()}
			addr, err := srv.Listen("tcp", "127.0.0.1:0")
			require.NoError(t, err)
			served := make(chan error, 1)
			go func() { served <- srv.Serve(context.Background()) }()
			if stop != nil {
				ran := make(chan error, 1)
				go func() { ran <- group.Run(context.Background()) }()
				dial(t, addr).echo("hello\n")
				stop(group)
				require.NoError(t, receive(t, ran))
			}
			ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
			defer cancel()
			receive(t, shutdown(srv, ctx))
			require.Error(t, receive(t, served))
			require.Empty(t, srv.Addrs())
			if name != "closed" {
				require.NoError(t, group.Close())
			}
			require.Zero(t, srv.Stats().Conns)
		})
	}
}

// A handler that holds its loop for good holds up neither Shutdown nor Serve.
func TestShutdownOfHeldLoop(t *testing.T) {
	leaktest.Check(t)
	for name, group := range map[string]bool{"own loops": false, "group": true} {
		t.Run(name, func(t *testing.T) {
			holding, release := make(chan struct{}), make(chan struct{})
			srv := &tcp.Server{Loops: 1, Logger: quiet(), Handler: func(*ioloop.Task, *iostream.Stream) error {
				close(holding)
				<-release
				return nil
			}}
			if group {
				srv.Group = newGroup(t, 1, ioloop.Config{})
			}
			addr, err := srv.Listen("tcp", "127.0.0.1:0")
			require.NoError(t, err)
			served := make(chan error, 1)
			go func() { served <- srv.Serve(context.Background()) }()
			c := dial(t, addr)
			receive(t, holding)
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
			defer cancel()
			got := receive(t, shutdown(srv, ctx))
			require.Equal(t, drained{tcp.DrainCounts{Forced: 1}, context.DeadlineExceeded}, got)
			require.ErrorIs(t, receive(t, served), tcp.ErrServerClosed)
			_, err = net.Dial("tcp", addr.String())
			require.Error(t, err, "nobody listens any more")
			close(release)
			c.expectEnd()
			eventually(t, func() bool { return srv.Stats().Conns == 0 })
		})
	}
}

func TestNilContexts(t *testing.T) {
	srv := &tcp.Server{Handler: lines}
	var none context.Context
	require.ErrorIs(t, srv.Serve(none), tcp.ErrInvalid)
	require.ErrorIs(t, srv.ListenAndServe(none, "tcp", "127.0.0.1:0"), tcp.ErrInvalid)
	require.Empty(t, srv.Addrs())
	_, err := srv.Shutdown(none)
	require.ErrorIs(t, err, tcp.ErrInvalid)
	addr, _ := local(t, srv)
	dial(t, addr).echo("nothing has changed\n")
}

// Clients that have connected, and sent something, before Shutdown was called are
// served, also if nobody has accepted them yet.
func TestShutdownServesTheBacklog(t *testing.T) {
	for name, srv := range map[string]*tcp.Server{
		"task":     {Handler: lines},
		"callback": {Callback: lineCallback},
	} {
		t.Run(name, func(t *testing.T) {
			const clients = 150 // more than are accepted in a turn
			srv.Group = newGroup(t, 1, ioloop.Config{})
			addr, done := local(t, srv)
			dial(t, addr).echo("hello\n")
			release := hold(t, srv.Group.Loops()[0])
			defer release()
			var all []*client
			for range clients {
				c := dial(t, addr)
				c.send("arrived\n")
				all = append(all, c)
			}
			arrived(t, all...)
			result := shutdown(srv, context.Background())
			eventually(t, func() bool { return srv.Group.Loops()[0].Stats().Queue >= 2 })
			release()
			for _, c := range all {
				c.expect("arrived\n")
				c.expectEOF()
			}
			require.Equal(t, drained{DrainCounts: tcp.DrainCounts{Drained: clients + 1}}, receive(t, result))
			require.ErrorIs(t, receive(t, done), tcp.ErrServerClosed)
		})
	}
}

// Those who owe a header or a hello and have said nothing do not hold Shutdown
// up, and are counted as what they are.
func TestShutdownOfSilentClients(t *testing.T) {
	trusting := func() *tcp.ProxyProtocol {
		return &tcp.ProxyProtocol{Trusted: func(net.Addr) bool { return true }, Timeout: time.Hour}
	}
	forever := iostream.Config{HandshakeTimeout: time.Hour}
	for name, srv := range map[string]*tcp.Server{
		"TLS":                     {Handler: lines, TLS: testTLS().server, Stream: forever},
		"TLS, callback":           {Callback: lineCallback, TLS: testTLS().server, Stream: forever},
		"PROXY":                   {Handler: lines, ProxyProtocol: trusting()},
		"PROXY, TLS and callback": {Callback: lineCallback, ProxyProtocol: trusting(), TLS: testTLS().server, Stream: forever},
	} {
		t.Run(name, func(t *testing.T) {
			refused := make(chan error, 10)
			srv.Hooks.Refused = func(_ net.Addr, err error) { refused <- err }
			addr, done := local(t, srv)
			silent := []*client{dial(t, addr), dial(t, addr)}
			eventually(t, func() bool { return srv.Stats().Handshakes == 2 })
			got := receive(t, shutdown(srv, context.Background()))
			require.Equal(t, drained{DrainCounts: tcp.DrainCounts{Silent: 2}}, got)
			require.ErrorIs(t, receive(t, done), tcp.ErrServerClosed)
			for _, c := range silent {
				c.expectEOF()
			}
			require.Equal(t, tcp.Stats{Accepted: 2}, srv.Stats())
			require.Empty(t, refused)
		})
	}
}

// Connections beyond MaxHandshakes wait for one to be over.
func TestMaxHandshakes(t *testing.T) {
	wine.SkipResets(t)
	srv := &tcp.Server{Handler: lines, TLS: testTLS().server, MaxHandshakes: 2}
	addr, _ := local(t, srv)
	silent := []*client{dial(t, addr), dial(t, addr)}
	eventually(t, func() bool { return srv.Stats().Handshakes == 2 })
	waiting := overTLS(t, addr, testTLS().client)
	echoed := make(chan struct{})
	go func() {
		defer close(echoed)
		waiting.echo("hello\n")
	}()
	time.Sleep(20 * time.Millisecond)
	require.Equal(t, 2, srv.Stats().Conns)
	silent[0].reset()
	receive(t, echoed)
	more := overTLS(t, addr, testTLS().client)
	more.echo("one is free again\n")
	require.Equal(t, 1, srv.Stats().Handshakes)
	require.Equal(t, 3, srv.Stats().Conns)

	refused := make(chan error, 10)
	srv = &tcp.Server{Handler: lines, TLS: testTLS().server, MaxHandshakes: 1, Overload: tcp.OverloadRefuse,
		Hooks: tcp.Hooks{Refused: func(_ net.Addr, err error) { refused <- err }}}
	addr, _ = local(t, srv)
	dial(t, addr)
	eventually(t, func() bool { return srv.Stats().Handshakes == 1 })
	dial(t, addr).expectEnd()
	require.Equal(t, tcp.ErrMaxHandshakes, receive(t, refused))
}

// A handshake that succeeds makes room as well, before any time has passed.
func TestMaxHandshakesAfterSuccess(t *testing.T) {
	group := newGroup(t, 1, ioloop.Config{Clock: new(ioloop.ManualClock)})
	srv := &tcp.Server{Handler: lines, TLS: testTLS().server, MaxHandshakes: 1, Group: group}
	addr, _ := local(t, srv)
	first := overTLS(t, addr, testTLS().client)
	eventually(t, func() bool { return srv.Stats().Handshakes == 1 })
	second := overTLS(t, addr, testTLS().client)
	for range 3 { // the listener has found that there is no room
		on(t, group.Loops()[0], func() {})
	}
	first.echo("first\n")
	second.echo("second\n")
	first.echo("still there\n")
}

// Clients that do not shake hands, be they silent or stuck in their hello, do not keep
// honest ones out: the oldest make way, though not before a quarter of their time is over.
func TestSilentHandshakesMakeWay(t *testing.T) {
	for _, overload := range []tcp.Overload{tcp.OverloadQueue, tcp.OverloadRefuse} {
		for _, hello := range []string{"", "\x16\x03\x01\x02\x00half of it"} {
			clock := new(ioloop.ManualClock)
			closed := make(chan error, 10)
			srv := &tcp.Server{Handler: lines, TLS: testTLS().server, MaxHandshakes: 3, Overload: overload,
				Group: newGroup(t, 2, ioloop.Config{Clock: clock}),
				Stream: iostream.Config{HandshakeTimeout: time.Minute,
					OnClosed: func(_ *iostream.Stream, err error) { closed <- err }},
			}
			addr, _ := local(t, srv)
			var silent []*client
			for i := range 3 {
				silent = append(silent, dial(t, addr))
				silent[i].send(hello)
				eventually(t, func() bool { return srv.Stats().Handshakes == i+1 })
				clock.Advance(time.Second)
			}
			if overload == tcp.OverloadRefuse {
				dial(t, addr).expectEnd()
				require.EqualValues(t, 1, srv.Stats().Refused)
				clock.Advance(12 * time.Second)
				overTLS(t, addr, testTLS().client).echo("hello\n")
			} else {
				waiting := overTLS(t, addr, testTLS().client)
				echoed := make(chan struct{})
				go func() {
					defer close(echoed)
					waiting.echo("hello\n")
				}()
				time.Sleep(10 * time.Millisecond)
				require.Equal(t, 3, srv.Stats().Conns)
				clock.Advance(12 * time.Second)
				receive(t, echoed)
			}
			require.ErrorIs(t, receive(t, closed), tcp.ErrMaxHandshakes)
			silent[0].expectEnd() // the oldest
			// The loop may count it after it has told of it.
			eventually(t, func() bool {
				stats := srv.Stats()
				return stats.Conns == 3 && stats.Handshakes == 2 && stats.HandshakeErrors == 1
			})
			require.Empty(t, closed)
		}
	}
}

// What a handler has written arrives, although it returns an error; the reason is
// in both hooks.
func TestHandlerErrorReplyArrives(t *testing.T) {
	failure := errors.New("no such command")
	for _, config := range []string{"plain", "TLS"} {
		t.Run(config, func(t *testing.T) {
			closed, failed := make(chan error, 1), make(chan error, 1)
			srv := &tcp.Server{
				Stream: iostream.Config{OnClosed: func(_ *iostream.Stream, err error) { closed <- err }},
				Hooks:  tcp.Hooks{Failed: func(_ *iostream.Stream, err error) { failed <- err }},
				Handler: func(task *ioloop.Task, s *iostream.Stream) error {
					if _, err := s.Read(task, iostream.Until("\n")); err != nil {
						return err
					}
					_, _ = s.Write([]byte("-ERR no such command\n"))
					return failure
				},
			}
			dialed := dial
			if config == "TLS" {
				srv.TLS = testTLS().server
				dialed = func(t *testing.T, addr net.Addr) *client { return overTLS(t, addr, testTLS().client) }
			}
			addr, _ := local(t, srv)
			c := dialed(t, addr)
			c.send("FOO\nBAR\n")
			c.expect("-ERR no such command\n")
			c.expectEOF()
			c.Close()
			require.ErrorIs(t, receive(t, failed), failure)
			require.ErrorIs(t, receive(t, closed), failure)
		})
	}
}

// A panic or a Goexit aborts: what was written may be half of something.
func TestHandlerPanicAborts(t *testing.T) {
	for name, fail := range map[string]func(){"panic": func() { panic("oops") }, "Goexit": runtime.Goexit} {
		t.Run(name, func(t *testing.T) {
			failed := make(chan error, 1)
			srv := &tcp.Server{
				Hooks: tcp.Hooks{Failed: func(_ *iostream.Stream, err error) { failed <- err }},
				Handler: func(_ *ioloop.Task, s *iostream.Stream) error {
					_, _ = s.Write([]byte(strings.Repeat("half of something", 1<<20)))
					fail()
					return nil
				},
			}
			addr, _ := local(t, srv)
			dial(t, addr)
			require.ErrorIs(t, receive(t, failed), tcp.ErrHandler)
			eventually(t, func() bool { return srv.Stats().Conns == 0 })
		})
	}
}

// Serve, StopListening, Listen, Files and Close may be called at any time from
// anywhere, and Files never returns anything but listening sockets.
func TestLifeFromEverywhere(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("package net makes no listener of a file")
	}
	leaktest.Check(t)
	for range 50 {
		srv := &tcp.Server{Handler: lines, Loops: 2, Logger: quiet()}
		for range 3 {
			_, err := srv.Listen("tcp", "127.0.0.1:0")
			require.NoError(t, err)
		}
		var wg sync.WaitGroup
		var stop atomic.Bool
		for range 2 {
			wg.Go(srv.StopListening)
			wg.Go(func() { _, _ = srv.Listen("tcp", "127.0.0.1:0") })
			wg.Go(func() { // takes the numbers of descriptors that were closed
				for !stop.Load() {
					f, err := os.Open(os.DevNull)
					if err == nil {
						f.Close()
					}
				}
			})
			wg.Go(func() {
				for !stop.Load() {
					files, _, err := srv.Files()
					if err != nil {
						return // the server has ended
					}
					for _, f := range files {
						l, err := net.FileListener(f)
						if err != nil {
							t.Errorf("%v: %v", f.Name(), err)
						} else {
							l.Close()
						}
						f.Close()
					}
				}
			})
		}
		served := make(chan error, 1)
		go func() { served <- srv.Serve(context.Background()) }()
		wg.Go(srv.StopListening)
		time.Sleep(time.Millisecond)
		stop.Store(true)
		wg.Go(func() { _ = srv.Close() })
		wg.Wait()
		require.ErrorIs(t, receive(t, served), tcp.ErrServerClosed)
	}
}

// Fifteen hundred clients send a line while the loop is busy, and Shutdown is
// called: all are answered.
func TestShutdownAnswersEverybody(t *testing.T) {
	clients := 1500
	if testing.Short() {
		clients = 500 // more than the events of two turns
	}
	for name, srv := range map[string]*tcp.Server{
		"task":     {Handler: lines},
		"callback": {Callback: lineCallback},
	} {
		t.Run(name, func(t *testing.T) {
			srv.Group = newGroup(t, 1, ioloop.Config{})
			addr, done := local(t, srv)
			var all []*client
			for range clients {
				c := dial(t, addr)
				c.echo("hello\n")
				all = append(all, c)
			}
			release := hold(t, srv.Group.Loops()[0])
			defer release()
			for _, c := range all {
				c.send("arrived\n")
			}
			arrived(t, all...)
			result := shutdown(srv, context.Background())
			eventually(t, func() bool { return srv.Group.Loops()[0].Stats().Queue >= 2 })
			release()
			for _, c := range all {
				c.expect("arrived\n")
				c.expectEOF()
			}
			require.Equal(t, drained{DrainCounts: tcp.DrainCounts{Drained: clients}}, receive(t, result))
			require.ErrorIs(t, receive(t, done), tcp.ErrServerClosed)
		})
	}
}
