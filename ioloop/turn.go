package ioloop

import (
	"runtime"
	"time"
)

const (
	minEvents = 128
	maxEvents = 4096

	maxSpare = 4096 // entries of an empty queue that are kept for the next use
)

// turns runs the loop until it is told to stop. Called again after a Goexit, it
// goes on with the turn that was interrupted.
func (l *Loop) turns() {
	for {
		l.turn()
		if l.isStopped() {
			return
		}
		l.wait()
	}
}

// turn runs the handlers of the events that were found, then one step of the
// queue, then the timers that were due when it began, then what was put off to
// its end. Called again after a Goexit, it goes on where it was: no part of it
// is begun anew, so that nobody keeps the loop from waiting and from Stop.
func (l *Loop) turn() {
	l.dispatch()
	if !l.stepped {
		l.stepped = true
		l.takeBatch()
	}
	l.runBatch()
	l.timers.runDue(l)
	if !l.yield() {
		l.showLife()
	}
	l.settle()
	l.counters.endTurn(l.clock.Now() - l.timers.now)
}

func (l *Loop) isStopped() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.stopped || l.closing
}

func (l *Loop) isClosing() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.closing
}

// wait fetches the events of the next turn. A busy loop looks without blocking
// first, in a call that the scheduler does not notice: it finds something, and an
// entry into the scheduler costs more than the system call. After a turn of one
// event there is hardly ever another yet, and the look would be for nothing.
func (l *Loop) wait() {
	var n int
	var err error
	busy := l.eventEnd != 1
	if busy {
		n, err = l.poller.Wait(l.events, 0)
	}
	if n == 0 && err == nil && !l.yield() {
		if timeout := l.sleep(); timeout != 0 || !busy {
			l.counters.wakeups++
			n, err = l.poller.Wait(l.events, timeout)
			l.wakeUp()
		}
	}
	if err != nil {
		l.fault = err
		l.Stop()
	}
	l.startTurn(n)
}

// startTurn begins a turn with n events.
func (l *Loop) startTurn(n int) {
	if n == len(l.events) {
		l.growEvents()
	}
	l.eventPos, l.eventEnd = 0, n
	l.stepped = false
	l.timers.mark(l.clock.Now())
	l.counters.startTurn(n)
}

// growEvents doubles the room for events after a batch that filled it.
func (l *Loop) growEvents() {
	if n := len(l.events); n < maxEvents {
		l.events = append(l.events, l.events...)
	}
}

// sleep decides how long the loop may block: not at all (0) if work has been
// queued meanwhile, else until the next timer. From then on whoever queues work
// wakes the loop.
func (l *Loop) sleep() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.queue) > 0 || len(l.dirty) > 0 || l.stopped || l.closing {
		return 0
	}
	timeout := l.timers.timeout(l.clock)
	l.awake = timeout == 0
	return timeout
}

func (l *Loop) wakeUp() {
	l.mu.Lock()
	l.awake = true
	l.mu.Unlock()
}

// yield lets goroutines run that the turn has made runnable, and reports whether
// there were any. What they write still belongs to this turn and leaves together
// with it. If the loop blocked in the kernel straight away, it would keep its
// processor from them until the runtime's monitor takes it away, some 20 µs later.
func (l *Loop) yield() bool {
	if !l.wokeGoroutine.Load() {
		return false
	}
	l.wokeGoroutine.Store(false)
	l.seen = l.timers.now
	runtime.Gosched()
	return true
}

// showLife enters the scheduler now and then. A goroutine that does not for 10
// ms passes for a hog: the runtime's monitor signals its thread again and again,
// and takes its processor away as soon as it sees it in a system call, for which
// it has to wake up 20,000 times a second.
func (l *Loop) showLife() {
	if l.timers.now-l.seen >= 5*time.Millisecond {
		l.seen = l.timers.now
		runtime.Gosched()
	}
}

