//go:build unix || windows

package iostream_test

import (
	"context"
	"testing"

	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
	"github.com/eddyloop/eddy/iostreamtest"
	"github.com/stretchr/testify/require"
)

const corkLimit = 16 << 10 // what is put off to the end of a turn

// What a callback writes is put off to the end of the turn, up to corkLimit.
func TestWhatIsPutOff(t *testing.T) {
	for name, test := range map[string]struct {
		sizes  []int
		writes int // that the transport has seen when the callback returns
	}{
		"little":           {[]int{1}, 0},
		"nothing":          {[]int{0}, 0},
		"all that may be":  {[]int{corkLimit}, 0},
		"more":             {[]int{corkLimit + 1}, 1},
		"just as much":     {[]int{corkLimit - 1, 1}, 0},
		"too much in all":  {[]int{corkLimit, 1}, 1},
		"and another one":  {[]int{corkLimit, 1, 1}, 1},
		"several too much": {[]int{corkLimit, 1, corkLimit, 1}, 2},
	} {
		for how, write := range map[string]func(s *iostream.Stream, b []byte) error{
			"Write":        func(s *iostream.Stream, b []byte) error { _, err := s.Write(b); return err },
			"WriteBuffers": func(s *iostream.Stream, b []byte) error { _, err := s.WriteBuffers([][]byte{b}); return err },
		} {
			p := newPuppet(t, iostreamtest.Options{}, nil)
			require.NoError(t, p.world.Settle())
			seen, total := -1, 0
			require.NoError(t, p.world.Loop.Post(func() {
				for _, n := range test.sizes {
					require.NoError(t, write(p.Stream, make([]byte, n)))
					total += n
				}
				seen = p.wire.State().Writes
			}))
			require.NoError(t, p.world.Settle())
			require.Equal(t, test.writes, seen, "%s, %s", name, how)
			require.Equal(t, total, p.wire.State().Sent)
		}
	}
}

// What was put off leaves early if a write needs its room.
func TestWhatWasPutOffMakesRoom(t *testing.T) {
	const limit, before = 100, 10
	for name, test := range map[string]struct {
		size   int
		breaks bool
		err    error
		mark   int64
	}{
		"it is enough":     {limit, false, nil, before + limit},
		"it is not enough": {limit + 1, false, iostream.ErrBufferFull, before},
		"it fails":         {limit, true, errPlayed, before + limit},
	} {
		p := newPuppet(t, iostreamtest.Options{}, &iostream.Config{WriteLimit: limit})
		require.NoError(t, p.world.Settle())
		require.NoError(t, p.world.Loop.Post(func() {
			_, err := p.Write(make([]byte, before))
			require.NoError(t, err)
			if test.breaks {
				p.wire.FailWrites(errPlayed)
			}
			_, err = p.Write(make([]byte, test.size))
			requireIs(t, err, test.err)
			require.Equal(t, test.mark, p.Mark(), name)
		}))
		require.NoError(t, p.world.Settle())
		if test.breaks {
			requireIs(t, p.WaitSent(context.Background(), p.Mark()), errPlayed)
		} else {
			require.EqualValues(t, test.mark, p.wire.State().Sent, name)
		}
	}
}

// WriteBuffers of a goroutine sends what is small with what is large behind it.
func TestWriteBuffersCalls(t *testing.T) {
	const large = corkLimit + 1
	for name, test := range map[string]struct {
		sizes  []int
		writes int
	}{
		"small":            {[]int{10, 10}, 1},
		"header and body":  {[]int{10, large}, 1},
		"body and trailer": {[]int{large, 10}, 2},
		"copied":           {[]int{corkLimit, 10}, 1},
		"large ones":       {[]int{large, large}, 2},
		"two messages":     {[]int{10, large, 10, large}, 2},
	} {
		p := newPuppet(t, iostreamtest.Options{}, nil)
		require.NoError(t, p.world.Settle())
		var bufs [][]byte
		total := 0
		for _, n := range test.sizes {
			bufs = append(bufs, make([]byte, n))
			total += n
		}
		_, err := p.WriteBuffers(bufs)
		require.NoError(t, err)
		require.Equal(t, test.writes, p.wire.State().Writes, name)
		require.Equal(t, total, p.wire.State().Sent, name)

		p = newPuppet(t, iostreamtest.Options{Window: iostreamtest.NoWindow}, nil)
		require.NoError(t, p.world.Settle())
		_, err = p.WriteBuffers(bufs)
		require.NoError(t, err)
		require.NoError(t, p.world.Settle())
		p.wire.AddWindow(total)
		require.NoError(t, p.world.Settle())
		require.Equal(t, total, p.wire.State().Sent, name)
	}
}

