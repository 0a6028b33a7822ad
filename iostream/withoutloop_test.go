//go:build unix || windows

package iostream_test

import (
	"context"
	"net"
	"os"
	"testing"
	"time"

	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
	"github.com/eddyloop/eddy/iostreamtest"
	"github.com/stretchr/testify/require"
)

// waits are the calls that wait, on a stream that has more to send than its high-water mark.
var waits = map[string]func(ctx context.Context, s *iostream.Stream) error{
	"read": func(ctx context.Context, s *iostream.Stream) error {
		_, err := s.Read(ctx, iostream.Bytes(1))
		return err
	},
	"read into": func(ctx context.Context, s *iostream.Stream) error {
		_, err := s.ReadAtLeast(ctx, make([]byte, 1), 1)
		return err
	},
	"flush":  func(ctx context.Context, s *iostream.Stream) error { return s.Flush(ctx) },
	"room":   func(ctx context.Context, s *iostream.Stream) error { return s.Room(ctx) },
	"closed": func(ctx context.Context, s *iostream.Stream) error { return s.WaitClosed(ctx) },
	"end":    func(ctx context.Context, s *iostream.Stream) error { return s.WaitReadClosed(ctx) },
}

func newWaitingPuppet(t *testing.T, attached bool) *puppet {
	p := newPuppet(t, iostreamtest.Options{Window: iostreamtest.NoWindow}, &iostream.Config{HighWaterMark: 10})
	if attached {
		require.NoError(t, p.world.Settle())
	}
	write(t, p.Stream, "more than ten bytes")
	if attached {
		require.NoError(t, p.world.Settle())
	}
	return p
}

// Who waits is told of the end at once: the loop may be busy for long.
func TestWaitsEndWithoutTheLoop(t *testing.T) {
	for name, test := range map[string]struct {
		end   func(s *iostream.Stream)
		waits map[string]error
	}{
		"Close": {func(s *iostream.Stream) { _ = s.Close() },
			map[string]error{"read": net.ErrClosed, "read into": net.ErrClosed, "room": net.ErrClosed}},
		"Abort": {func(s *iostream.Stream) { s.Abort(errPlayed) },
			map[string]error{"read": errPlayed, "read into": errPlayed, "room": errPlayed, "flush": errPlayed, "end": nil}},
		"SetReadDeadline": {func(s *iostream.Stream) { _ = s.SetReadDeadline(time.Unix(1, 0)) },
			map[string]error{"read": os.ErrDeadlineExceeded, "read into": os.ErrDeadlineExceeded}},
		"SetWriteDeadline": {func(s *iostream.Stream) { _ = s.SetWriteDeadline(time.Unix(1, 0)) },
			map[string]error{"room": os.ErrDeadlineExceeded, "flush": os.ErrDeadlineExceeded}},
	} {
		for wait, want := range test.waits {
			t.Run(name+" ends "+wait, func(t *testing.T) {
				for _, attached := range []bool{true, false} {
					p := newWaitingPuppet(t, attached)
					result := make(chan error, 1)
					go func() { result <- waits[wait](patient(t), p.Stream) }()
					eventually(t, func() bool { return iostream.Waiting(p.Stream) == 1 })
					test.end(p.Stream)
					requireIs(t, receive(t, result), want)
					require.Zero(t, iostream.Waiting(p.Stream))
				}
			})
		}
	}
}

// Who gives up is forgotten.
func TestWaitsAreForgotten(t *testing.T) {
	for name, wait := range waits {
		p := newWaitingPuppet(t, true)
		ctx, cancel := context.WithCancel(context.Background())
		result := make(chan error, 1)
		go func() { result <- wait(ctx, p.Stream) }()
		eventually(t, func() bool { return iostream.Waiting(p.Stream) == 1 })
		cancel()
		requireIs(t, receive(t, result), context.Canceled)
		require.Zero(t, iostream.Waiting(p.Stream), name)
	}
}

// A callback that would wait is refused, and leaves the stream as it was.
func TestWaitsAreRefusedOnTheLoop(t *testing.T) {
	for name, wait := range waits {
		p := newWaitingPuppet(t, true)
		require.NoError(t, p.world.Loop.Post(func() {
			requireIs(t, wait(context.Background(), p.Stream), ioloop.ErrOnLoop)
			require.Zero(t, iostream.Waiting(p.Stream), name)
			require.NoError(t, p.ReadFunc(iostream.Bytes(1), p.tell))
		}))
		require.NoError(t, p.world.Settle())
	}
}

// A task that has room again and again lets others have their turn.
func TestRoomGivesWay(t *testing.T) {
	p := newPuppet(t, iostreamtest.Options{}, nil)
	others, rounds := 0, 0
	require.NoError(t, p.world.Loop.Go(func(task *ioloop.Task) {
		require.NoError(t, p.world.Loop.Post(func() { others++ }))
		for ; others == 0 && rounds < 100_000; rounds++ {
			require.NoError(t, p.Room(task))
		}
	}))
	require.NoError(t, p.world.Settle())
	require.Less(t, rounds, 100_000)
}
