package ioloop

import (
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/eddyloop/eddy/internal/realtime"
)

// Clock is the time of a loop's timers: the system's, or a ManualClock. Its
// methods may be called from any goroutine.
type Clock interface {
	// Now returns the time since some fixed moment. It never goes back.
	Now() time.Duration

	// wait returns how long to block in the kernel for the time to be when:
	// 0 if it is already, negative for "until woken".
	wait(when time.Duration) time.Duration

	// onAdvance has wake called whenever the time jumps, until the returned
	// function is called. A clock that only ever runs ignores it.
	onAdvance(wake func()) (unregister func())
}

type systemClock struct{}

func newSystemClock() systemClock { return systemClock{} }

func (c systemClock) Now() time.Duration { return realtime.Now() }

func (c systemClock) wait(when time.Duration) time.Duration { return max(0, when-c.Now()) }

func (c systemClock) onAdvance(func()) func() { return func() {} }

// ManualClock is a Clock for tests: its time passes only by Advance. The zero
// value is ready. It may serve several loops.
type ManualClock struct {
	mu    sync.Mutex
	now   time.Duration
	wakes map[*func()]struct{} // of the loops that are open
}

// Now returns by how much the clock has been advanced.
func (c *ManualClock) Now() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// wait implements Clock: nothing but Advance makes time pass.
func (c *ManualClock) wait(when time.Duration) time.Duration {
	if when <= c.Now() {
		return 0
	}
	return -1
}

func (c *ManualClock) onAdvance(wake func()) (unregister func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.wakes == nil {
		c.wakes = make(map[*func()]struct{})
	}
	c.wakes[&wake] = struct{}{}
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.wakes, &wake)
	}
}

// Advance moves the clock forward by d and wakes its loops. A d of 0 or less
// does not move it.
func (c *ManualClock) Advance(d time.Duration) {
	c.mu.Lock()
	c.now = later(c.now, d)
	wakes := slices.Collect(maps.Keys(c.wakes))
	c.mu.Unlock()
	for _, wake := range wakes {
		(*wake)()
	}
}