// RunTask waits until what a closed stream has to send is out, and no longer: the clock, on
// which Close would wait for the peer, stands still.
func TestRunTaskWaitsForWhatIsSent(t *testing.T) {
	l, err := ioloop.New(ioloop.Config{Clock: new(ioloop.ManualClock)})
	require.NoError(t, err)
	defer l.Close()
	wire := fullWire()
	s, err := iostream.New(l, wire.Transport(), nil)
	require.NoError(t, err)
	require.NoError(t, l.RunTask(patient(t), func(task *ioloop.Task) error {
		_, err := s.Write([]byte("last words"))
		require.NoError(t, err)
		require.NoError(t, task.Yield())
		require.NoError(t, s.Close())
		return l.Post(func() { _ = l.Post(func() { wire.AddWindow(100) }) })
	}))
	require.Equal(t, "last words", wire.Sent())
	require.NoError(t, s.Err(), "it waits for the peer")

	wire = fullWire()
	s, err = iostream.New(l, wire.Transport(), nil)
	require.NoError(t, err)
	require.NoError(t, l.RunTask(patient(t), func(task *ioloop.Task) error {
		_, err := s.Write([]byte("not sent"))
		require.NoError(t, err)
		require.NoError(t, task.Yield())
		require.NoError(t, s.Close())
		s.Abort(nil)
		return nil
	}))
	require.Empty(t, wire.Sent())
}

// With its loop a stream sends what the transport takes, ends, and takes in what has come,
// so that the kernel need not break the connection.
func TestStreamEndsWithItsLoop(t *testing.T) {
	for _, ended := range []bool{false, true} {
		p := newPuppet(t, iostreamtest.Options{Window: iostreamtest.NoWindow}, nil)
		if ended {
			require.NoError(t, p.ReadFunc(iostream.UntilClose(), p.tell))
			p.wire.FIN()
		}
		require.NoError(t, p.world.Settle())
		write(t, p.Stream, "last words")
		p.wire.Arrive([]byte("unread"))
		require.NoError(t, p.world.Settle())
		p.wire.AddWindow(100)
		require.NoError(t, p.world.Close())
		require.ErrorIs(t, p.Err(), ioloop.ErrClosed)
		require.Equal(t, "last words", p.wire.Sent())
		state := p.wire.State()
		require.Equal(t, 1, state.FINs)
		require.Equal(t, 1, state.Closes)
		require.Equal(t, !ended, state.Received == len("unread"))
		require.Empty(t, state.Misuse)
	}
}

// A write that the transport takes gives the loop nothing to do, whether somebody reads or not.
func TestWriteIsNoWorkOfTheLoop(t *testing.T) {
	for _, reads := range []bool{false, true} {
		p := newPuppet(t, iostreamtest.Options{}, nil)
		p.wire.Arrive([]byte("nobody reads this yet"))
		require.NoError(t, p.world.Settle())
		if reads {
			require.NoError(t, p.Handle(iostream.Until("\n"), func([]byte, error) bool { return true }))
			require.NoError(t, p.world.Settle())
		}
		write(t, p.Stream, "answer")
		require.Equal(t, "answer", p.wire.Sent())
		worked, err := p.world.RunOnce()
		require.NoError(t, err)
		require.False(t, worked)
	}
}

// A task that waits for what it has just written does not wait for the turn's end.
func TestFlushSendsAtOnce(t *testing.T) {
	p := newPuppet(t, iostreamtest.Options{}, nil)
	require.NoError(t, p.world.Settle())
	turns := func() uint64 { return p.world.Loop.Stats().Turns }
	require.NoError(t, p.world.Loop.Go(func(task *ioloop.Task) {
		before := turns()
		write(t, p.Stream, "answer")
		require.Empty(t, p.wire.Sent())
		require.NoError(t, p.Flush(task))
		require.Equal(t, "answer", p.wire.Sent())
		require.Equal(t, before, turns())
		p.tell([]byte("flushed"), nil)
	}))
	p.expect("flushed")
}
