//go:build unix || windows

package tcp_test

import (
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
	"github.com/eddyloop/eddy/iostreamtest"
	"github.com/eddyloop/eddy/tcp"
	"github.com/stretchr/testify/require"
)

// told is what hooks were told of.
type told struct {
	addr net.Addr
	err  error
}

func TestRefuse(t *testing.T) {
	refused, accepted := make(chan told, 10), make(chan *iostream.Stream, 10)
	srv := &tcp.Server{Handler: lines, MaxConns: 1, Overload: tcp.OverloadRefuse, Hooks: tcp.Hooks{
		Accepted: func(s *iostream.Stream) { accepted <- s },
		Refused:  func(addr net.Addr, err error) { refused <- told{addr, err} },
	}}
	addr, _ := local(t, srv)
	a := dial(t, addr)
	a.echo("a\n")
	require.NotNil(t, receive(t, accepted))
	for range 3 {
		dial(t, addr).expectEnd()
		require.Equal(t, told{addr, tcp.ErrMaxConns}, receive(t, refused))
	}
	a.echo("still there\n")
	require.Equal(t, tcp.Stats{Conns: 1, Handlers: 1, Accepted: 1, Refused: 3}, srv.Stats())
	a.Close()
	eventually(t, func() bool { return srv.Stats().Conns == 0 })
	dial(t, addr).echo("b\n")
	require.Len(t, accepted, 1)
}

func mustBudget(t *testing.T, limit int64) *iostream.Budget {
	t.Helper()
	b, err := iostream.NewBudget(limit)
	require.NoError(t, err)
	return b
}

// hoarding serves what it is sent but "full\n": the rest of that stream stays in
// its buffer, half a message.
func hoarding(t *testing.T, budget int64, srv *tcp.Server) (net.Addr, *iostream.Budget, chan error) {
	b := mustBudget(t, budget)
	reasons := make(chan error, 100)
	srv.Handler = lines
	srv.Stream = iostream.Config{Budget: b, OnClosed: func(_ *iostream.Stream, err error) { reasons <- err }}
	addr, _ := local(t, srv)
	return addr, b, reasons
}

// When memory is used up, those that hold most have to go, on whichever loop
// they are, and the others notice nothing.
func TestBudgetClosesTheWorst(t *testing.T) {
	for _, loops := range []int{1, 3} {
		addr, budget, reasons := hoarding(t, 1<<20, &tcp.Server{Loops: loops})
		honest := []*client{dial(t, addr), dial(t, addr), dial(t, addr)}
		for _, c := range honest {
			inMiddle(t, c)
		}
		small := dial(t, addr) // holds much, but less than the greedy
		small.send(string(make([]byte, 200<<10)))
		eventually(t, func() bool { return budget.Used() >= 200<<10 })
		for range 4 {
			greedy := dial(t, addr)
			go func() { _, _ = greedy.Conn.Write(make([]byte, 1<<20-10)) }()
			require.ErrorIs(t, receive(t, reasons), iostream.ErrBudget)
			greedy.expectEnd()
		}
		small.send("\n")
		small.expect(string(make([]byte, 200<<10)) + "\n")
		for _, c := range honest {
			c.send("message\n")
			c.expect("half a message\n")
		}
		require.Empty(t, reasons)
		require.False(t, budget.Full())
	}
}

// What waits to be sent counts, from callbacks and tasks alike.
func TestBudgetCountsOutput(t *testing.T) {
	budget, err := iostream.NewBudget(1 << 20)
	require.NoError(t, err)
	reasons := make(chan error, 10)
	srv := &tcp.Server{
		Stream: iostream.Config{Budget: budget, OnClosed: func(_ *iostream.Stream, err error) { reasons <- err }},
		Handler: func(t *ioloop.Task, s *iostream.Stream) error {
			for {
				if _, err := s.Write(make([]byte, 10_000)); err != nil {
					return err
				}
				if err := t.Yield(); err != nil {
					return err
				}
			}
		},
	}
	addr, _ := local(t, srv)
	dial(t, addr) // never reads
	require.ErrorIs(t, receive(t, reasons), iostream.ErrBudget)
	require.Zero(t, budget.Used())
}

// useUp has the message of a closed stream hold all of a budget, until the returned function
// is called: nobody can be sent away for it.
func useUp(t *testing.T, budget *iostream.Budget) (release func()) {
	t.Helper()
	world, wire := iostreamtest.NewWorld(), iostreamtest.NewWire(iostreamtest.Options{})
	s, err := iostream.New(world.Loop, wire.Transport(), &iostream.Config{Budget: budget})
	require.NoError(t, err)
	require.NoError(t, s.HandleTask(iostream.Until("\n"), func(task *ioloop.Task, s *iostream.Stream, _ []byte) error {
		s.Abort(nil)
		return task.Sleep(time.Second)
	}))
	wire.Arrive(append(make([]byte, 1<<20-10), '\n'))
	require.NoError(t, world.Settle())
	require.True(t, budget.Full())
	return func() {
		world.Clock.Advance(time.Second)
		require.NoError(t, world.Settle())
		require.False(t, budget.Full())
		require.NoError(t, world.Close())
	}
}

