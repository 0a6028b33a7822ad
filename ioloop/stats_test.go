package ioloop_test

import (
	"testing"
	"time"

	"github.com/eddyloop/eddy/internal/testtime"
	"github.com/eddyloop/eddy/ioloop"
	"github.com/stretchr/testify/require"
)

func TestStats(t *testing.T) {
	testtime.WholeTurns(t)
	l, clock := newClocked(t)
	clock.Advance(time.Hour) // before it runs: does not count as a long turn
	require.Zero(t, l.Stats())
	for range 3 {
		require.NoError(t, l.Post(func() {}))
	}
	l.AfterFunc(0, func() {})
	l.AfterFunc(time.Hour, func() {})
	s := l.Stats()
	require.Equal(t, 3, s.Queue)
	require.Equal(t, 2, s.Timers)
	turn(t, l)
	s = l.Stats()
	require.Equal(t, ioloop.Stats{Turns: 1, Callbacks: 4, Timers: 1}, s)

	clock.Advance(time.Minute) // between two Runs: neither
	require.NoError(t, l.Post(func() { clock.Advance(5 * time.Second) }))
	turn(t, l)
	turn(t, l)
	require.Equal(t, 5*time.Second, l.Stats().LongestTurn)
	require.Equal(t, 5*time.Second, l.Stats().Busy)
	require.EqualValues(t, 3, l.Stats().Turns)
	require.EqualValues(t, 5, l.Stats().Callbacks)
	require.NoError(t, l.Post(func() { clock.Advance(2 * time.Second) }))
	turn(t, l)
	require.Equal(t, 7*time.Second, l.Stats().Busy)
	require.Equal(t, 5*time.Second, l.Stats().LongestTurn)

	start(t, l)
	until(t, l.Asleep)
	before := l.Stats().Wakeups
	on(t, l, func() {})
	until(t, l.Asleep)
	on(t, l, func() {})
	turns(t, l)
	require.Greater(t, l.Stats().Wakeups, before)
}

func TestScratch(t *testing.T) {
	l := newLoop(t, ioloop.Config{})
	require.Len(t, l.Kit().Scratch(), ioloop.ScratchSize)
	require.Same(t, &l.Kit().Scratch()[0], &l.Kit().Scratch()[0])
}

func TestLoggerAndNow(t *testing.T) {
	l := newLoop(t, ioloop.Config{Logger: quiet})
	require.Same(t, quiet, l.Kit().Logger())
	a := l.Now()
	require.GreaterOrEqual(t, l.Now(), a)
	require.GreaterOrEqual(t, a, time.Duration(0))
}
