//go:build unix || windows

package iostream_test

import (
	"bytes"
	"context"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/eddyloop/eddy/internal/streamhook"
	"github.com/eddyloop/eddy/internal/testtime"
	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
	"github.com/eddyloop/eddy/iostreamtest"
	"github.com/stretchr/testify/require"
)

func newBudget(t testing.TB, limit int64) *iostream.Budget {
	t.Helper()
	b, err := iostream.NewBudget(limit)
	require.NoError(t, err)
	return b
}

func TestBudgetInvalid(t *testing.T) {
	for _, limit := range []int64{0, -1} {
		_, err := iostream.NewBudget(limit)
		requireIs(t, err, iostream.ErrInvalid)
	}
	require.False(t, (*iostream.Budget)(nil).Full())
}

// A budget counts what a stream holds at the end of its turns, and forgets it
// when it is read, sent or dropped.
func TestBudgetCounts(t *testing.T) {
	eachFace(t, func(t *testing.T, f face) {
		l := startLoop(t, ioloop.Config{})
		b := newBudget(t, 1<<20)
		s, peer := pair(t, l, "tcp", &iostream.Config{Budget: b})
		read := f.read(t, s, until("\n", 0))
		awaitRead(t, s)
		send(t, peer, "begun")
		require.Eventually(t, func() bool { return b.Used() > 0 }, patience, 1)
		require.LessOrEqual(t, b.Used(), int64(512)) // the smallest buffer
		send(t, peer, " and ended\nnext\nhalf")
		require.Equal(t, "begun and ended\n", receive(t, read).data)
		require.Equal(t, "next\n", receive(t, f.read(t, s, until("\n", 0))).data)
		require.Positive(t, b.Used())
		require.Equal(t, "half", receive(t, f.read(t, s, some(0))).data)
		read = f.read(t, s, some(0)) // the last result is no longer held
		awaitRead(t, s)
		quiet(t, l)
		require.Zero(t, b.Used())

		big := strings.Repeat("x", 8<<20)
		_, err := s.Write([]byte(big[:4<<20]))
		require.NoError(t, err)
		quiet(t, l)
		eventually(t, func() bool { // the kernel may have taken nearly all of it, and take more
			return s.Err() != nil || int64(s.Backlog()) == b.Used()
		})
		require.NoError(t, s.Close())
		quiet(t, l)
		require.Zero(t, b.Used())
		receive(t, read)
	})
}

// What can no longer be sent is held no longer, be it the stream's or a waiting writer's own,
// though the stream stays open to be read.
func TestBudgetOfAFailedWrite(t *testing.T) {
	b := newBudget(t, 1<<20)
	m := fullWire()
	s := onWire(t, &iostream.Config{Budget: b}, m)
	written := make(chan error, 1)
	go func() { _, err := s.NetConn().Write(make([]byte, 100<<10)); written <- err }()
	eventually(t, func() bool { return s.Backlog() == 100<<10 })
	write(t, s, "behind")
	m.FailWrites(syscall.EPIPE)
	require.ErrorIs(t, receive(t, written), syscall.EPIPE)
	quiet(t, s.Loop())
	require.NoError(t, s.Err())
	require.Zero(t, b.Used())
}

// A stream that keeps up with its messages holds nothing at the end of a turn.
func TestBudgetSteadyState(t *testing.T) {
	testtime.WholeTurns(t)
	l := startLoop(t, ioloop.Config{})
	b := newBudget(t, 1) // whoever holds a byte twice over is closed
	s, peer := pair(t, l, "tcp", &iostream.Config{Budget: b})
	require.NoError(t, l.Go(func(task *ioloop.Task) {
		for {
			line, err := s.Read(task, iostream.Until("\n"))
			if err != nil {
				return
			}
			_, _ = s.Write(line)
		}
	}))
	for range 100 {
		send(t, peer, "hello\n")
		expect(t, peer, "hello\n")
	}
	require.Zero(t, b.Used())
	require.NoError(t, s.WaitClosed(closing(s)))
}

