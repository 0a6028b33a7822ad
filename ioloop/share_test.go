//go:build unix

package ioloop_test

import (
	"testing"
	"time"

	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/poller"
	"github.com/stretchr/testify/require"
)

// work takes d of the processor.
func work(d time.Duration) {
	for begun := time.Now(); time.Since(begun) < d; {
	}
}

// TestNoKindOfWorkHoldsTheLoop: under a load of each kind that has no end, or a long
// one, timers are called and Stop gets through. Each runs for ever, or for
// seconds, in one turn if that has no limit.
func TestNoKindOfWorkHoldsTheLoop(t *testing.T) {
	const cost = 100 * time.Microsecond
	for name, load := range map[string]func(t *testing.T, l *ioloop.Loop, stopped func() bool){
		"a batch of posts": func(t *testing.T, l *ioloop.Loop, stopped func() bool) {
			for range 20_000 {
				_ = l.Post(func() {
					if !stopped() {
						work(cost)
					}
				})
			}
		},
		"timers due together": func(t *testing.T, l *ioloop.Loop, stopped func() bool) {
			for range 20_000 {
				l.AfterFunc(0, func() {
					if !stopped() {
						work(cost)
					}
				})
			}
		},
		"put off again and again": func(t *testing.T, l *ioloop.Loop, stopped func() bool) {
			var again runnerFunc
			again = func() {
				work(cost)
				if !stopped() {
					l.Kit().AtTurnEnd(again)
				}
			}
			_ = l.Post(func() { l.Kit().AtTurnEnd(again) })
		},
		"many put off": func(t *testing.T, l *ioloop.Loop, _ func() bool) {
			_ = l.Post(func() {
				for range 2000 {
					l.Kit().AtTurnEnd(runnerFunc(func() { work(cost) }))
				}
			})
		},
		"ready descriptors": func(t *testing.T, l *ioloop.Loop, _ func() bool) {
			for range 200 {
				r, w := pipe(t)
				write(t, w, "x")
				handle(t, l, r, poller.Readable, ioloop.HandlerFunc(func(poller.Interest, poller.Hint) {
					work(10 * cost)
				}))
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLoop(t, ioloop.Config{})
			begun := time.Now()
			ticks := 0
			stopped := func() bool { return ticks == 20 || time.Since(begun) > patience }
			_, err := l.Every(time.Millisecond, func() {
				if ticks++; ticks == 20 {
					l.Stop()
				}
			})
			require.NoError(t, err)
			load(t, l, stopped)
			run(t, l)
			require.Equal(t, 20, ticks)
			stats := l.Stats()
			require.Less(t, stats.Callbacks, uint64(10_000), "the load came to its end first")
			require.GreaterOrEqual(t, stats.Turns, uint64(20))
		})
	}
}

// What was put off and did not get its turn is done before the loop blocks.
func TestPutOffIsNotForgotten(t *testing.T) {
	l := startNew(t)
	const n = 1000
	done := 0
	all := make(chan struct{})
	require.NoError(t, l.Post(func() {
		for range n {
			l.Kit().AtTurnEnd(runnerFunc(func() {
				work(20 * time.Microsecond)
				if done++; done == n {
					close(all)
				}
			}))
		}
	}))
	receive(t, all)
}

func TestLongestTurnTellsWhatTookIt(t *testing.T) {
	const long = 20 * time.Millisecond
	for want, hold := range map[string]func(t *testing.T, l *ioloop.Loop, work func()){
		"posts":  func(t *testing.T, l *ioloop.Loop, work func()) { _ = l.Post(work) },
		"timers": func(t *testing.T, l *ioloop.Loop, work func()) { l.AfterFunc(0, work) },
		"tasks":  func(t *testing.T, l *ioloop.Loop, work func()) { _ = l.Go(func(*ioloop.Task) { work() }) },
		"turn end": func(t *testing.T, l *ioloop.Loop, work func()) {
			_ = l.Post(func() { l.Kit().AtTurnEnd(runnerFunc(work)) })
		},
		"events": func(t *testing.T, l *ioloop.Loop, work func()) {
			r, w := pipe(t)
			write(t, w, "x")
			handle(t, l, r, poller.Readable, ioloop.HandlerFunc(func(poller.Interest, poller.Hint) { work() }))
		},
	} {
		t.Run(want, func(t *testing.T) {
			l, clock := newClocked(t)
			hold(t, l, func() { clock.Advance(long) })
			_, err := l.RunOnce()
			require.NoError(t, err)
			require.Equal(t, want, l.Stats().LongestBy)
			require.Equal(t, long, l.Stats().LongestTurn)
		})
	}
}

// RunOnce leaves nothing put off, however little of the share is left.
func TestRunOnceRunsAllPutOff(t *testing.T) {
	const n = 200
	l := newLoop(t, ioloop.Config{})
	done := 0
	require.NoError(t, l.Post(func() {
		for range n {
			require.True(t, l.Kit().AtTurnEnd(runnerFunc(func() {
				work(20 * time.Microsecond)
				done++
			})))
		}
	}))
	_, err := l.RunOnce()
	require.NoError(t, err)
	require.Equal(t, n, done)
}

func TestKitRunning(t *testing.T) {
	l := newLoop(t, ioloop.Config{})
	require.False(t, l.Kit().Running())
	running := false
	require.NoError(t, l.Post(func() { running = l.Kit().Running() }))
	_, err := l.RunOnce()
	require.NoError(t, err)
	require.True(t, running)
	require.False(t, l.Kit().Running())
}
