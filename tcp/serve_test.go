//go:build unix || windows

package tcp_test

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/eddyloop/eddy/internal/leaktest"
	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
	"github.com/eddyloop/eddy/tcp"
	"github.com/stretchr/testify/require"
)

func TestServe(t *testing.T) {
	for name, srv := range map[string]*tcp.Server{
		"task":     {Handler: lines, Loops: 1},
		"callback": {Callback: lineCallback, Loops: 1},
	} {
		t.Run(name, func(t *testing.T) {
			addr, _ := local(t, srv)
			a, b := dial(t, addr), dial(t, addr)
			a.echo("one\n")
			b.echo("two\n")
			handlers := 0
			if srv.Handler != nil {
				handlers = 2
			}
			require.Equal(t, tcp.Stats{Conns: 2, Handlers: handlers, Accepted: 2}, srv.Stats())
			a.send("bye\n")
			a.expectEOF()
			a.Close()
			eventually(t, func() bool { return srv.Stats().Conns == 1 })
			b.echo("three\n")
		})
	}
}

func TestConnectionsAreSpread(t *testing.T) {
	const loops, each = 4, 25
	group := newGroup(t, loops, ioloop.Config{})
	srv := &tcp.Server{Handler: lines, Group: group}
	addr, _ := local(t, srv)
	for range loops * each {
		dial(t, addr).echo("hello\n")
	}
	for _, l := range group.Loops() {
		n := 0
		on(t, l, func() {
			for range iostream.Streams(l) {
				n++
			}
		})
		require.Equal(t, each, n)
	}
}

// Many who connect at once are let in by and by: whatever else the loop has to
// do has its turn in between.
func TestAcceptBudget(t *testing.T) {
	t.Run("many", func(t *testing.T) { testAcceptBudget(t, 0, 64) })
	t.Run("long", func(t *testing.T) { testAcceptBudget(t, time.Millisecond, 4) })
}

// testAcceptBudget lets clients in, each of which takes so long, and looks how many of
// them came in at once.
func testAcceptBudget(t *testing.T, each time.Duration, most int) {
	const clients = 120 // the BSDs let 128 wait
	clock := new(ioloop.ManualClock)
	group := newGroup(t, 1, ioloop.Config{Clock: clock})
	l := group.Loops()[0]
	total, inTurn, worst, turn := 0, 0, 0, uint64(0) // that were let in; on the loop
	srv := &tcp.Server{Callback: lineCallback, Group: group, Hooks: tcp.Hooks{
		Accepted: func(*iostream.Stream) {
			if now := l.Stats().Turns; now != turn {
				inTurn, turn = 0, now
			}
			total, inTurn = total+1, inTurn+1
			worst = max(worst, inTurn)
			clock.Advance(each)
		},
	}}
	addr, _ := local(t, srv)
	release := hold(t, l)
	defer release()
	for range clients {
		dial(t, addr)
	}
	all := make(chan struct{})
	var other func()
	other = func() {
		if total == clients {
			close(all)
			return
		}
		_ = l.Post(other)
	}
	require.NoError(t, l.Post(other))
	release()
	receive(t, all)
	require.LessOrEqual(t, worst, most)
}

// A group of the caller's may serve several servers and go on after them.
func TestGroupIsShared(t *testing.T) {
	group := newGroup(t, 2, ioloop.Config{})
	a := &tcp.Server{Handler: lines, Group: group}
	b := &tcp.Server{Callback: lineCallback, Group: group}
	addrA, doneA := local(t, a)
	addrB, _ := local(t, b)
	toA, toB := dial(t, addrA), dial(t, addrB)
	toA.echo("a\n")
	toB.echo("b\n")
	_, err := a.Shutdown(context.Background())
	require.NoError(t, err)
	require.ErrorIs(t, receive(t, doneA), tcp.ErrServerClosed)
	toA.expectEOF()
	toB.echo("b again\n")
	dial(t, addrB).echo("b once more\n")
}

