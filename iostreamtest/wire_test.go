package iostreamtest_test

import (
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/eddyloop/eddy/internal/leaktest"
	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
	"github.com/eddyloop/eddy/iostreamtest"
	"github.com/stretchr/testify/require"
)

func newPlayed(t *testing.T, o iostreamtest.Options, config *iostream.Config) (*iostreamtest.World, *iostreamtest.Wire, *iostream.Stream) {
	t.Helper()
	leaktest.Check(t)
	world, wire := iostreamtest.NewWorld(), iostreamtest.NewWire(o)
	s, err := iostream.New(world.Loop, wire.Transport(), config)
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, s.Close())
		require.NoError(t, world.Settle())
		require.Empty(t, wire.State().Misuse)
		require.NoError(t, world.Close())
	})
	return world, wire, s
}

func TestReadSizeCutsArrivals(t *testing.T) {
	world, wire, s := newPlayed(t, iostreamtest.Options{ReadSize: 2}, nil)
	var got []string
	require.NoError(t, s.Handle(iostream.Some(0), func(b []byte, err error) bool {
		if err == nil {
			got = append(got, string(b))
		}
		return err == nil
	}))
	wire.Arrive([]byte("abc"))
	wire.Arrive([]byte("de"))
	wire.FIN()
	require.NoError(t, world.Settle())
	require.Equal(t, []string{"ab", "cd", "e"}, got)
	require.Equal(t, io.EOF, wire.State().ReadErr)
}

func TestWindowAndWriteSize(t *testing.T) {
	world, wire, s := newPlayed(t, iostreamtest.Options{Window: 4, WriteSize: 3}, nil)
	_, err := s.Write([]byte("0123456789"))
	require.NoError(t, err)
	require.NoError(t, world.Settle())
	require.Equal(t, "0123", wire.Sent())
	require.Equal(t, 6, s.Backlog())
	wire.AddWindow(5)
	require.NoError(t, world.Settle())
	require.Equal(t, "012345678", wire.Sent())
}

// TestRecords: bytes count as sent when their record is out, and a read waits
// for the answer to the record before.
func TestRecords(t *testing.T) {
	world, wire, s := newPlayed(t, iostreamtest.Options{RecordSize: 4, Window: 10}, nil)
	_, err := s.Write([]byte("abcdefgh"))
	require.NoError(t, err)
	require.NoError(t, world.Settle())
	require.Equal(t, "abcd", wire.Sent())
	require.Equal(t, 4, s.Backlog())
	var got string
	require.NoError(t, s.ReadFunc(iostream.Bytes(8), func(b []byte, err error) { got = string(b) }))
	wire.Arrive([]byte("12345678"))
	require.NoError(t, world.Settle())
	require.Equal(t, 4, wire.State().Received)
	require.False(t, wire.State().Readable)
	wire.AddWindow(100)
	require.NoError(t, world.Settle())
	require.Equal(t, "12345678", got)
	require.Equal(t, "abcdefgh", wire.Sent())
}

// TestHandshake: nothing is sent before the peer has said hello.
func TestHandshake(t *testing.T) {
	world, wire, s := newPlayed(t, iostreamtest.Options{RecordSize: 4, Handshake: true}, nil)
	_, err := s.Write([]byte("hi"))
	require.NoError(t, err)
	require.NoError(t, world.Settle())
	require.Empty(t, wire.Sent())
	wire.Hello()
	require.NoError(t, world.Settle())
	require.Equal(t, "hi", wire.Sent())
}

// TestSeedRepeats: the whims of a wire are those of its seed, in every run.
func TestSeedRepeats(t *testing.T) {
	run := func(seed uint64) (events []string) {
		trace := func(event string) { events = append(events, event) }
		world, wire, s := newPlayed(t, iostreamtest.Options{Seed: seed, ReadSize: 9, Trace: trace}, nil)
		require.NoError(t, s.Handle(iostream.Until("\n"), func(b []byte, err error) bool {
			_, _ = s.Write(b)
			return err == nil
		}))
		wire.Arrive([]byte(strings.Repeat("abc\n", 20)))
		require.NoError(t, world.Settle())
		require.Equal(t, strings.Repeat("abc\n", 20), wire.Sent())
		return events
	}
	require.Equal(t, run(7), run(7))
	require.NotEqual(t, run(7), run(8))
}

