package ioloop

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Each Run is watched anew: the time since the last one is no turn's.
func TestWatchBeginsAnew(t *testing.T) {
	l, err := New(Config{Watchdog: time.Hour})
	require.NoError(t, err)
	defer l.Close()
	w := &l.watchdog
	l.counters.published.turns.Store(7)
	began := time.Now()
	w.since, w.reported = began.Add(-2*time.Hour), true
	end := w.watch(l)
	require.EqualValues(t, 7, w.turns)
	require.False(t, w.since.Before(began))
	require.False(t, w.reported)
	require.NotNil(t, w.timer)
	end()
	require.Nil(t, w.timer)
}
