package ioloop

import (
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// Timer calls a function on the loop when its time has come. Its methods may be
// called from any goroutine.
type Timer struct {
	loop   *Loop
	run    func()
	period time.Duration // 0: fires once
	index  int           // in the heap, -1 when not
}

// never is later than every timer.
const never = time.Duration(math.MaxInt64)

// timerQueue is a 4-ary heap: half the levels of a binary one, and the
// children of a node share a cache line. Entries carry their time, so that
// sifting does not touch the timers themselves.
type timerQueue struct {
	mu       sync.Mutex
	heap     []timerEntry
	sequence uint64
	earliest atomic.Int64 // time of heap[0] or never; spares the lock when nothing is due

	// Of the loop's goroutine alone: when the turn began, and the sequence number
	// from which on timers are for a later turn.
	now   time.Duration
	limit uint64
}

type timerEntry struct {
	when     time.Duration
	sequence uint64 // timers of one moment fire in the order they were set
	timer    *Timer
}

func (a timerEntry) before(b timerEntry) bool {
	return a.when < b.when || a.when == b.when && a.sequence < b.sequence
}

func (q *timerQueue) init() { q.earliest.Store(int64(never)) }

// AfterFunc calls fn on the loop once d has passed; a d of 0 or less is due in
// the next turn. A nil fn never runs.
func (l *Loop) AfterFunc(d time.Duration, fn func()) *Timer {
	t := &Timer{loop: l, run: fn, index: -1}
	if fn != nil {
		t.arm(later(l.clock.Now(), d))
	}
	return t
}

// At calls fn on the loop at the wall-clock time when. The distance is taken
// once, now: setting the system's clock does not move the timer.
func (l *Loop) At(when time.Time, fn func()) *Timer {
	return l.AfterFunc(time.Until(when), fn)
}

// Every calls fn on the loop each period, the first time after one period. It
// does not drift, and calls that would be late by whole periods are skipped. A
// period below 1 or a nil fn returns ErrInvalid.
func (l *Loop) Every(period time.Duration, fn func()) (*Timer, error) {
	if period <= 0 || fn == nil {
		return nil, ErrInvalid
	}
	t := &Timer{loop: l, run: fn, period: period, index: -1}
	t.arm(later(l.clock.Now(), period))
	return t, nil
}

// Stop prevents further calls, and reports whether the timer was waiting.
func (t *Timer) Stop() bool {
	q := &t.loop.timers
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.remove(t)
}

// Reset sets the timer to fire d from now (an Every timer goes on with its
// period from there), and reports whether it had been waiting.
func (t *Timer) Reset(d time.Duration) bool {
	return t.run != nil && t.arm(later(t.loop.clock.Now(), d))
}

func (t *Timer) arm(when time.Duration) (waited bool) {
	q := &t.loop.timers
	q.mu.Lock()
	waited = q.remove(t)
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

// timeout returns how long the loop may block: negative for "until woken".
func (q *timerQueue) timeout(c Clock) time.Duration {
	earliest := time.Duration(q.earliest.Load())
	if earliest == never {
		return -1
	}
	return c.Wait(earliest)
}

// mark notes at the start of a turn which timers it may call. Those that are set
// in the turn are for a later one, so that a timer which sets itself to 0 cannot
// hold the loop.
func (q *timerQueue) mark(now time.Duration) {
	q.now, q.limit = now, 0
	if time.Duration(q.earliest.Load()) <= now {
		q.mu.Lock()
		q.limit = q.sequence
		q.mu.Unlock()
	}
}

// runDue calls the timers that were due when the turn began, as many as are the
// turn's share.
func (l *Loop) runDue() {
	q := &l.timers
	if q.limit == 0 {
		return
	}
	if !l.timersRun {
		l.timersRun = true
		l.startKind(ofTimers)
	}
	for !l.share.usedUp {
		t := q.pop()
		if t == nil {
			return
		}
		l.counters.callbacks++
		l.call(runnerFunc(t.run))
		l.turnUsedUp()
	}
}

// pop takes the first timer if it is due, and puts a periodic one back at its
// next time.
func (q *timerQueue) pop() *Timer {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.heap) == 0 || q.heap[0].when > q.now || q.heap[0].sequence >= q.limit {
		return nil
	}
	when, t := q.heap[0].when, q.heap[0].timer
	q.remove(t)
	if t.period > 0 {
		missed := (q.now - when) / t.period
		q.add(t, later(when+missed*t.period, t.period))
	}
	return t
}

func (q *timerQueue) add(t *Timer, when time.Duration) {
	q.heap = append(q.heap, timerEntry{when: when, sequence: q.sequence, timer: t})
	q.sequence++
	q.up(len(q.heap) - 1)
	q.earliest.Store(int64(q.heap[0].when))
}

func (q *timerQueue) remove(t *Timer) bool {
	i := t.index
	if i < 0 {
		return false
	}
	last := len(q.heap) - 1
	moved := q.heap[last]
	q.heap[last] = timerEntry{}
	q.heap = q.heap[:last]
	t.index = -1
	if i < last {
		q.place(i, moved)
		q.down(q.up(i))
	}
	first := never
	if last > 0 {
		first = q.heap[0].when
	}
	q.earliest.Store(int64(first))
	return true
}

func (q *timerQueue) clear() {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, e := range q.heap {
		e.timer.index = -1
	}
	q.heap = nil
	q.init()
}

func (q *timerQueue) place(i int, e timerEntry) {
	q.heap[i] = e
	e.timer.index = i
}

func (q *timerQueue) up(i int) int {
	e := q.heap[i]
	for i > 0 {
		parent := (i - 1) / 4
		if !e.before(q.heap[parent]) {
			break
		}
		q.place(i, q.heap[parent])
		i = parent
	}
	q.place(i, e)
	return i
}

func (q *timerQueue) down(i int) {
	e := q.heap[i]
	for {
		child := q.firstChild(i)
		if child < 0 || !q.heap[child].before(e) {
			break
		}
		q.place(i, q.heap[child])
		i = child
	}
	q.place(i, e)
}

// firstChild returns the child of i that fires first, -1 if it has none.
func (q *timerQueue) firstChild(i int) int {
	first := -1
	for c := 4*i + 1; c < min(4*i+5, len(q.heap)); c++ {
		if first < 0 || q.heap[c].before(q.heap[first]) {
			first = c
		}
	}
	return first
}