func closing(s *iostream.Stream) context.Context {
	_ = s.Close()
	return context.Background()
}

// Those that sit on little for long go before who is in the middle of much, and who gets on
// slowly is not taken for one that does not.
func TestBudgetHoardersGoFirst(t *testing.T) {
	const hoarders, limit = 64, 4<<20 + 600<<10
	world := iostreamtest.NewWorld()
	defer world.Close()
	config := &iostream.Config{Budget: newBudget(t, limit)}
	open := func() (*iostream.Stream, *iostreamtest.Wire) {
		wire := iostreamtest.NewWire(iostreamtest.Options{})
		s, err := iostream.New(world.Loop, wire.Transport(), config)
		require.NoError(t, err)
		require.NoError(t, s.Handle(iostream.Until("\n"), func([]byte, error) bool { return true }))
		return s, wire
	}
	streams, wires := make([]*iostream.Stream, hoarders), make([]*iostreamtest.Wire, hoarders)
	for i := range streams {
		streams[i], wires[i] = open()
		wires[i].Arrive(bytes.Repeat([]byte("x"), 40<<10))
	}
	require.NoError(t, world.Settle())
	require.EqualValues(t, hoarders*64<<10, config.Budget.Used())
	upload, wire := open()
	for range 40 {
		world.Clock.Advance(time.Second)
		wire.Arrive(bytes.Repeat([]byte("u"), 8<<10))
		for _, w := range wires { // a byte now and then is no progress
			w.Arrive([]byte("x"))
		}
		require.NoError(t, world.Settle())
	}
	another, wire := open() // fills the rest at once
	wire.Arrive(bytes.Repeat([]byte("a"), 100<<10))
	require.NoError(t, world.Settle())
	require.NoError(t, upload.Err())
	require.NoError(t, another.Err())
	gone := 0
	for _, s := range streams {
		if s.Err() != nil {
			require.ErrorIs(t, s.Err(), iostream.ErrBudget)
			gone++
		}
	}
	require.Positive(t, gone)
	require.Less(t, gone, hoarders/2, "no more than have to")
	require.False(t, config.Budget.Full())
}

// Buffers grow by doubling, so streams often hold equally much.
func TestBudgetOfEqualStreams(t *testing.T) {
	const streams, each = 8, 64 << 10
	world := iostreamtest.NewWorld()
	defer world.Close()
	config := &iostream.Config{Budget: newBudget(t, streams*each)}
	var all []*iostream.Stream
	for range streams {
		wire := iostreamtest.NewWire(iostreamtest.Options{})
		s, err := iostream.New(world.Loop, wire.Transport(), config)
		require.NoError(t, err)
		require.NoError(t, s.Handle(iostream.Until("\n"), func([]byte, error) bool { return true }))
		wire.Arrive(make([]byte, 40<<10))
		world.Clock.Advance(time.Millisecond)
		require.NoError(t, world.Settle())
		all = append(all, s)
	}
	for i, s := range all {
		require.Equal(t, i == streams-1, s.Err() != nil, "stream %d", i)
	}
}

