//go:build unix || windows

package iostream_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/eddyloop/eddy/internal/leaktest"
	"github.com/eddyloop/eddy/internal/streamhook"
	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
	"github.com/stretchr/testify/require"
)

// recorder notes the order of callbacks.
type recorder struct {
	mu     sync.Mutex
	events []string
}

func (r *recorder) add(event string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, event)
}

func (r *recorder) list() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.events...)
}

func TestCloseTellsReadsThenWritesThenTheCallbacks(t *testing.T) {
	var r recorder
	closed := make(chan struct{})
	config := &iostream.Config{OnClosed: func(_ *iostream.Stream, err error) {
		r.add("config")
		close(closed)
	}}
	m := fullWire()
	s := onWire(t, config, m)
	mark := write(t, s, "never sent")
	require.NoError(t, s.WaitSentFunc(mark, func(err error) { requireIs(t, err, net.ErrClosed); r.add("write") }))
	require.NoError(t, s.ReadFunc(iostream.Until("\n"), func(_ []byte, err error) { requireIs(t, err, net.ErrClosed); r.add("read") }))
	_ = s.WaitClosedFunc(func(err error) {
		require.ErrorIs(t, err, net.ErrClosed)
		require.Equal(t, 1, m.State().Closes, "the transport is closed before the callback")
		r.add("closed")
	})
	onLoop(t, s.Loop(), func() {
		s.Abort(nil)
		require.Empty(t, r.list(), "nothing is called inside of Close")
		require.NoError(t, s.Close())
	})
	receive(t, closed)
	require.Equal(t, []string{"read", "write", "closed", "config"}, r.list())
	late := make(chan error, 1)
	_ = s.WaitClosedFunc(func(err error) { late <- err })
	require.ErrorIs(t, receive(t, late), net.ErrClosed)
	quiet(t, s.Loop())
	require.Len(t, r.list(), 4)
	require.Equal(t, 1, m.State().Closes)
}

func TestDataComesBeforeTheEndAndTheEndBeforeTheCallback(t *testing.T) {
	eachInput(t, func(t *testing.T, network string) {
		var r recorder
		closed := make(chan struct{})
		s, peer := pair(t, startLoop(t, ioloop.Config{}), network, nil)
		_ = s.WaitClosedFunc(func(err error) { require.Equal(t, io.EOF, err); r.add("closed"); close(closed) })
		_ = s.WaitReadClosedFunc(func() { r.add("read closed") })
		require.NoError(t, s.Handle(iostream.Until("\n"), func(line []byte, err error) bool {
			if err != nil {
				requireIs(t, err, io.EOF)
				r.add("end")
			} else {
				r.add(string(line))
			}
			return true
		}))
		send(t, peer, "a\nb\n")
		require.NoError(t, peer.Close())
		receive(t, closed)
		require.Equal(t, []string{"a\n", "b\n", "end", "read closed", "closed"}, r.list())
	})
}

func TestCloseSatisfiesAReadFromTheBuffer(t *testing.T) {
	m := fullWire()
	s := onWire(t, nil, m)
	m.Arrive([]byte("abcdef"))
	require.Equal(t, "ab", receive(t, faces[0].read(t, s, exactly(2))).data)
	require.NoError(t, s.Close())
	require.Equal(t, "cd", receive(t, faces[1].read(t, s, exactly(2))).data)
	data, err := s.Read(patient(t), iostream.UntilClose())
	requireIs(t, err, net.ErrClosed)
	require.Equal(t, "ef", string(data))
}

func TestCloseWithAReason(t *testing.T) {
	eachFace(t, func(t *testing.T, f face) {
		s, _ := pair(t, startLoop(t, ioloop.Config{}), "tcp", nil)
		pending := f.read(t, s, until("\n", 0))
		s.Abort(errPlayed)
		requireIs(t, receive(t, pending).err, errPlayed)
		require.Equal(t, errPlayed, s.Err())
		_, err := s.Write([]byte("x"))
		requireIs(t, err, errPlayed)
	})
}

