//go:build unix || windows

package iostream_test

import (
	"context"
	"errors"
	"net"
	"syscall"
	"testing"

	"github.com/eddyloop/eddy/internal/streamhook"
	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
	"github.com/eddyloop/eddy/iostreamtest"
	"github.com/stretchr/testify/require"
)

// The tests of this file are schedules that package iostreamtest found to fail,
// in their shortest form.

// played is a stream in a world of its own.
type played struct {
	*iostream.Stream
	*iostreamtest.World
	wire *iostreamtest.Wire
	t    *testing.T
}

func playWire(t *testing.T, config *iostream.Config, o iostreamtest.Options) *played {
	t.Helper()
	world := iostreamtest.NewWorld()
	wire := iostreamtest.NewWire(o)
	s, err := iostream.New(world.Loop, wire.Transport(), config)
	require.NoError(t, err)
	p := &played{s, world, wire, t}
	t.Cleanup(func() {
		require.NoError(t, s.Close())
		if err := p.Settle(); !errors.Is(err, ioloop.ErrClosed) { // the test has not closed it
			require.NoError(t, err)
			require.NoError(t, world.Close())
		}
	})
	p.settle()
	return p
}

func (p *played) settle() {
	p.t.Helper()
	require.NoError(p.t, p.Settle())
}

// ends is the error that a callback got.
type ends struct {
	err   error
	times int
}

func (e *ends) take(err error) { e.err = err; e.times++ }

func (e *ends) read(_ []byte, err error) { e.take(err) }

// TestFailedWriteIsNotSent: a write that is handed on at once and fails was
// counted as sent.
func TestFailedWriteIsNotSent(t *testing.T) {
	for name, o := range map[string]iostreamtest.Options{"plain": {}, "records": {RecordSize: 10}} {
		t.Run(name, func(t *testing.T) {
			p := playWire(t, nil, o)
			p.wire.FailWrites(syscall.EPIPE)
			_, err := p.Write(make([]byte, 20))
			requireIs(t, err, syscall.EPIPE)
			requireIs(t, p.WaitSent(context.Background(), p.Mark()), syscall.EPIPE)
		})
	}
}

// TestRoomFuncTellsTheEnd: on a closed stream whose bytes are all out it said
// that there was room.
func TestRoomFuncTellsTheEnd(t *testing.T) {
	p := playWire(t, nil, iostreamtest.Options{})
	var room ends
	require.NoError(t, p.CloseWrite())
	require.NoError(t, p.RoomFunc(room.take))
	p.settle()
	requireIs(t, room.err, net.ErrClosed)
	p.Abort(errPlayed)
	require.NoError(t, p.RoomFunc(room.take))
	p.settle()
	requireIs(t, room.err, errPlayed)
	require.Equal(t, 2, room.times)
	requireIs(t, p.RoomFunc(nil), iostream.ErrInvalid)
}

// TestRoomFuncLooksAgain: what was written meanwhile counts.
func TestRoomFuncLooksAgain(t *testing.T) {
	p := playWire(t, &iostream.Config{HighWaterMark: 10}, iostreamtest.Options{Window: -1})
	var room ends
	write(t, p.Stream, "0123456789x")
	require.NoError(t, p.RoomFunc(room.take))
	write(t, p.Stream, "0123456789")
	p.wire.AddWindow(6)
	p.settle()
	require.Zero(t, room.times, "15 bytes wait to be sent")
	p.wire.AddWindow(10)
	p.settle()
	require.Equal(t, ends{nil, 1}, room)
}

// TestRoomFuncWaitsNotForNothing: where nothing more can be written, it did not wait for what
// was written before.
func TestRoomFuncWaitsNotForNothing(t *testing.T) {
	p := playWire(t, &iostream.Config{HighWaterMark: 10}, iostreamtest.Options{Window: -1})
	var room ends
	write(t, p.Stream, "0123456789x")
	require.NoError(t, p.CloseWrite())
	require.NoError(t, p.RoomFunc(room.take))
	p.settle()
	requireIs(t, room.err, net.ErrClosed)
}

// TestRoomLooksAgain: a producer that waits is not told of room that others have filled.
func TestRoomLooksAgain(t *testing.T) {
	p := playWire(t, &iostream.Config{HighWaterMark: 10}, iostreamtest.Options{Window: -1})
	var room ends
	write(t, p.Stream, "0123456789x")
	require.NoError(t, p.World.Loop.Go(func(task *ioloop.Task) { room.take(p.Room(task)) }))
	p.settle()
	write(t, p.Stream, "0123456789")
	p.wire.AddWindow(6)
	p.settle()
	require.Zero(t, room.times, "15 bytes wait to be sent")
	p.wire.AddWindow(10)
	p.settle()
	require.Equal(t, ends{nil, 1}, room)
}

// TestCloseWhenIdleSparesAFilledBuffer: bytes in the caller's buffer are a
// message under way.
func TestCloseWhenIdleSparesAFilledBuffer(t *testing.T) {
	p := playWire(t, nil, iostreamtest.Options{})
	var read ends
	require.NoError(t, p.ReadAtLeastFunc(make([]byte, 2), 2, func(_ int, err error) { read.take(err) }))
	p.wire.Arrive([]byte("a"))
	p.settle()
	streamhook.CloseWhenIdle(p.Stream)
	p.settle()
	require.NoError(t, p.Err())
	p.wire.Arrive([]byte("b"))
	p.settle()
	require.Equal(t, ends{nil, 1}, read)
}