// What a handshake holds counts as soon as it has begun, and not when it is over.
func TestBudgetCountsHandshakes(t *testing.T) {
	const hello = 60 << 10
	for _, offLoop := range []bool{false, true} {
		b := newBudget(t, 1<<20)
		l := startLoop(t, ioloop.Config{})
		s, peer := pair(t, l, "tcp", &iostream.Config{Budget: b, HandshakeOffLoop: offLoop})
		outcome := make(chan error, 1)
		require.NoError(t, s.StartTLSFunc(iostream.TLSServer(serverConfig(0)), func(err error) { outcome <- err }))
		quiet(t, l)
		require.LessOrEqual(t, b.Used(), int64(10<<10))
		message := append([]byte{1, 0, hello >> 8, hello & 0xff}, make([]byte, hello-1000)...) // never whole
		for len(message) > 0 {
			n := min(len(message), 16<<10)
			send(t, peer, string([]byte{22, 3, 1, byte(n >> 8), byte(n)}), string(message[:n]))
			message = message[n:]
		}
		require.Eventually(t, func() bool { return b.Used() >= hello }, patience, time.Millisecond)
		_ = peer.Close()
		require.Error(t, receive(t, outcome))
		quiet(t, l)
		require.Zero(t, b.Used())
	}
	l := startLoop(t, ioloop.Config{})
	b := newBudget(t, 1<<20)
	s, peer := pair(t, l, "tcp", &iostream.Config{Budget: b})
	c := secure(t, s, peer, false, 0)
	send(t, c, "hello\n")
	_, err := s.Read(patient(t), iostream.Until("\n"))
	require.NoError(t, err)
	read := faces[0].read(t, s, until("\n", 0))
	awaitRead(t, s)
	quiet(t, l)
	require.Zero(t, b.Used(), "a handshake that is over holds nothing")
	require.NoError(t, s.Close())
	receive(t, read)
}

// A message that a waiting task has is held, until the task is done with it: also when its
// stream has closed.
func TestBudgetCountsHeldMessages(t *testing.T) {
	const size = 100 << 10
	wait := func(task *ioloop.Task, release chan struct{}) {
		_, _ = ioloop.Await(task, func() (int, error) { <-release; return 0, nil })
	}
	t.Run("message", func(t *testing.T) {
		b, begun, release := newBudget(t, 1<<20), make(chan struct{}), make(chan struct{})
		l := startLoop(t, ioloop.Config{})
		s, peer := pair(t, l, "tcp", &iostream.Config{Budget: b})
		require.NoError(t, s.HandleTask(iostream.Until("\n"), func(task *ioloop.Task, _ *iostream.Stream, _ []byte) error {
			close(begun)
			wait(task, release)
			return nil
		}))
		send(t, peer, strings.Repeat("x", size), "\n")
		receive(t, begun) // before that, an abort would drop it
		require.Eventually(t, func() bool { return b.Used() >= size }, patience, time.Millisecond)
		s.Abort(nil)
		quiet(t, l)
		require.GreaterOrEqual(t, b.Used(), int64(size), "the function has it still")
		close(release)
		require.Eventually(t, func() bool { return b.Used() == 0 }, patience, time.Millisecond)
	})
	t.Run("read by a task", func(t *testing.T) {
		b, release := newBudget(t, 1<<20), make(chan struct{})
		l := startLoop(t, ioloop.Config{})
		s, peer := pair(t, l, "tcp", &iostream.Config{Budget: b})
		require.NoError(t, l.Go(func(task *ioloop.Task) {
			_, _ = s.Read(task, iostream.Until("\n"))
			wait(task, release)
			_, _ = s.Read(task, iostream.Until("\n"))
		}))
		send(t, peer, strings.Repeat("x", size), "\n")
		quiet(t, l)
		require.Eventually(t, func() bool { return b.Used() >= size }, patience, time.Millisecond)
		close(release)
		require.Eventually(t, func() bool { return b.Used() == 0 }, patience, time.Millisecond)
		s.Abort(nil)
	})
}