func TestServeInvalid(t *testing.T) {
	leaktest.Check(t)
	for _, srv := range []*tcp.Server{
		{},
		{Handler: lines, Callback: lineCallback},
		{Handler: lines, Loops: -1},
		{Handler: lines, MaxConns: -1},
		{Handler: lines, IdleTimeout: -1},
		{Handler: lines, DrainTimeout: -1},
		{Handler: lines, Stream: iostream.Config{CloseTimeout: -1}},
		{Handler: lines, Stream: iostream.Config{ReadLimit: -1}},
	} {
		err := srv.ListenAndServe(context.Background(), "tcp", "127.0.0.1:0")
		require.ErrorIs(t, err, fs.ErrInvalid)
		require.Empty(t, srv.Addrs(), "the address is given back")
	}
	srv := &tcp.Server{Handler: lines}
	requireOpError(t, srv.ListenAndServe(context.Background(), "tcp", "nonsense"), "listen")
}

func TestServeTwice(t *testing.T) {
	srv := &tcp.Server{Handler: lines}
	addr, done := local(t, srv)
	c := dial(t, addr)
	c.echo("one\n")
	require.ErrorIs(t, srv.Serve(context.Background()), tcp.ErrInvalid)
	c.echo("the first is unharmed\n")
	dial(t, addr).echo("two\n")
	require.NoError(t, srv.Close())
	require.ErrorIs(t, receive(t, done), tcp.ErrServerClosed)
	require.ErrorIs(t, srv.Serve(context.Background()), tcp.ErrInvalid)
}

func TestServeAfterEnd(t *testing.T) {
	leaktest.Check(t)
	for name, end := range map[string]func(*tcp.Server){
		"Close": func(srv *tcp.Server) { require.NoError(t, srv.Close()) },
		"Shutdown": func(srv *tcp.Server) {
			drain, err := srv.Shutdown(context.Background())
			require.NoError(t, err)
			require.Zero(t, drain)
		},
	} {
		t.Run(name, func(t *testing.T) {
			srv := &tcp.Server{Handler: lines}
			_, err := srv.Listen("tcp", "127.0.0.1:0")
			require.NoError(t, err)
			end(srv)
			require.Empty(t, srv.Addrs())
			require.ErrorIs(t, srv.Serve(context.Background()), tcp.ErrServerClosed)
			end(new(tcp.Server))
		})
	}
}

func TestServeContext(t *testing.T) {
	leaktest.Check(t)
	cause := errors.New("enough")
	ctx, cancel := context.WithCancelCause(context.Background())
	srv := &tcp.Server{Handler: lines, Logger: quiet()}
	addr, err := srv.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	done := make(chan error, 1)
	go func() { done <- srv.Serve(ctx) }()
	c := dial(t, addr)
	c.echo("hello\n")
	cancel(cause)
	require.Equal(t, cause, receive(t, done))
	c.expectEnd()
	require.Zero(t, srv.Stats().Conns)

	srv = &tcp.Server{Handler: lines, Logger: quiet()}
	require.Equal(t, cause, srv.ListenAndServe(ctx, "tcp", "127.0.0.1:0"))
}

func TestClose(t *testing.T) {
	var reason atomic.Value
	srv := &tcp.Server{Handler: func(task *ioloop.Task, s *iostream.Stream) error {
		err := lines(task, s)
		reason.Store(err)
		return err
	}}
	addr, done := local(t, srv)
	c := dial(t, addr)
	c.echo("hello\n")
	require.NoError(t, srv.Close())
	require.NoError(t, srv.Close())
	require.ErrorIs(t, receive(t, done), tcp.ErrServerClosed)
	c.expectEnd()
	require.ErrorIs(t, reason.Load().(error), tcp.ErrServerClosed)
}

// A task that serves does not hold its loop, which may be the server's.
func TestServeInTask(t *testing.T) {
	group := newGroup(t, 1, ioloop.Config{})
	srv := &tcp.Server{Handler: lines, Group: group}
	addr, err := srv.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	derived, result := make(chan error, 1), make(chan error, 1)
	require.NoError(t, group.Loops()[0].Go(func(task *ioloop.Task) {
		derived <- srv.Serve(context.WithValue(task, srv, srv))
		result <- srv.Serve(task)
	}))
	require.ErrorIs(t, receive(t, derived), ioloop.ErrTaskContext)
	dial(t, addr).echo("hello\n")
	require.NoError(t, srv.Close())
	require.ErrorIs(t, receive(t, result), tcp.ErrServerClosed)
}

