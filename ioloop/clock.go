package ioloop

import (
	"sync"
	"time"
)

// Clock is the time that a loop's timers go by. Its methods may be called from
// any goroutine, and must not call those of the loop.
type Clock interface {
	// Now returns the time since some fixed moment. It never goes back.
	Now() time.Duration

	// Wait returns how long to block in the kernel for the time to be when:
	// 0 if it is already, negative for "until woken".
	Wait(when time.Duration) time.Duration

	// OnAdvance has wake called whenever the time jumps. A clock that only
	// ever runs ignores it.
	OnAdvance(wake func())
}

type systemClock struct{ start time.Time }

func newSystemClock() systemClock { return systemClock{start: time.Now()} }

func (c systemClock) Now() time.Duration { return time.Since(c.start) }

func (c systemClock) Wait(when time.Duration) time.Duration { return max(0, when-c.Now()) }

func (c systemClock) OnAdvance(func()) {}

// ManualClock is a Clock that stands still until it is advanced, for tests
// without sleeping. The zero value is ready; it may serve several loops.
type ManualClock struct {
	mu    sync.Mutex
	now   time.Duration
	wakes []func()
}

// Now returns how far the clock has been advanced.
func (c *ManualClock) Now() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Wait implements Clock: nothing but Advance makes time pass.
func (c *ManualClock) Wait(when time.Duration) time.Duration {
	if when <= c.Now() {
		return 0
	}
	return -1
}

// OnAdvance implements Clock.
func (c *ManualClock) OnAdvance(wake func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wakes = append(c.wakes, wake)
}

// Advance moves the clock forward by d and wakes the loops that go by it.
func (c *ManualClock) Advance(d time.Duration) {
	c.mu.Lock()
	c.now = later(c.now, d)
	wakes := c.wakes
	c.mu.Unlock()
	for _, wake := range wakes {
		wake()
	}
}
