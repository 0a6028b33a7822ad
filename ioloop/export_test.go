package ioloop

import "time"

// Asleep reports whether Run has decided to block: from now on it has to be woken.
func (l *Loop) Asleep() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.running && !l.awake
}

// Running reports whether Run is in progress.
func (l *Loop) Running() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.running
}

// Stopped reports whether Run is about to end.
func (l *Loop) Stopped() bool { return l.stopped.Load() }

// SpareRoom returns how many entries the empty queues of l keep room for.
func (l *Loop) SpareRoom() int { return max(cap(l.queue), cap(l.batch), cap(l.endBatch), cap(l.late)) }

// Unfinished reports whether a turn has left something to the next. Not while l runs.
func (l *Loop) Unfinished() bool { return l.unfinished() }

// Views returns how many views t has that have not ended.
func (t *Task) Views() int {
	t.co.mu.Lock()
	defer t.co.mu.Unlock()
	return len(t.extra().children)
}

// IdleCoroutines returns how many coroutines l keeps for further tasks. Only on l.
func (l *Loop) IdleCoroutines() int { return len(l.coroutines.idle) }

// OnAdvance is the clock's hook for loops.
func (c *ManualClock) OnAdvance(wake func()) (unregister func()) { return c.onAdvance(wake) }

// WaitFor is how long a loop would block for the time to be when.
func (c *ManualClock) WaitFor(when time.Duration) time.Duration { return c.wait(when) }

// Loops returns how many loops go by the clock.
func (c *ManualClock) Loops() int { return len(c.wakes) }

// TimerRoom returns how many timers l keeps room for.
func (l *Loop) TimerRoom() (n int) {
	for _, h := range l.timers.heaps {
		n += cap(h)
	}
	return n
}

// HandlerRoom returns how many handlers l keeps room for.
func (l *Loop) HandlerRoom() int { return cap(l.handlers.slots) }

// ReportTimes is what bounds the watchdog's reports.
type ReportTimes = reportTimes

func (r *reportTimes) Begin(now time.Time) bool { return r.begin(now) }
func (r *reportTimes) End(now time.Time)        { r.end(now) }

// PauseReports has no watchdog report for d.
func PauseReports(d time.Duration) {
	reports.mu.Lock()
	defer reports.mu.Unlock()
	reports.next = time.Now().Add(d)
}

// Linked reports whether t is linked to other tasks of its loop's list.
func (t *Task) Linked() bool { return t.co.prev != nil || t.co.following != nil }
