//go:build unix || windows

package iostream_test

import (
	"testing"

	"github.com/eddyloop/eddy/iostream"
	"github.com/eddyloop/eddy/iostreamtest"
	"github.com/stretchr/testify/require"
)

// A relay ends for both streams when one of them can be written no more, whether that shows
// at once or later, and says what has been lost.
func TestRelayToWhatCannotBeWritten(t *testing.T) {
	for name, size := range map[string]int{"at once": corkLimit + 1, "at the end of the turn": 10} {
		t.Run(name, func(t *testing.T) {
			p, wire := newPuppet(t, iostreamtest.Options{}, nil), iostreamtest.NewWire(iostreamtest.Options{})
			other, err := iostream.New(p.world.Loop, wire.Transport(), nil)
			require.NoError(t, err)
			var counts iostream.RelayCounts
			called := 0
			require.NoError(t, iostream.RelayFunc(p.Stream, other, func(c iostream.RelayCounts, err error) {
				require.ErrorIs(t, err, errPlayed)
				counts = c
				called++
			}))
			require.NoError(t, p.world.Settle())
			wire.FailWrites(errPlayed)
			p.wire.Arrive(make([]byte, size))
			require.NoError(t, p.world.Settle())
			p.wire.Arrive(make([]byte, 1))
			require.NoError(t, p.world.Settle())
			require.Equal(t, 1, called)
			require.ErrorIs(t, counts.AToB.Err, errPlayed)
			require.GreaterOrEqual(t, counts.AToB.Read, int64(size))
			require.Zero(t, counts.AToB.Written)
			require.Error(t, p.Err())
			require.Error(t, other.Err())
		})
	}
}
