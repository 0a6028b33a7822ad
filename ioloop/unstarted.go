package ioloop

import (
	"log/slog"
	"time"

	"github.com/eddyloop/eddy/internal/realtime"
)

// expectRun has the log tell, once, if work goes on waiting for a loop that nobody runs:
// who forgets Run waits for ever and would not know why. It is called with l.mu held,
// when work is queued while the loop is not running.
//
// It is no error at once, as Run may be about to be called on another goroutine. Loops on a
// clock of their own are run by hand, and a bubble's time says nothing of Run.
func (l *Loop) expectRun() {
	if l.awaited || l.watchdog.limit < 0 || realtime.InBubble() {
		return
	}
	if _, real := l.clock.(systemClock); !real {
		return
	}
	l.awaited = true
	turns := l.counters.published.turns.Load()
	time.AfterFunc(l.watchdog.limit, func() { l.tellIfNotRun(turns) })
}

func (l *Loop) tellIfNotRun(turns uint64) {
	l.mu.Lock()
	waits := !l.running && !l.closing && len(l.queue) > 0
	told := waits && l.counters.published.turns.Load() == turns
	l.awaited = told // it is told once
	if waits && !told {
		l.expectRun() // it was run in between
	}
	l.mu.Unlock()
	if told {
		l.report(slog.LevelWarn, "work waits for a loop that nobody runs: call Loop.Run or Group.Run, on a goroutine of its own if need be",
			slog.Duration("for", l.watchdog.limit))
	}
}
