package iostream

import (
	"testing"

	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/poller"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// What a relay moves through a pipe is work of the turn, as what it reads is: timers do not wait
// for a hundred MiB.
func TestRelayedBulkIsWorkOfTheTurn(t *testing.T) {
	l, err := ioloop.New(ioloop.Config{Clock: new(ioloop.ManualClock)})
	require.NoError(t, err)
	defer l.Close()
	a, client := socketStreamOn(t, l)
	b, back := socketStreamOn(t, l)
	require.NoError(t, RelayFunc(a, b, func(RelayCounts, error) {}))
	for range 10 {
		require.NoError(t, l.Post(func() {})) // so that it does not wait
		_, err = l.RunOnce()
		require.NoError(t, err)
	}
	piece := make([]byte, 64<<10)
	moved, usedUp := 0, false
	require.NoError(t, l.Post(func() {
		for ; moved < 100<<20 && !usedUp && err == nil; moved += len(piece) {
			a.details.flow.bulk.large = bulkReads
			if _, err = unix.Write(client, piece); err == nil {
				a.pump(poller.Readable, 0)
				_, err = unix.Read(back, piece)
			}
			usedUp = l.Kit().TurnUsedUp()
		}
	}))
	_, runErr := l.RunOnce()
	require.NoError(t, runErr)
	require.NoError(t, err)
	require.True(t, usedUp)
}