// What is given back without a turn of the stream's is counted at once.
func TestBudgetForgetsAtOnce(t *testing.T) {
	open := func(t *testing.T) (*iostreamtest.World, *iostream.Stream, *iostreamtest.Wire, *iostream.Budget) {
		world, wire, b := iostreamtest.NewWorld(), iostreamtest.NewWire(iostreamtest.Options{}), newBudget(t, 1<<20)
		t.Cleanup(func() { _ = world.Close() })
		s, err := iostream.New(world.Loop, wire.Transport(), &iostream.Config{Budget: b})
		require.NoError(t, err)
		return world, s, wire, b
	}
	for name, take := range map[string]func(t *testing.T, s *iostream.Stream){
		"Read": func(t *testing.T, s *iostream.Stream) {
			_, err := s.Read(context.Background(), iostream.Bytes(4))
			require.NoError(t, err)
			_, err = s.Read(context.Background(), iostream.Bytes(0)) // the message is given back
			require.NoError(t, err)
		},
		"ReadAtLeast": func(t *testing.T, s *iostream.Stream) {
			_, err := s.ReadAtLeast(context.Background(), make([]byte, 4), 4)
			require.NoError(t, err)
		},
	} {
		t.Run(name, func(t *testing.T) {
			world, s, wire, b := open(t)
			require.NoError(t, s.ReadFunc(iostream.Until("\n"), func([]byte, error) {}))
			wire.Arrive([]byte("line\nrest"))
			require.NoError(t, world.Settle())
			require.Positive(t, b.Used())
			take(t, s)
			require.Zero(t, b.Used())
		})
	}
	t.Run("message whose function reads on", func(t *testing.T) {
		world, s, wire, b := open(t)
		require.NoError(t, s.HandleTask(iostream.Until("\n"), func(task *ioloop.Task, _ *iostream.Stream, _ []byte) error {
			_, _ = s.Read(task, iostream.Bytes(2000))
			return task.Sleep(time.Second)
		}))
		wire.Arrive([]byte("line\n"))
		require.NoError(t, world.Settle())
		wire.Arrive(make([]byte, 1999)) // which comes to another buffer
		require.NoError(t, world.Settle())
		s.Abort(nil)
		require.NoError(t, world.Settle())
		require.Positive(t, b.Used(), "the function has the message still")
		require.NoError(t, world.Advance(time.Second))
		require.Zero(t, b.Used())
	})
	for name, fail := range map[string]func(){"panic": func() { panic("oops") }, "Goexit": runtime.Goexit} {
		t.Run(name, func(t *testing.T) {
			world, s, wire, b := open(t)
			require.NoError(t, s.HandleTask(iostream.Until("\n"), func(task *ioloop.Task, _ *iostream.Stream, _ []byte) error {
				_ = task.Sleep(time.Second)
				fail()
				return nil
			}))
			wire.Arrive([]byte("line\n"))
			require.NoError(t, world.Settle())
			require.Positive(t, b.Used())
			require.NoError(t, world.Advance(time.Second))
			require.Error(t, s.Err())
			require.Zero(t, b.Used())
		})
	}
}

// What is queued outside a turn counts at once, by whatever kind of write.
func TestBudgetOfBlockedWrites(t *testing.T) {
	budget, err := iostream.NewBudget(1 << 20)
	require.NoError(t, err)
	p := playWire(t, &iostream.Config{Budget: budget}, iostreamtest.Options{Window: iostreamtest.NoWindow})
	_, err = p.Stream.Write(make([]byte, 10))
	require.NoError(t, err)
	p.settle()
	before := budget.Used()
	require.Positive(t, before)
	for range 2 {
		const more = 100 << 10 // than there is room for in what is counted already
		_, err = p.Stream.WriteBuffers([][]byte{make([]byte, more)})
		require.NoError(t, err)
		require.GreaterOrEqual(t, budget.Used(), before+more)
		before = budget.Used()
	}
}

// A server may have those who must go sent away at once, and be told of the room.
func TestBudgetIsRelievedAtOnce(t *testing.T) {
	b := newBudget(t, 100)
	tell, told := func(told *int) func() { return func() { *told++ } }, 0
	require.False(t, streamhook.WhenRoom(b, tell(&told)))
	p := newPuppet(t, iostreamtest.Options{Window: iostreamtest.NoWindow}, &iostream.Config{Budget: b})
	require.NoError(t, p.world.Settle())
	write(t, p.Stream, strings.Repeat("x", 100))
	require.True(t, b.Full())
	require.True(t, streamhook.WhenRoom(b, tell(&told)))
	streamhook.Relieve(b)
	require.ErrorIs(t, p.Err(), iostream.ErrBudget)
	require.Equal(t, 1, told)
}
