//go:build unix || windows

package iostream_test

import (
	"net"
	"strings"
	"testing"
	"time"

	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
	"github.com/eddyloop/eddy/iostreamtest"
	"github.com/stretchr/testify/require"
)

// A peer that reads a byte a second while Close waits gets everything, however long that
// takes, in every style; one that stops is given up after CloseTimeout.
func TestCloseWaitsForASlowReader(t *testing.T) {
	text := strings.Repeat("slow", 30) // for two minutes
	styles := map[string]func(s *iostream.Stream, l *ioloop.Loop) error{
		"callback": func(s *iostream.Stream, _ *ioloop.Loop) error {
			return s.ReadFunc(iostream.Until("\n"), func([]byte, error) {
				_, _ = s.Write([]byte(text))
				_ = s.Close()
			})
		},
		"task": func(s *iostream.Stream, l *ioloop.Loop) error {
			return l.Go(func(task *ioloop.Task) {
				_, _ = s.Read(task, iostream.Until("\n"))
				_, _ = s.Write([]byte(text))
				_ = s.Close()
			})
		},
		"message": func(s *iostream.Stream, _ *ioloop.Loop) error {
			return s.HandleTask(iostream.Until("\n"), func(_ *ioloop.Task, s *iostream.Stream, _ []byte) error {
				_, _ = s.Write([]byte(text))
				return net.ErrClosed
			})
		},
		"end of a Handle": func(s *iostream.Stream, _ *ioloop.Loop) error {
			return s.Handle(iostream.Until("\n"), func([]byte, error) bool {
				_, _ = s.Write([]byte(text))
				return false
			})
		},
	}
	for name, style := range styles {
		for _, stops := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				world := iostreamtest.NewWorld()
				defer world.Close()
				wire := iostreamtest.NewWire(iostreamtest.Options{Window: iostreamtest.NoWindow})
				s, err := iostream.New(world.Loop, wire.Transport(), nil)
				require.NoError(t, err)
				require.NoError(t, style(s, world.Loop))
				wire.Arrive([]byte("\n"))
				read := len(text)
				if stops {
					read /= 2
				}
				for i := range read {
					require.NoError(t, world.Advance(time.Second))
					require.False(t, s.Err() != nil, "after %d bytes", i)
					wire.AddWindow(1)
				}
				require.NoError(t, world.Settle())
				require.Equal(t, text[:read], wire.Sent())
				if stops {
					require.NoError(t, world.Advance(iostream.DefaultCloseTimeout-time.Second))
					require.NoError(t, s.Err())
					require.NoError(t, world.Advance(iostream.DefaultCloseTimeout/4+time.Second))
					require.ErrorIs(t, s.Err(), iostream.ErrSendTimeout)
					return
				}
				require.Equal(t, 1, wire.State().FINs)
				wire.FIN()
				require.NoError(t, world.Settle())
				require.ErrorIs(t, s.Err(), net.ErrClosed)
			})
		}
	}
}

// Half a second of silence ends a Close whose bytes the peer has; one that still sends is
// heard out.
func TestCloseHearsThePeerOut(t *testing.T) {
	world, wire := iostreamtest.NewWorld(), iostreamtest.NewWire(iostreamtest.Options{})
	defer world.Close()
	s, err := iostream.New(world.Loop, wire.Transport(), nil)
	require.NoError(t, err)
	_, err = s.Write([]byte("last words"))
	require.NoError(t, err)
	require.NoError(t, s.Close())
	for range 10 {
		require.NoError(t, world.Advance(300*time.Millisecond))
		require.NoError(t, s.Err())
		wire.Arrive([]byte("more"))
	}
	require.NoError(t, world.Advance(400*time.Millisecond))
	require.NoError(t, s.Err())
	for range 3 {
		require.NoError(t, world.Advance(300*time.Millisecond))
	}
	require.Error(t, s.Err())
	require.ErrorIs(t, s.Err(), net.ErrClosed)
}
