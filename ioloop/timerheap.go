package ioloop

import (
	"math"
	"math/bits"
	"sync"
	"sync/atomic"
	"time"
)

// never is later than every timer.
const never = time.Duration(math.MaxInt64)

// timerClasses is how many classes timers have by how long they wait, each for twice as
// long as the one before. All are called in the order of their times. Only when more are
// due than a turn may call are the classes called by turns, and a class half as often as
// the one before: so that a hundred thousand timers that are due together do not keep
// one of a millisecond waiting, whether they were set for a minute or for many times.
const timerClasses = 12

// classOf returns the class of a timer that waits for d: the first is for less than
// 262 µs, the last for 268 ms and more.
func classOf(d time.Duration) uint8 {
	return uint8(min(bits.Len64(uint64(max(d, 0))>>18), timerClasses-1))
}

// timerQueue holds the timers that wait, in a heap for each class.
type timerQueue struct {
	mu       sync.Mutex
	heaps    [timerClasses]timerHeap
	busy     uint // the classes that have timers, as bits
	sequence uint64
	closed   bool
	earliest atomic.Int64 // time of the first timer or never; spares the lock when nothing is due

	// Of the loop's goroutine alone: when the turn began, and the sequence number
	// from which on timers are for a later turn.
	now    time.Duration
	limit  uint64
	behind bool // the last turn did not come to all that were due: classes take turns
	calls  uint // while behind
}

// timerHeap is 4-ary: half the levels of a binary one. Entries carry their time,
// so that sifting does not touch the timers themselves.
type timerHeap []timerEntry

type timerEntry struct {
	when     time.Duration
	sequence uint64 // timers of one moment fire in the order they were set
	timer    *Timer
}

func (a timerEntry) before(b timerEntry) bool {
	return a.when < b.when || a.when == b.when && a.sequence < b.sequence
}

func (q *timerQueue) init() { q.earliest.Store(int64(never)) }

// timeout returns how long the loop may block: negative for "until woken".
func (q *timerQueue) timeout(c Clock) time.Duration {
	earliest := time.Duration(q.earliest.Load())
	if earliest == never {
		return -1
	}
	return c.wait(earliest)
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

// pop takes the next timer that is due, nil if none is. A periodic one is put
// back by again, when it has been called.
func (q *timerQueue) pop() *Timer {
	q.mu.Lock()
	defer q.mu.Unlock()
	class := q.next()
	if class < 0 {
		q.behind = false
		return nil
	}
	when, t := q.heaps[class][0].when, q.heaps[class][0].timer
	q.remove(t)
	if t.period > 0 {
		missed := (q.now - when) / t.period
		t.next, t.calling = later(when+missed*t.period, t.period), true
	}
	return t
}

// next returns the class whose first timer comes next, -1 if none is due.
func (q *timerQueue) next() int {
	if q.behind {
		return q.nextTurn()
	}
	first := -1
	for rest := q.busy; rest != 0; rest &= rest - 1 {
		class := bits.TrailingZeros(rest)
		if q.isDue(class) && (first < 0 || q.heaps[class][0].before(q.heaps[first][0])) {
			first = class
		}
	}
	return first
}

// nextTurn is next while classes take turns: of two calls one is the first class's, of
// four one the second's, and so on. A class that has none due leaves its turn to the next
// one that has.
func (q *timerQueue) nextTurn() int {
	q.calls++
	turn := min(bits.TrailingZeros(q.calls), timerClasses-1)
	for i := range timerClasses {
		if class := (turn + i) % timerClasses; q.busy>>class&1 != 0 && q.isDue(class) {
			return class
		}
	}
	return -1
}

// isDue reports whether the first timer of a class, which has one, is due.
func (q *timerQueue) isDue(class int) bool {
	e := &q.heaps[class][0]
	return e.when <= q.now && e.sequence < q.limit
}

// again puts back a periodic timer that has been called, unless it was stopped or
// reset meanwhile.
func (q *timerQueue) again(t *Timer) {
	if t.period == 0 {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if t.calling {
		q.add(t, t.next)
	}
}

func (q *timerQueue) add(t *Timer, when time.Duration) {
	t.calling = false
	if q.closed {
		return
	}
	h := &q.heaps[t.class]
	*h = append(*h, timerEntry{when: when, sequence: q.sequence, timer: t})
	q.sequence++
	q.busy |= 1 << t.class
	h.up(len(*h) - 1)
	if when < time.Duration(q.earliest.Load()) {
		q.earliest.Store(int64(when))
	}
}

func (q *timerQueue) remove(t *Timer) bool {
	t.calling = false
	if t.index < 0 {
		return false
	}
	h := &q.heaps[t.class]
	first := t.index == 0
	h.remove(t.index)
	t.index = -1
	if len(*h) == 0 {
		q.busy &^= 1 << t.class
	}
	if first {
		earliest := never
		for rest := q.busy; rest != 0; rest &= rest - 1 {
			earliest = min(earliest, q.heaps[bits.TrailingZeros(rest)][0].when)
		}
		q.earliest.Store(int64(earliest))
	}
	return true
}

// clear drops all timers, those that are set later too.
func (q *timerQueue) clear() {
	q.mu.Lock()
	defer q.mu.Unlock()
	for class, h := range q.heaps {
		for _, e := range h {
			e.timer.index = -1
		}
		q.heaps[class] = nil
	}
	q.busy = 0
	q.closed = true
	q.init()
}

func (q *timerQueue) count() (n int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, h := range q.heaps {
		n += len(h)
	}
	return n
}

// remove takes out entry i. A burst must not cost its memory for ever.
func (h *timerHeap) remove(i int) {
	old := *h
	last := len(old) - 1
	moved := old[last]
	old[last] = timerEntry{}
	*h = old[:last]
	if i < last {
		h.place(i, moved)
		h.down(h.up(i))
	}
	if cap(old) > maxSpare && last < cap(old)/4 {
		*h = append(make(timerHeap, 0, cap(old)/2), *h...)
	}
}

func (h timerHeap) place(i int, e timerEntry) {
	h[i] = e
	e.timer.index = i
}

func (h timerHeap) up(i int) int {
	e := h[i]
	for i > 0 {
		parent := (i - 1) / 4
		if !e.before(h[parent]) {
			break
		}
		h.place(i, h[parent])
		i = parent
	}
	h.place(i, e)
	return i
}

func (h timerHeap) down(i int) {
	e := h[i]
	for {
		child := h.firstChild(i)
		if child < 0 || !h[child].before(e) {
			break
		}
		h.place(i, h[child])
		i = child
	}
	h.place(i, e)
}

// firstChild returns the child of i that fires first, -1 if it has none.
func (h timerHeap) firstChild(i int) int {
	first := -1
	for c := 4*i + 1; c < min(4*i+5, len(h)); c++ {
		if first < 0 || h[c].before(h[first]) {
			first = c
		}
	}
	return first
}
