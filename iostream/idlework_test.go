//go:build unix || windows

package iostream_test

import (
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/eddyloop/eddy/internal/streamhook"
	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
	"github.com/eddyloop/eddy/iostreamtest"
	"github.com/stretchr/testify/require"
)

// The silence that IdleTimeout measures begins when work ends, however long before the
// clock looks that was.
func TestIdleBeginsWhenWorkEnds(t *testing.T) {
	const limit = 8 * time.Second
	p := playWire(t, nil, iostreamtest.Options{})
	require.NoError(t, p.Stream.Handle(iostream.Until("\n"), func([]byte, error) bool { return true }))
	release := p.Stream.Hold()
	require.NoError(t, p.Stream.SetIdleTimeout(limit))
	for range 9 {
		require.NoError(t, p.Advance(time.Second))
	}
	release()
	for range 7 {
		require.NoError(t, p.Advance(time.Second))
	}
	require.NoError(t, p.Advance(time.Second-1))
	require.Zero(t, p.wire.State().FINs)
	require.NoError(t, p.Advance(limit/4+1))
	require.Equal(t, 1, p.wire.State().FINs)
	p.wire.FIN()
	p.settle()
	require.ErrorIs(t, p.Stream.Err(), iostream.ErrIdle)
}

// advance has time pass a second at a time, as it does for a clock that looks now and then.
func advance(t *testing.T, p *played, d time.Duration) {
	t.Helper()
	for ; d > 0; d -= time.Second {
		require.NoError(t, p.Advance(min(d, time.Second)))
	}
}

// So it does with work that ends before the clock looks at the end of the time. Of a
// handler's it knows to within a quarter, of other work exactly.
func TestIdleBeginsWhenShortWorkEnds(t *testing.T) {
	const limit = 8 * time.Second
	for name, c := range map[string]struct {
		serve func(t *testing.T, p *played, work time.Duration)
		exact bool
	}{
		"message": {func(t *testing.T, p *played, work time.Duration) {
			require.NoError(t, p.Stream.HandleTask(iostream.Until("\n"), func(tk *ioloop.Task, _ *iostream.Stream, _ []byte) error {
				return tk.Sleep(work)
			}))
		}, true},
		"hold": {func(t *testing.T, p *played, work time.Duration) {
			require.NoError(t, p.Stream.Handle(iostream.Until("\n"), func([]byte, error) bool {
				p.World.Loop.AfterFunc(work, p.Stream.Hold())
				return true
			}))
		}, true},
		"handler": {func(t *testing.T, p *played, work time.Duration) {
			streamhook.Serve(p.Stream)
			require.NoError(t, p.World.Loop.Go(func(tk *ioloop.Task) {
				for {
					if _, err := p.Stream.Read(tk, iostream.Until("\n")); err != nil {
						return
					}
					_ = tk.Sleep(work)
				}
			}))
		}, false},
	} {
		for _, work := range []time.Duration{time.Second, 3 * time.Second, limit - 1} {
			t.Run(fmt.Sprintf("%s/%v", name, work), func(t *testing.T) {
				shorter, longer := limit/4, limit/4
				if c.exact {
					shorter, longer = 0, 0
				}
				p := playWire(t, nil, iostreamtest.Options{})
				require.NoError(t, p.Stream.SetIdleTimeout(limit))
				c.serve(t, p, work)
				p.settle()
				for range 2 {
					p.wire.Arrive([]byte("line\n"))
					p.settle()
					advance(t, p, work)
					advance(t, p, limit-shorter-1)
					require.Zero(t, p.wire.State().FINs)
				}
				advance(t, p, 1+shorter+longer)
				require.Equal(t, 1, p.wire.State().FINs)
			})
		}
	}
}

// So it does, to within a quarter, where an answer is out just before that.
func TestIdleBeginsWhenAnAnswerIsOut(t *testing.T) {
	const limit = 8 * time.Second
	p := playWire(t, nil, iostreamtest.Options{Window: iostreamtest.NoWindow})
	require.NoError(t, p.Stream.Handle(iostream.Until("\n"), func(line []byte, _ error) bool {
		_, _ = p.Stream.Write(line)
		return true
	}))
	require.NoError(t, p.Stream.SetIdleTimeout(limit))
	p.wire.Arrive([]byte("line\n"))
	p.settle()
	advance(t, p, 7*limit/8)
	p.wire.AddWindow(100)
	p.settle()
	advance(t, p, 7*limit/8)
	require.Zero(t, p.wire.State().FINs)
	advance(t, p, 3*limit/8)
	require.Equal(t, 1, p.wire.State().FINs)
}

// So it is with bytes that a peer takes slowly.
func TestIdleBeginsWhenAllIsSent(t *testing.T) {
	const limit = 8 * time.Second
	p := playWire(t, nil, iostreamtest.Options{Window: iostreamtest.NoWindow})
	require.NoError(t, p.Stream.Handle(iostream.Until("\n"), func([]byte, error) bool { return true }))
	require.NoError(t, p.Stream.SetIdleTimeout(limit))
	_, err := p.Stream.Write(make([]byte, 20))
	require.NoError(t, err)
	for range 20 {
		require.NoError(t, p.Advance(limit/2))
		require.NoError(t, p.Stream.Err())
		p.wire.AddWindow(1)
	}
	require.NoError(t, p.Advance(limit/2))
	require.Zero(t, p.wire.State().FINs)
	require.NoError(t, p.Advance(limit))
	require.Equal(t, 1, p.wire.State().FINs)
}