// dispatch runs the handlers of the turn's events. An event may have been fetched
// before its handler was removed, or its interest changed.
func (l *Loop) dispatch() {
	for l.eventPos < l.eventEnd {
		l.dispatchContained()
	}
}

// dispatchContained goes on until a handler fails. Containing all of them at once
// spares each event a frame.
func (l *Loop) dispatchContained() {
	var running Handler
	defer func() {
		if running != nil {
			l.contain(running, recover())
		}
	}()
	for l.eventPos < l.eventEnd {
		event := &l.events[l.eventPos]
		l.eventPos++
		s := l.handlers.find(event.Token)
		if s == nil {
			continue
		}
		if ready := event.Ready & s.interest; ready != 0 {
			l.counters.callbacks++
			running = s.handler
			l.watchdog.enter()
			running.HandleEvent(ready, event.Hints)
			l.watchdog.leave()
			running = nil
		}
	}
}

// takeBatch takes what is queued; what that queues when it runs is for a later
// step.
func (l *Loop) takeBatch() {
	spare := emptied(l.batch)
	l.mu.Lock()
	l.batch, l.queue = l.queue, spare
	l.mu.Unlock()
	l.batchPos = 0
}

func (l *Loop) runBatch() {
	for l.batchPos < len(l.batch) {
		r := l.batch[l.batchPos]
		l.batch[l.batchPos] = nil
		l.batchPos++
		l.counters.callbacks++
		l.call(r)
	}
}

// step runs what had been queued when it began, outside of a turn, and reports
// whether there was anything.
func (l *Loop) step() bool {
	if l.batchPos == len(l.batch) {
		l.takeBatch()
	}
	if len(l.batch) == 0 {
		runtime.Gosched() // another goroutine may be about to queue a task
		return false
	}
	l.runBatch()
	return true
}

// emptied returns the room of a queue whose entries have been cleared. A burst
// must not cost its memory for ever.
func emptied(q []Runner) []Runner {
	if cap(q) > maxSpare {
		return nil
	}
	return q[:0]
}

// settle runs what was put off to the end of the turn, until nothing is.
func (l *Loop) settle() {
	for {
		for l.endPos < len(l.ends) {
			r := l.ends[l.endPos]
			l.ends[l.endPos] = nil
			l.endPos++
			l.call(r)
		}
		spare := emptied(l.ends)
		l.mu.Lock()
		l.ends, l.dirty = l.dirty, spare
		l.mu.Unlock()
		l.endPos = 0
		if len(l.ends) == 0 {
			return
		}
	}
}

// Post has fn called by the loop, in the order of the posts, in a step after
// the present one. A post that was taken is never lost: if the loop is not
// running, it waits for the next Run or for Close. Post returns ErrClosed once
// Close has been called.
func (l *Loop) Post(fn func()) error {
	if fn == nil {
		return ErrInvalid
	}
	return l.enqueue(runnerFunc(fn), false)
}

// Schedule is Post without an allocation, for objects that belong to the loop.
// It still works while Close lets go of them.
func (l *Loop) Schedule(r Runner) error { return l.enqueue(r, true) }

func (l *Loop) enqueue(r Runner, evenClosing bool) error {
	l.mu.Lock()
	if l.closed || l.closing && !evenClosing {
		l.mu.Unlock()
		return ErrClosed
	}
	l.queue = append(l.queue, r)
	wake := !l.awake
	l.mu.Unlock()
	if wake {
		_ = l.poller.Wake() // if it fails, the next Wait does too, and ends Run
	}
	return nil
}

// AtTurnEnd has r run at the end of the turn in progress, after everything
// else and before the loop blocks, and reports true. If the loop is asleep or
// not running it reports false, and nothing will happen: the caller does then
// itself what it wanted to put off.
func (l *Loop) AtTurnEnd(r Runner) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.awake || l.closed {
		return false
	}
	l.dirty = append(l.dirty, r)
	return true
}
