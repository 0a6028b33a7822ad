package ioloop

import (
	"sync/atomic"
	"time"
)

// Stats are the numbers of a loop since it was made.
type Stats struct {
	Turns       uint64        // rounds of looking for events and running what follows
	Wakeups     uint64        // waits for events in which the loop would have blocked
	Events      uint64        // descriptors reported ready
	Callbacks   uint64        // handlers, posted functions, resumed tasks and timers run
	Failures    uint64        // panics and Goexits contained
	Busy        time.Duration // that all turns took, without the time that they gave to other goroutines
	LongestTurn time.Duration // without the time that it gave to other goroutines
	LongestBy   string        // what took most of it: events, posts, timers, turn end or tasks
	Queue       int           // work waiting for the next step
	Handlers    int           // registered descriptors, streams among them
	Tasks       int           // tasks that have begun and not ended
	Timers      int           // timers that wait
}

// counters are written by the loop alone and published once a turn.
type counters struct {
	turns, wakeups, events, callbacks uint64
	busy, longest                     time.Duration

	failures  atomic.Uint64
	published struct {
		turns, wakeups, events, callbacks, busy, longest atomic.Uint64
		longestBy                                        atomic.Uint32 // a kind + 1
	}
}

// endTurn publishes the loop's numbers.
func (l *Loop) endTurn() {
	l.readClock()
	c := &l.counters
	took := l.share.read - l.timers.now - l.share.offered
	c.busy += took
	if took > c.longest {
		c.longest = took
		c.published.longest.Store(uint64(took))
		c.published.longestBy.Store(1 + uint32(l.share.most()))
	}
	p := &c.published
	p.turns.Store(c.turns)
	p.wakeups.Store(c.wakeups)
	p.events.Store(c.events)
	p.callbacks.Store(c.callbacks)
	p.busy.Store(uint64(c.busy))
}

// Stats returns the loop's numbers as of the end of its last turn.
func (l *Loop) Stats() Stats {
	p := &l.counters.published
	l.mu.Lock()
	queue := len(l.queue)
	l.mu.Unlock()
	longestBy := ""
	if k := p.longestBy.Load(); k > 0 {
		longestBy = kind(k - 1).String()
	}
	return Stats{
		Turns:       p.turns.Load(),
		Wakeups:     p.wakeups.Load(),
		Events:      p.events.Load(),
		Callbacks:   p.callbacks.Load(),
		Failures:    l.counters.failures.Load(),
		Busy:        time.Duration(p.busy.Load()),
		LongestTurn: time.Duration(p.longest.Load()),
		LongestBy:   longestBy,
		Queue:       queue,
		Handlers:    int(l.handlers.live.Load()),
		Tasks:       int(l.tasks.live.Load()),
		Timers:      l.timers.count(),
	}
}