// TestPeerFinDoesNotClose: who is told of it decides.
func TestPeerFinDoesNotClose(t *testing.T) {
	m := fullWire()
	s := onWire(t, nil, m)
	mark := write(t, s, "reply")
	m.FIN()
	quiet(t, s.Loop())
	_, err := s.Read(patient(t), iostream.Bytes(1))
	requireIs(t, err, io.EOF)
	require.False(t, s.Err() != nil, "the reply is not out")
	m.AddWindow(10)
	require.NoError(t, s.WaitSent(patient(t), mark))
	quiet(t, s.Loop())
	require.NoError(t, s.Err())
	s.Abort(nil)
	require.NoError(t, s.WaitClosed(patient(t)))
	require.Equal(t, "reply", m.Sent())
}

func TestHalfClose(t *testing.T) {
	eachNetwork(t, func(t *testing.T, network string) {
		s, peer := pair(t, startLoop(t, ioloop.Config{}), network, nil)
		send(t, peer, "request")
		closeWrite(t, peer)
		request, err := s.Read(patient(t), iostream.UntilClose())
		require.NoError(t, err)
		require.Equal(t, "request", string(request))
		require.True(t, streamhook.ReadClosed(s))
		require.NoError(t, s.Err())
		for range 3 {
			write(t, s, "reply")
			expect(t, peer, "reply")
		}
		require.NoError(t, s.CloseWrite())
		_, err = s.Write([]byte("x"))
		require.Error(t, err)
		n, err := peer.Read(make([]byte, 1))
		require.Zero(t, n)
		require.Equal(t, io.EOF, err)
		require.NoError(t, s.WaitClosed(patient(t)), "both directions are done")
		require.Equal(t, io.EOF, s.Err())
	})
}

func TestCloseWriteThenRead(t *testing.T) {
	s, peer := pair(t, startLoop(t, ioloop.Config{}), "tcp", nil)
	write(t, s, "question")
	require.NoError(t, s.CloseWrite())
	question, err := io.ReadAll(peer)
	require.NoError(t, err)
	require.Equal(t, "question", string(question))
	send(t, peer, "answer\n")
	answer, err := s.Read(patient(t), iostream.Until("\n"))
	require.NoError(t, err)
	require.Equal(t, "answer\n", string(answer))
	requireIs(t, s.CloseWrite(), net.ErrClosed)
}

func TestCloseInOrder(t *testing.T) {
	eachNetwork(t, func(t *testing.T, network string) {
		s, peer := pair(t, startLoop(t, ioloop.Config{}), network, nil)
		data := pattern(8 << 20)
		_, err := s.Write(data)
		require.NoError(t, err)
		pending := faces[0].read(t, s, until("\n", 0))
		awaitRead(t, s)
		require.NoError(t, s.Close())
		requireIs(t, receive(t, pending).err, net.ErrClosed)
		_, err = s.Write([]byte("x"))
		requireIs(t, err, net.ErrClosed)
		send(t, peer, "nobody reads this, and it must not reset the connection")
		got, err := io.ReadAll(peer)
		require.NoError(t, err)
		require.Equal(t, len(data), len(got))
		require.NoError(t, peer.Close())
		require.NoError(t, s.WaitClosed(patient(t)))
		require.Equal(t, net.ErrClosed, s.Err())
	})
}

func TestCloseWaitsForThePeer(t *testing.T) {
	m := fullWire()
	s := onWire(t, nil, m)
	write(t, s, "last words")
	require.NoError(t, s.Close())
	m.Arrive([]byte("discarded"))
	quiet(t, s.Loop())
	require.Zero(t, m.State().FINs, "it is not out")
	m.AddWindow(100)
	quiet(t, s.Loop())
	require.Equal(t, 1, m.State().FINs)
	require.Zero(t, m.State().Closes)
	require.Equal(t, 9, m.State().Received)
	require.NoError(t, s.Err())
	m.FIN()
	require.NoError(t, s.WaitClosed(patient(t)))
	require.Equal(t, "last words", m.Sent())
}

func TestCloseGivesUp(t *testing.T) {
	clock := new(ioloop.ManualClock)
	l := startLoop(t, ioloop.Config{Clock: clock})
	m := fullWire()
	s, err := iostream.New(l, m.Transport(), nil)
	require.NoError(t, err)
	mark := write(t, s, "stuck")
	require.NoError(t, s.Close())
	quiet(t, l)
	require.NoError(t, s.Err())
	clock.Advance(iostream.DefaultCloseTimeout - 1)
	quiet(t, l)
	require.NoError(t, s.Err())
	clock.Advance(1)
	require.NoError(t, s.WaitClosed(patient(t)))
	requireIs(t, s.WaitSent(patient(t), mark), iostream.ErrSendTimeout)
}

