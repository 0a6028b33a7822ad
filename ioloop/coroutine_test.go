package ioloop

import (
	"log/slog"
	"runtime"
	"sync/atomic"
	"testing"
	"time"
	"weak"

	"github.com/stretchr/testify/require"
)

// The pool holds no coroutine that it has given out: one that exits would be kept.
func TestPoolHoldsNoneInUse(t *testing.T) {
	l, err := New(Config{Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	defer l.Close()
	l.coroutines.idle = append(l.coroutines.idle, newCoroutine(l))
	co := l.takeCoroutine()
	require.Empty(t, l.coroutines.idle)
	taken := weak.Make(co)
	co.end()
	co = nil
	for range 10 {
		if runtime.GC(); taken.Value() == nil {
			return
		}
	}
	require.FailNow(t, "something holds it")
}

// A loop forgets the job that it has run, and what came after it: they may hold much.
func TestJobIsForgotten(t *testing.T) {
	l, err := New(Config{Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	defer l.Close()
	rests := 0
	require.NoError(t, l.Post(func() {
		require.Equal(t, RunsNext, l.Kit().RunJob(jobFunc(func(*Task) {}), runnerFunc(func() { rests++ })))
	}))
	for rests == 0 {
		_, err = l.RunOnce()
		require.NoError(t, err)
	}
	require.Nil(t, l.due)
	require.Nil(t, l.rest)
	for _, co := range l.coroutines.idle {
		require.Nil(t, co.job)
	}
}

// Close returns when the goroutines of tasks that exited have ended.
func TestCloseWaitsForBurials(t *testing.T) {
	l, err := New(Config{})
	require.NoError(t, err)
	var ended atomic.Bool
	l.burials.Go(func() {
		time.Sleep(20 * time.Millisecond) // a Close that does not wait is quicker
		ended.Store(true)
	})
	require.NoError(t, l.Close())
	require.True(t, ended.Load())
}

// When a burst is over, so is the room that the pool has for it.
func TestPoolGivesRoomBack(t *testing.T) {
	l, err := New(Config{})
	require.NoError(t, err)
	defer l.Close()
	for room, want := range map[int]int{maxSpare: maxSpare, maxSpare + 1: 0} {
		l.coroutines.idle = make([]*coroutine, 0, room)
		trimmer{l}.Run()
		require.Equal(t, want, cap(l.coroutines.idle))
	}
}