// A stream is closed when the time is over, and neither before nor after.
func TestIdleEndsToTheMoment(t *testing.T) {
	const limit = 8 * time.Second
	p := playWire(t, nil, iostreamtest.Options{})
	require.NoError(t, p.Stream.Handle(iostream.Until("\n"), func([]byte, error) bool { return true }))
	require.NoError(t, p.Stream.SetIdleTimeout(limit))
	require.NoError(t, p.Advance(limit-1))
	require.Zero(t, p.wire.State().FINs)
	require.NoError(t, p.Advance(1))
	require.Equal(t, 1, p.wire.State().FINs)
}

// So is one whose peer takes nothing, from when that was seen first.
func TestIdleEndsToTheMomentWithBytesLeft(t *testing.T) {
	const limit = 8 * time.Second
	p := playWire(t, nil, iostreamtest.Options{Window: iostreamtest.NoWindow})
	require.NoError(t, p.Stream.Handle(iostream.Until("\n"), func([]byte, error) bool { return true }))
	require.NoError(t, p.Stream.SetIdleTimeout(limit))
	_, err := p.Stream.Write(make([]byte, 20))
	require.NoError(t, err)
	require.NoError(t, p.Advance(limit/4)) // it is seen
	require.NoError(t, p.Advance(limit-1))
	require.NoError(t, p.Stream.Err())
	require.NoError(t, p.Advance(1))
	require.ErrorIs(t, p.Stream.Err(), iostream.ErrIdle)
}

// A stream that shuts down, and is held, is closed when that is over: no event is due.
func TestReleaseOfAStreamThatShutsDown(t *testing.T) {
	p := playWire(t, nil, iostreamtest.Options{})
	require.NoError(t, p.Stream.Handle(iostream.Until("\n"), func([]byte, error) bool { return true }))
	first, last := p.Stream.Hold(), p.Stream.Hold()
	streamhook.CloseWhenIdle(p.Stream)
	for _, release := range []func(){first, last} {
		p.settle()
		require.NoError(t, p.Stream.Err())
		release()
	}
	p.settle()
	require.ErrorIs(t, p.Stream.Err(), net.ErrClosed)
}

// A handler that has the stream is at work where it does not read.
func TestServedStreamIsNotIdle(t *testing.T) {
	const limit = 8 * time.Second
	p := playWire(t, nil, iostreamtest.Options{})
	streamhook.Serve(p.Stream)
	require.NoError(t, p.Stream.SetIdleTimeout(limit))
	require.NoError(t, p.Advance(10*limit))
	require.Zero(t, p.wire.State().FINs)
	require.True(t, streamhook.Unserve(p.Stream))
	require.NoError(t, p.Advance(limit+limit/4))
	require.NoError(t, p.Advance(limit))
	require.Equal(t, 1, p.wire.State().FINs)
}

// Bytes that come for who waits with a buffer are no silence.
func TestIdleHearsReadsIntoABuffer(t *testing.T) {
	const limit = 8 * time.Second
	p := playWire(t, nil, iostreamtest.Options{})
	require.NoError(t, p.Stream.SetIdleTimeout(limit))
	read := 0
	require.NoError(t, p.World.Loop.Go(func(task *ioloop.Task) {
		for buf := make([]byte, 10); ; read++ {
			if _, err := p.Stream.ReadAtLeast(task, buf, 1); err != nil {
				return
			}
		}
	}))
	p.settle()
	for want := 1; want <= 4; want++ {
		require.NoError(t, p.Advance(limit/2+time.Second))
		p.wire.Arrive([]byte("x"))
		p.settle()
		require.NoError(t, p.Stream.Err())
		require.Equal(t, want, read)
	}
}

// Neither are the parts of a message that is long in coming.
func TestIdleHearsPartsOfAMessage(t *testing.T) {
	const limit = 8 * time.Second
	p := playWire(t, nil, iostreamtest.Options{})
	require.NoError(t, p.Stream.SetIdleTimeout(limit))
	var read ends
	require.NoError(t, p.ReadFunc(iostream.Until("\n"), read.read))
	for _, part := range []string{"a", "b", "c", "\n"} {
		require.NoError(t, p.Advance(limit/2+time.Second))
		require.Equal(t, ends{}, read)
		p.wire.Arrive([]byte(part))
		p.settle()
	}
	require.Equal(t, ends{nil, 1}, read)
}

// A peer that takes nothing any more is given up when that has lasted for the time, and no
// more than a quarter later.
func TestIdlePeerThatTakesNothing(t *testing.T) {
	const limit = 8 * time.Second
	for name, test := range map[string]struct {
		takes         time.Duration // when it takes another byte, 0: never
		first, latest time.Duration // when it is given up
	}{
		"nothing at all":  {0, 8 * time.Second, 10 * time.Second},
		"something later": {9 * time.Second, 17 * time.Second, 19 * time.Second},
	} {
		p := playWire(t, nil, iostreamtest.Options{Window: 10})
		require.NoError(t, p.Stream.Handle(iostream.Until("\n"), func([]byte, error) bool { return true }))
		require.NoError(t, p.Stream.SetIdleTimeout(limit))
		_, err := p.Stream.Write(make([]byte, 30))
		require.NoError(t, err)
		now := time.Duration(0)
		for ; p.Stream.Err() == nil && now < time.Minute; now += time.Second {
			if now == test.takes && now > 0 {
				p.wire.AddWindow(1)
			}
			require.NoError(t, p.Advance(time.Second))
		}
		require.ErrorIs(t, p.Stream.Err(), iostream.ErrIdle, name)
		require.GreaterOrEqual(t, now, test.first, name)
		require.LessOrEqual(t, now, test.latest, name)
	}
}