func TestCloseWhenIdle(t *testing.T) {
	s, peer := pair(t, startLoop(t, ioloop.Config{}), "tcp", nil)
	require.NoError(t, s.Handle(iostream.Until("\n"), func(line []byte, err error) bool {
		if err == nil {
			_, _ = s.Write(line)
		}
		return true
	}))
	send(t, peer, "half a ")
	for s.Buffered() == 0 {
		onLoop(t, s.Loop(), func() {})
	}
	streamhook.CloseWhenIdle(s)
	quiet(t, s.Loop())
	require.False(t, s.Err() != nil, "a message is under way")
	send(t, peer, "line\n")
	all, err := io.ReadAll(peer)
	require.NoError(t, err)
	require.Equal(t, "half a line\n", string(all))
	require.NoError(t, peer.Close())
	require.NoError(t, s.WaitClosed(patient(t)))
}

func TestIdleTimeout(t *testing.T) {
	clock := new(ioloop.ManualClock)
	s, peer := pair(t, startLoop(t, ioloop.Config{Clock: clock}), "tcp", nil)
	require.NoError(t, s.SetIdleTimeout(time.Minute))
	pending := faces[0].read(t, s, exactly(2))
	clock.Advance(40 * time.Second)
	send(t, peer, "a")
	for s.Buffered() == 0 {
		onLoop(t, s.Loop(), func() {})
	}
	clock.Advance(40 * time.Second)
	quiet(t, s.Loop())
	require.False(t, s.Err() != nil, "a byte has moved")
	clock.Advance(20 * time.Second)
	err := receive(t, pending).err
	requireIs(t, err, os.ErrDeadlineExceeded)
	requireIs(t, err, iostream.ErrIdle)
	var e *iostream.Error
	require.True(t, errors.As(err, &e) && e.Timeout())
}

// TestPanicLeavesTheRest: what a callback that fails has not taken is the
// stream's own, not what the next stream receives.
func TestPanicLeavesTheRest(t *testing.T) {
	l := startLoop(t, ioloop.Config{})
	one, other := fullWire(), fullWire()
	s, err := iostream.New(l, one.Transport(), nil)
	require.NoError(t, err)
	next, err := iostream.New(l, other.Transport(), nil)
	require.NoError(t, err)
	require.NoError(t, s.Handle(iostream.Until("\n"), func([]byte, error) bool { panic(errPlayed) }))
	require.NoError(t, next.Handle(iostream.Until("\n"), func([]byte, error) bool { return true }))
	quiet(t, l)
	onLoop(t, l, func() {
		one.Arrive([]byte("first\nthe rest\n"))
		other.Arrive([]byte("somebody else's\n"))
	})
	require.NoError(t, s.WaitClosed(patient(t)))
	rest, err := s.Read(patient(t), iostream.Some(0))
	require.NoError(t, err)
	require.Equal(t, "the rest\n", string(rest))
	require.NoError(t, next.Close())
}

func TestPanicInACallbackClosesTheStream(t *testing.T) {
	for name, fail := range map[string]func(){
		"panic":  func() { panic(errPlayed) },
		"goexit": runtime.Goexit,
	} {
		t.Run(name, func(t *testing.T) {
			l := startLoop(t, ioloop.Config{})
			s, peer := pair(t, l, "tcp", nil)
			other, otherPeer := pair(t, l, "tcp", nil)
			mark := make(chan error, 1)
			require.NoError(t, s.Handle(iostream.Until("\n"), func(line []byte, err error) bool {
				_, _ = s.Write([]byte("corked"))
				_ = s.WaitSentFunc(s.Mark(), func(err error) { mark <- err })
				fail()
				return true
			}))
			send(t, peer, "x\ny\n")
			require.NoError(t, s.WaitClosed(patient(t)))
			require.Error(t, receive(t, mark))
			if name == "panic" {
				require.ErrorIs(t, s.Err(), errPlayed)
			} else {
				require.ErrorIs(t, s.Err(), ioloop.ErrGoexit)
			}
			_, err := s.Read(patient(t), iostream.Bytes(100))
			requireIs(t, err, s.Err()) // the slot is free
			send(t, otherPeer, "fine\n")
			_, err = other.Read(patient(t), iostream.Until("\n"))
			require.NoError(t, err)
		})
	}
}

