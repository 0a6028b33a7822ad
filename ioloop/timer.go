package ioloop

import (
	"log/slog"
	"time"
)

// Timer calls a function on the loop at its time; see Loop.AfterFunc and
// Loop.Every. Its methods may be called from any goroutine.
type Timer struct {
	loop   *Loop
	run    func()
	period time.Duration // 0: fires once
	index  int           // in the heap, -1 when not
	class  uint8         // whose heap

	// Of a periodic timer, from when it is due until its function has returned.
	calling bool
	next    time.Duration
}

// AfterFunc calls fn on the loop once d has passed. A d of 0 or less is due in
// the next turn. On a closed loop fn is never called. A nil fn is never called
// and is logged as an error.
//
// Timers are called in the order of their times. If more are due than a turn
// may call, those that were set for a shorter time get more of the calls.
func (l *Loop) AfterFunc(d time.Duration, fn func()) *Timer {
	t := &Timer{loop: l, run: fn, index: -1}
	if fn == nil {
		l.report(slog.LevelError, "AfterFunc with a nil function")
		return t
	}
	t.arm(d)
	return t
}

// Every calls fn on the loop once each period, first after one period. It does
// not drift, and it skips calls that would be late by whole periods. It returns
// ErrInvalid for a period below 1 or a nil fn.
func (l *Loop) Every(period time.Duration, fn func()) (*Timer, error) {
	if period <= 0 || fn == nil {
		return nil, ErrInvalid
	}
	t := &Timer{loop: l, run: fn, period: period, index: -1}
	t.arm(period)
	return t, nil
}

// Stop prevents further calls. It returns true if the timer was waiting; then
// no call begins any more. It returns false if the timer has expired or was
// stopped before, or if a call is due or in progress, which Stop does not wait
// for. This is as in package time.
func (t *Timer) Stop() bool {
	q := &t.loop.timers
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.remove(t)
}

// Reset sets the timer to fire d from now, and reports whether it was waiting,
// as Stop does. A timer of Every goes on with its period from then.
func (t *Timer) Reset(d time.Duration) bool { return t.run != nil && t.arm(d) }

func (t *Timer) arm(d time.Duration) (waited bool) {
	when := later(t.loop.clock.Now(), d)
	q := &t.loop.timers
	q.mu.Lock()
	waited = q.remove(t)
	t.class = classOf(d)
	if t.period > 0 {
		t.class = classOf(t.period)
	}
	q.add(t, when)
	first := t.index == 0
	q.mu.Unlock()
	if first {
		t.loop.wakeSleeper()
	}
	return waited
}

// wakeSleeper makes a loop that has gone to sleep compute its timeout again.
func (l *Loop) wakeSleeper() {
	l.mu.Lock()
	asleep := !l.awake && l.running
	l.mu.Unlock()
	if asleep {
		_ = l.poller.Wake()
	}
}

// later adds without overflow.
func later(now, d time.Duration) time.Duration {
	if d <= 0 {
		return now
	}
	if now > never-1-d {
		return never - 1
	}
	return now + d
}

func (l *Loop) beginTimers() {
	if l.timers.limit != 0 {
		l.startKind(ofTimers)
	}
}

// runDue calls the timers that were due when the turn began, as many as are the
// turn's share, and reports whether it is done with them.
func (l *Loop) runDue() (done bool) {
	q := &l.timers
	if q.limit == 0 {
		return true
	}
	me := l.coroutines.leader
	for !l.share.usedUp {
		t := q.pop()
		if t == nil {
			return true
		}
		l.counters.callbacks++
		if l.call((*due)(t)); l.interrupted(me) {
			return false
		}
		l.turnUsedUp()
	}
	q.behind = true
	return true
}

// due is a timer whose time has come.
type due Timer

func (d *due) Run() {
	d.run()
	d.loop.timers.again((*Timer)(d))
}

// Fail is called if the function has not returned. A periodic timer goes on.
func (d *due) Fail(error) { d.loop.timers.again((*Timer)(d)) }
