package ioloop_test

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/eddyloop/eddy/internal/testtime"
	"github.com/eddyloop/eddy/ioloop"
	"github.com/stretchr/testify/require"
)

func TestPostNil(t *testing.T) {
	l := newLoop(t, ioloop.Config{})
	require.ErrorIs(t, l.Post(nil), ioloop.ErrInvalid)
}

func TestPostOrderFromManyGoroutines(t *testing.T) {
	l := startNew(t)
	const goroutines, posts = 8, 2000
	var seen [goroutines][]int
	var wg sync.WaitGroup
	for g := range goroutines {
		wg.Go(func() {
			for i := range posts {
				_ = l.Post(func() { seen[g] = append(seen[g], i) })
			}
		})
	}
	wg.Wait()
	on(t, l, func() {})
	for g := range goroutines {
		require.Len(t, seen[g], posts)
		for i := range posts {
			require.Equal(t, i, seen[g][i])
		}
	}
}

// What a callback posts runs in the next step: behind everything that this one
// has, also at its turn's end.
func TestPostFromCallbackRunsInNextStep(t *testing.T) {
	testtime.WholeTurns(t)
	l := newLoop(t, ioloop.Config{})
	var order []string
	note := func(s string) func() { return func() { order = append(order, s) } }
	require.NoError(t, l.Post(func() {
		note("a")()
		_ = l.Post(note("posted by a"))
		l.Kit().AtTurnEnd(runnerFunc(note("end")))
		l.AfterFunc(0, note("timer"))
	}))
	require.NoError(t, l.Post(note("b")))
	turn(t, l)
	require.Equal(t, []string{"a", "b", "end"}, order)
	turn(t, l)
	require.Equal(t, []string{"a", "b", "end", "posted by a", "timer"}, order)
}

func TestPostWakesSleepingLoop(t *testing.T) {
	l := startNew(t)
	for range 200 {
		until(t, l.Asleep)
		on(t, l, func() {})
	}
}

func TestPostMillion(t *testing.T) {
	l := startNew(t)
	const goroutines = 4
	each := scaled(1_000_000) / goroutines
	ran := 0
	var wg sync.WaitGroup
	for range goroutines {
		wg.Go(func() {
			for range each {
				_ = l.Post(func() { ran++ })
			}
		})
	}
	wg.Wait()
	on(t, l, func() {})
	on(t, l, func() {})
	require.Equal(t, goroutines*each, ran)
}

func TestBurstDoesNotKeepMemory(t *testing.T) {
	l := newLoop(t, ioloop.Config{})
	nop := runnerFunc(func() {})
	for range 100_000 {
		_ = l.Kit().Schedule(nop)
	}
	require.NoError(t, l.Post(func() {
		for range 100_000 {
			l.Kit().AtTurnEnd(nop)
		}
	}))
	turn(t, l)
	for l.Stats().Queue > 0 || l.Unfinished() {
		turn(t, l)
	}
	for range 3 {
		_ = l.Post(func() { l.Kit().AtTurnEnd(nop) })
		turn(t, l)
	}
	require.Less(t, l.SpareRoom(), 10_000)
}

// A callback that comes back for ever, and ends the loop's goroutine each time,
// must not keep the loop from being stopped.
func TestEndlessGoexitDoesNotHoldLoop(t *testing.T) {
	for name, again := range map[string]func(l *ioloop.Loop, fn func()){
		"post":  func(l *ioloop.Loop, fn func()) { _ = l.Post(fn) },
		"timer": func(l *ioloop.Loop, fn func()) { l.AfterFunc(0, fn) },
	} {
		t.Run(name, func(t *testing.T) {
			l := newLoop(t, ioloop.Config{Logger: quiet})
			n := 0
			var endless func()
			endless = func() {
				if n++; n > 3 {
					l.Stop()
				}
				if n > 1000 {
					return // the test has failed
				}
				again(l, endless)
				runtime.Goexit()
			}
			again(l, endless)
			run(t, l)
			require.Equal(t, 4, n, "one a turn")
		})
	}
}

func TestAtTurnEndFalseUnlessInTurn(t *testing.T) {
	l := newLoop(t, ioloop.Config{})
	ran := false
	r := runnerFunc(func() { ran = true })
	require.False(t, l.Kit().AtTurnEnd(r), "never run")
	start(t, l)
	until(t, l.Asleep)
	require.False(t, l.Kit().AtTurnEnd(r), "asleep")
	l.Stop()
	until(t, func() bool { return !l.Running() })
	require.False(t, l.Kit().AtTurnEnd(r), "stopped")
	require.NoError(t, l.Close())
	require.False(t, l.Kit().AtTurnEnd(r), "closed")
	require.False(t, ran)
}

func TestAtTurnEndByAtTurnEnd(t *testing.T) {
	testtime.WholeTurns(t)
	l := newLoop(t, ioloop.Config{})
	n := 0
	var again runnerFunc
	again = func() {
		if n++; n < 8 {
			l.Kit().AtTurnEnd(again)
		}
	}
	require.NoError(t, l.Post(func() { l.Kit().AtTurnEnd(again) }))
	turn(t, l)
	require.Equal(t, 8, n, "all in the same turn")
}

// Goroutines put work off or, if that is refused, do it themselves, and are then
// silent until it is done: a loop that fell asleep with it would never wake.
func TestAtTurnEndLosesNothing(t *testing.T) {
	l := startNew(t)
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			done := make(chan struct{}, 1)
			r := runnerFunc(func() { done <- struct{}{} })
			for i := range scaled(30_000) {
				if i%(g+2) == 0 {
					_ = l.Post(func() {}) // keeps the loop going on and off
				}
				if !l.Kit().AtTurnEnd(r) {
					r.Run()
				}
				<-done
			}
		})
	}
	finished := make(chan struct{})
	go func() { wg.Wait(); close(finished) }()
	receive(t, finished)
}

// A goroutine that the loop has woken runs before the loop sleeps, even if they
// share a processor: what it puts off belongs to the turn.
func TestWokenGoroutineJoinsTheTurn(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	for name, arrange := range map[string]func(l *ioloop.Loop, fn func()){
		"in the turn":   func(_ *ioloop.Loop, fn func()) { fn() },
		"at its end":    func(l *ioloop.Loop, fn func()) { l.Kit().AtTurnEnd(runnerFunc(fn)) },
		"by its timers": func(l *ioloop.Loop, fn func()) { l.AfterFunc(0, fn) },
	} {
		t.Run(name, func(t *testing.T) {
			l := startNew(t)
			var ready sync.Mutex
			var waiter *ioloop.Waiter
			waiting := func() bool {
				ready.Lock()
				defer ready.Unlock()
				return waiter != nil
			}
			var joined atomic.Int64
			done := make(chan struct{})
			go func() {
				for range 200 {
					w := new(ioloop.Waiter)
					_ = w.Begin(context.Background())
					ready.Lock()
					waiter = w
					ready.Unlock()
					_ = w.Wait()
					if l.Kit().AtTurnEnd(runnerFunc(func() {})) {
						joined.Add(1)
					}
					done <- struct{}{}
				}
			}()
			for range 200 {
				until(t, func() bool { return waiting() && l.Asleep() })
				_ = l.Post(func() {
					arrange(l, func() {
						ready.Lock()
						defer ready.Unlock()
						l.Kit().WakeWaiter(waiter)
						waiter = nil
					})
				})
				receive(t, done)
			}
			require.Greater(t, joined.Load(), int64(100), "the scheduler may decide otherwise at times")
		})
	}
}