// Close and Listen may be called by a handler, on the loop.
func TestCloseFromHandler(t *testing.T) {
	srv := &tcp.Server{}
	srv.Handler = func(*ioloop.Task, *iostream.Stream) error {
		if _, err := srv.Listen("tcp", "127.0.0.1:0"); err != nil {
			return err
		}
		return srv.Close()
	}
	addr, done := local(t, srv)
	if c := dialHasty(t, addr); c != nil {
		c.expectEnd()
	}
	require.ErrorIs(t, receive(t, done), tcp.ErrServerClosed)
}

// A group that is closed under a server ends it.
func TestGroupClosed(t *testing.T) {
	group := newGroup(t, 2, ioloop.Config{})
	log := new(logBuffer)
	srv := &tcp.Server{Handler: lines, Group: group, Logger: log.logger()}
	addr, done := local(t, srv)
	c := dial(t, addr)
	c.echo("hello\n")
	require.NoError(t, group.Close())
	err := receive(t, done)
	requireOpError(t, err, "accept")
	require.ErrorIs(t, err, ioloop.ErrClosed)
	eventually(t, func() bool { return strings.Contains(log.String(), `msg="cannot accept" addr=`+addr.String()) })
	c.expectEnd()
	require.Empty(t, srv.Addrs())

	srv = &tcp.Server{Handler: lines, Group: group, Logger: quiet()}
	require.ErrorIs(t, srv.ListenAndServe(context.Background(), "tcp", "127.0.0.1:0"), ioloop.ErrClosed)
	require.Empty(t, srv.Addrs())
}

// Loops of the server's own that somebody stops end it as well.
func TestLoopsStopped(t *testing.T) {
	srv := &tcp.Server{Loops: 1, Handler: func(task *ioloop.Task, s *iostream.Stream) error {
		task.Loop().Stop()
		return nil
	}}
	addr, done := local(t, srv)
	dial(t, addr).expectEnd()
	require.ErrorContains(t, receive(t, done), "loops ended: somebody stopped them")
}

func TestIdleTimeout(t *testing.T) {
	var clock ioloop.ManualClock
	reasons := make(chan error, 1)
	group := newGroup(t, 1, ioloop.Config{Clock: &clock})
	srv := &tcp.Server{
		Handler:     lines,
		Group:       group,
		IdleTimeout: time.Minute,
		Stream:      iostream.Config{OnClosed: func(_ *iostream.Stream, err error) { reasons <- err }},
	}
	addr, _ := local(t, srv)
	c := dial(t, addr)
	c.echo("hello\n")
	for range 3 {
		on(t, group.Loops()[0], func() {}) // it has taken note of the time
		clock.Advance(59 * time.Second)
		c.echo("not idle\n")
	}
	on(t, group.Loops()[0], func() {})
	// What the peer has yet to acknowledge is on its way still, and looked at again soon.
	eventually(t, func() bool {
		clock.Advance(time.Minute / 4)
		on(t, group.Loops()[0], func() {})
		return len(reasons) > 0
	})
	c.expectEOF()
	require.ErrorIs(t, receive(t, reasons), iostream.ErrIdle)
}

// Who forgets Listen is told.
func TestServeNowhere(t *testing.T) {
	log := new(logBuffer)
	srv := &tcp.Server{Handler: lines, Logger: slog.New(slog.NewTextHandler(log, nil))}
	served := serve(t, srv)
	require.Eventually(t, func() bool { return strings.Contains(log.String(), "call Listen before Serve") }, patience, 10*time.Millisecond)
	require.NoError(t, srv.Close())
	require.ErrorIs(t, receive(t, served), tcp.ErrServerClosed)
}