func TestLoopCloseFailsItsStreams(t *testing.T) {
	leaktest.Check(t)
	l, err := ioloop.New(ioloop.Config{})
	require.NoError(t, err)
	ended := make(chan error, 1)
	go func() { ended <- l.Run(context.Background()) }()
	s, _ := pair(t, l, "tcp", nil)
	pending := faces[0].read(t, s, until("\n", 0))
	taskEnded := make(chan error, 1)
	require.NoError(t, l.Go(func(task *ioloop.Task) {
		taskEnded <- nil
		for {
			if err := s.WaitClosed(task); err == nil {
				return
			}
		}
	}))
	receive(t, taskEnded)
	require.NoError(t, l.Close())
	require.NoError(t, receive(t, ended))
	requireIs(t, receive(t, pending).err, ioloop.ErrClosed)
	require.Error(t, s.Err())
	_, err = iostream.New(l, fullWire().Transport(), nil)
	requireIs(t, err, ioloop.ErrClosed)

	// A callback that nobody would call is not taken.
	never := func(error) { panic("called") }
	requireIs(t, s.WaitSentFunc(0, never), ioloop.ErrClosed)
	requireIs(t, s.RoomFunc(never), ioloop.ErrClosed)
	requireIs(t, s.ReadFunc(iostream.Bytes(0), func(_ []byte, err error) { never(err) }), ioloop.ErrClosed)
	requireIs(t, s.ReadAtLeastFunc(nil, 0, func(_ int, err error) { never(err) }), ioloop.ErrClosed)
	requireIs(t, s.Handle(iostream.Until("\n"), func(_ []byte, err error) bool { never(err); return false }), ioloop.ErrClosed)
	require.False(t, s.Reading())
}

// TestStoppedTaskFreesTheSlot: a task that is unwound in the middle of a read
// leaves the stream usable.
func TestStoppedTaskFreesTheSlot(t *testing.T) {
	leaktest.Check(t)
	l, err := ioloop.New(ioloop.Config{})
	require.NoError(t, err)
	s, peer := pair(t, l, "tcp", nil)
	require.NoError(t, l.Go(func(task *ioloop.Task) {
		for {
			_, _ = s.Read(task, iostream.Until("\n"))
		}
	}))
	require.NoError(t, l.Go(func(task *ioloop.Task) { _ = task.Yield(); l.Stop() }))
	require.NoError(t, l.Run(context.Background()))
	send(t, peer, "later\n")
	require.NoError(t, l.Go(func(task *ioloop.Task) {
		line, err := s.Read(task, iostream.Until("\n"))
		require.NoError(t, err)
		require.Equal(t, "later\n", string(line))
		l.Stop()
	}))
	require.NoError(t, l.Run(context.Background()))
	require.NoError(t, l.Close())
}

// TestCloseFromEverywhere races closes of every kind with operations of every
// kind.
func TestCloseFromEverywhere(t *testing.T) {
	l := startLoop(t, ioloop.Config{})
	for round := range 100 {
		s, peer := pair(t, l, networks[round%2], nil)
		var wg sync.WaitGroup
		var closes sync.WaitGroup
		closes.Add(1)
		_ = s.WaitClosedFunc(func(error) { closes.Done() })
		wg.Go(func() { _, _ = s.Read(context.Background(), iostream.Until("\n")) })
		wg.Go(func() { _, _ = s.Write(make([]byte, 1<<20)); _ = s.Flush(context.Background()) })
		wg.Go(func() { _ = s.Handle(iostream.Some(0), func([]byte, error) bool { return false }) })
		wg.Go(func() { _, _ = peer.Write([]byte("some bytes")) })
		wg.Go(func() { _ = peer.Close() })
		wg.Go(func() { _ = s.Close() })
		wg.Go(func() { _ = l.Post(func() { _ = s.Close() }) })
		wg.Go(func() { _ = s.Close() })
		wg.Wait()
		closes.Wait()
		require.Error(t, s.Err())
	}
}