func TestPipe(t *testing.T) {
	leaktest.Check(t)
	world := iostreamtest.NewWorld()
	one, other := iostreamtest.Pipe(iostreamtest.Options{Window: 3}, iostreamtest.Options{RecordSize: 2, Handshake: true})
	a, err := iostream.New(world.Loop, one.Transport(), nil)
	require.NoError(t, err)
	b, err := iostream.New(world.Loop, other.Transport(), nil)
	require.NoError(t, err)
	_, err = a.Write([]byte("0123456789"))
	require.NoError(t, err)
	require.NoError(t, world.Settle())
	require.Equal(t, 7, a.Backlog(), "three bytes are under way")
	var got, end string
	require.NoError(t, b.ReadFunc(iostream.Bytes(10), func(p []byte, err error) { got = string(p) }))
	require.NoError(t, world.Settle())
	require.Equal(t, "0123456789", got)
	require.NoError(t, b.ReadFunc(iostream.UntilClose(), func(p []byte, err error) { end = string(p) }))
	_, err = a.Write([]byte("bye"))
	require.NoError(t, err)
	require.NoError(t, a.Close())
	require.NoError(t, world.Settle())
	require.Equal(t, "bye", end)
	require.NoError(t, b.Close())
	require.NoError(t, world.Settle())
	require.Error(t, b.Err())
	require.Error(t, a.Err())
	require.NoError(t, world.Close())
}

// TestClosedPipe: writing to an end that is gone fails.
func TestClosedPipe(t *testing.T) {
	leaktest.Check(t)
	world := iostreamtest.NewWorld()
	one, other := iostreamtest.Pipe(iostreamtest.Options{Window: 3}, iostreamtest.Options{})
	a, err := iostream.New(world.Loop, one.Transport(), nil)
	require.NoError(t, err)
	b, err := iostream.New(world.Loop, other.Transport(), nil)
	require.NoError(t, err)
	_, err = a.Write([]byte("0123456789"))
	require.NoError(t, err)
	b.Abort(nil)
	require.NoError(t, world.Settle())
	require.ErrorIs(t, a.WaitSent(context.Background(), a.Mark()), io.ErrClosedPipe)
	require.NoError(t, world.Close())
}

func TestWorldTime(t *testing.T) {
	world, _, s := newPlayed(t, iostreamtest.Options{}, nil)
	var err error
	require.NoError(t, world.Loop.Go(func(task *ioloop.Task) {
		view, cancel := task.WithTimeout(time.Second)
		defer cancel()
		_, err = s.Read(view, iostream.Bytes(1))
	}))
	require.NoError(t, world.Settle())
	require.NoError(t, err)
	require.NoError(t, world.Advance(time.Second))
	require.ErrorIs(t, err, context.DeadlineExceeded)
}

func TestWorldThatSpins(t *testing.T) {
	world, _, _ := newPlayed(t, iostreamtest.Options{}, nil)
	again := true
	var spin func()
	spin = func() {
		if again {
			_ = world.Loop.Post(spin)
		}
	}
	spin()
	require.ErrorIs(t, world.Settle(), iostreamtest.ErrBusy)
	again = false
}

// TestMisuseIsNoted: a transport that is called wrongly says so.
func TestMisuseIsNoted(t *testing.T) {
	wire := iostreamtest.NewWire(iostreamtest.Options{RecordSize: 3, Window: -1})
	transport := wire.Transport()
	_, _ = transport.Write([][]byte{[]byte("abc")})
	_, _ = transport.Write(nil)
	_, _ = transport.Read(nil)
	_ = transport.CloseWrite()
	_, _ = transport.Write([][]byte{[]byte("abc")})
	wire.FIN()
	_, _ = transport.Read(make([]byte, 1))
	_, _ = transport.Read(make([]byte, 1))
	_ = transport.Close(nil)
	_ = transport.Close(nil)
	require.Equal(t, []string{"empty Write", "empty Read", "CloseWrite before what was written is out",
		"Write after CloseWrite", "Read after the end", "Close after Close"}, wire.State().Misuse)
}