// Nobody is let in while memory is used up.
func TestBudgetKeepsOut(t *testing.T) {
	for _, overload := range []tcp.Overload{tcp.OverloadQueue, tcp.OverloadRefuse} {
		refused, paused := make(chan told, 100), make(chan told, 100)
		addr, budget, _ := hoarding(t, 64<<10, &tcp.Server{Overload: overload, Loops: 1, Hooks: tcp.Hooks{
			Refused: func(addr net.Addr, err error) { refused <- told{addr, err} },
			Paused:  func(addr net.Addr, err error) { paused <- told{addr, err} },
		}})
		release := useUp(t, budget)
		late := dial(t, addr)
		late.send("hello\n")
		if overload == tcp.OverloadRefuse {
			require.Equal(t, told{addr, iostream.ErrBudget}, receive(t, refused))
			late.expectEnd()
			release()
			eventually(t, func() bool { return !budget.Full() })
			dial(t, addr).echo("hello\n")
			continue
		}
		require.Equal(t, told{addr, iostream.ErrBudget}, receive(t, paused))
		release()
		late.expect("hello\n")
	}
}

// Accepting goes on as soon as there is room, and no clock has a part in that.
func TestBudgetThatHasRoomAgain(t *testing.T) {
	for _, loops := range []int{1, 3} {
		paused := make(chan told, 100)
		srv := &tcp.Server{Handler: lines, Stream: iostream.Config{Budget: mustBudget(t, 64<<10)},
			Group: newGroup(t, loops, ioloop.Config{Clock: new(ioloop.ManualClock)}),
			Hooks: tcp.Hooks{Paused: func(addr net.Addr, err error) { paused <- told{addr, err} }}}
		addr, _ := local(t, srv)
		for range 5 {
			release := useUp(t, srv.Stream.Budget)
			waiting := []*client{dial(t, addr), dial(t, addr), dial(t, addr)}
			for _, c := range waiting {
				c.send("hello\n")
			}
			require.Equal(t, told{addr, iostream.ErrBudget}, receive(t, paused))
			release()
			for _, c := range waiting {
				c.expect("hello\n")
			}
		}
		require.EqualValues(t, 5, srv.Stats().AcceptPauses)
	}
}

// Who comes while memory is used up need not wait for the loop of those that have to go for it.
func TestBudgetIsRelievedByWhoComes(t *testing.T) {
	for _, overload := range []tcp.Overload{tcp.OverloadQueue, tcp.OverloadRefuse} {
		addr, budget, _ := hoarding(t, 64<<10, &tcp.Server{Overload: overload, Loops: 1})
		l, err := ioloop.New(ioloop.Config{}) // does not run
		require.NoError(t, err)
		wire := iostreamtest.NewWire(iostreamtest.Options{})
		s, err := iostream.New(l, wire.Transport(), &iostream.Config{Budget: budget})
		require.NoError(t, err)
		_, err = s.Write(make([]byte, 1<<20))
		require.NoError(t, err)
		require.NoError(t, s.ReadFunc(iostream.Some(0), func([]byte, error) {})) // which has it look
		require.True(t, budget.Full())
		dial(t, addr).echo("hello\n")
		require.Error(t, s.Err())
		require.NoError(t, l.Close())
	}
}

// Memory that is used up to the last byte is no dead end: who holds most of it goes, and
// others are served again.
func TestBudgetExactlyFull(t *testing.T) {
	for _, overload := range []tcp.Overload{tcp.OverloadQueue, tcp.OverloadRefuse} {
		addr, budget, reasons := hoarding(t, 64<<10, &tcp.Server{Overload: overload, Loops: 1})
		hoarder := dial(t, addr)
		hoarder.send(string(bytes.Repeat([]byte("x"), 64<<10))) // a buffer of the limit, and not more
		require.ErrorIs(t, receive(t, reasons), iostream.ErrBudget)
		hoarder.expectEnd()
		eventually(t, func() bool { return !budget.Full() })
		dial(t, addr).echo("hello\n")
	}
}

// A budget of one byte is no dead end, in no style: who keeps to one turn for each message is
// served, who cannot is told by the end of the connection, and the next one is let in.
func TestBudgetOfOneByte(t *testing.T) {
	styles := map[string]func(*tcp.Server){
		"handler":  func(srv *tcp.Server) { srv.Handler = lines },
		"callback": func(srv *tcp.Server) { srv.Callback = lineCallback },
		"message": func(srv *tcp.Server) {
			srv.Frame = iostream.Until("\n")
			srv.Message = func(_ *ioloop.Task, s *iostream.Stream, line []byte) error {
				_, err := s.Write(line)
				return err
			}
		},
	}
	for name, style := range styles {
		t.Run(name, func(t *testing.T) {
			budget, err := iostream.NewBudget(1)
			require.NoError(t, err)
			reasons := make(chan error, 100)
			srv := &tcp.Server{Loops: 2, Stream: iostream.Config{Budget: budget, OnClosed: func(_ *iostream.Stream, err error) { reasons <- err }}}
			style(srv)
			addr, _ := local(t, srv)
			patient := dial(t, addr)
			for range 5 {
				patient.echo("hello\n")
				hoarder := dial(t, addr)
				hoarder.send("half a line")
				require.ErrorIs(t, receive(t, reasons), iostream.ErrBudget)
				hoarder.expectEnd()
				patient.echo("still there\n")
			}
		})
	}
	t.Run("TLS", func(t *testing.T) { // a handshake takes more than a byte: it passes at once or is refused
		budget, err := iostream.NewBudget(1)
		require.NoError(t, err)
		srv := &tcp.Server{TLS: testTLS().server, Handler: lines, Stream: iostream.Config{Budget: budget}}
		addr, _ := local(t, srv)
		for range 10 {
			c := tls.Client(dial(t, addr), testTLS().client)
			_, err := c.Write([]byte("hello\n"))
			if err == nil {
				_, err = io.ReadFull(c, make([]byte, 6))
			}
			require.NotErrorIs(t, err, os.ErrDeadlineExceeded)
		}
		eventually(t, func() bool { return budget.Used() == 0 })
	})
}