// TestCloseWhenIdleNeedsNoEvent: a stream that waits for its peer is closed at once.
func TestCloseWhenIdleNeedsNoEvent(t *testing.T) {
	p := playWire(t, nil, iostreamtest.Options{})
	var read ends
	require.NoError(t, p.ReadFunc(iostream.Until("\n"), read.read))
	p.settle()
	streamhook.CloseWhenIdle(p.Stream)
	p.settle()
	require.Equal(t, 1, p.wire.State().FINs)
	require.True(t, p.Err() != nil, "nothing is lost: the peer is not waited for")
	requireIs(t, read.err, net.ErrClosed)
}

// TestCloseWhenIdleClosesTheNextRead: no event was due that would have looked.
func TestCloseWhenIdleClosesTheNextRead(t *testing.T) {
	p := playWire(t, nil, iostreamtest.Options{})
	var read ends
	p.wire.Arrive([]byte("a\n"))
	require.NoError(t, p.ReadFunc(iostream.Until("\n"), read.read))
	p.settle()
	streamhook.CloseWhenIdle(p.Stream)
	p.settle()
	require.False(t, p.Err() != nil, "the message may be in work")
	require.NoError(t, p.ReadFunc(iostream.Until("\n"), read.read))
	p.settle()
	p.wire.FIN()
	p.settle()
	require.Error(t, p.Err())
	requireIs(t, read.err, net.ErrClosed)
}

// TestCloseDiscardsDespiteARead: a read that comes too late got input
// received.
func TestCloseDiscardsDespiteARead(t *testing.T) {
	p := playWire(t, nil, iostreamtest.Options{})
	require.NoError(t, p.Stream.Close())
	p.settle()
	p.wire.Arrive([]byte("late\n"))
	var read ends
	require.NoError(t, p.ReadFunc(iostream.Until("\n"), read.read))
	p.settle()
	requireIs(t, read.err, net.ErrClosed)
	require.Equal(t, 5, p.wire.State().Received)
	require.Zero(t, p.Buffered())
}

// TestCloseReadsWhatComesOnce: it costs no call that says that no more is there.
func TestCloseReadsWhatComesOnce(t *testing.T) {
	p := playWire(t, nil, iostreamtest.Options{})
	require.NoError(t, p.Stream.Close())
	p.settle()
	for reads := 1; reads <= 3; reads++ {
		p.wire.Arrive([]byte("late\n"))
		p.settle()
		require.Equal(t, reads, p.wire.State().Reads)
	}
}

// TestLoopCloseReadsWhatWouldReset: a loop that closes sends the end of its streams. Bytes that
// nobody has read would have the kernel reset the connection instead, and the peer could lose
// what was sent last.
func TestLoopCloseReadsWhatWouldReset(t *testing.T) {
	p := playWire(t, nil, iostreamtest.Options{})
	p.wire.Arrive(make([]byte, 3*64<<10+1))
	p.settle()
	require.NotZero(t, p.wire.State().Arrived)
	require.NoError(t, p.World.Close())
	require.Equal(t, 1, p.wire.State().FINs)
	require.Zero(t, p.wire.State().Arrived)
}

// TestCloseDrainsTheTransport: what the transport holds back is
// announced by nothing.
func TestCloseDrainsTheTransport(t *testing.T) {
	p := playWire(t, nil, iostreamtest.Options{RecordSize: 100, ReadSize: 1})
	require.NoError(t, p.Stream.Close())
	p.wire.Arrive([]byte("twenty bytes to drop"))
	p.settle()
	require.Equal(t, 20, p.wire.State().Received)
	p.wire.FIN()
	p.settle()
	require.Error(t, p.Err())
	require.Empty(t, p.wire.State().Misuse)
}

// TestNoFinAfterAFailedWrite: the peer must not take what it got for all there
// was.
func TestNoFinAfterAFailedWrite(t *testing.T) {
	for name, end := range map[string]func(p *played) error{
		"before": func(p *played) error { return p.CloseWrite() },
		"after":  func(p *played) error { p.settle(); return p.Stream.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			p := playWire(t, nil, iostreamtest.Options{Window: -1})
			write(t, p.Stream, "lost")
			p.settle()
			if name == "before" {
				require.NoError(t, end(p))
			}
			p.wire.FailWrites(syscall.EPIPE)
			if name == "after" {
				require.NoError(t, end(p))
			}
			p.settle()
			require.Zero(t, p.wire.State().FINs)
			require.Empty(t, p.wire.State().Misuse)
		})
	}
}

// TestEndIsNoticedBesideARead: the close watch tells once, and the read that was
// pending then had enough before the end.
func TestEndIsNoticedBesideARead(t *testing.T) {
	p := playWire(t, nil, iostreamtest.Options{ReadSize: 1})
	var read ends
	require.NoError(t, p.ReadFunc(iostream.Bytes(1), read.read))
	p.wire.Arrive([]byte("abc"))
	p.settle()
	p.wire.FIN()
	require.NoError(t, p.ReadFunc(iostream.Bytes(1), read.read))
	p.settle()
	require.Equal(t, ends{nil, 2}, read)
	require.True(t, streamhook.ReadClosed(p.Stream))
}
