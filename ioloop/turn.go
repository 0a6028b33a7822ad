package ioloop

import (
	"runtime"
	"time"

	"github.com/eddyloop/eddy/internal/turnshare"
)

const (
	minEvents = min(128, maxEvents)
	maxEvents = turnshare.Events

	maxEndRounds = 8 // of a turn's end, as libuv has for what it puts off

	maxSpare = 4096 // entries of an empty queue that are kept for the next use
)

// phase is how far a turn is.
type phase uint8

const (
	inEvents phase = iota
	inStep
	inTimers
	inEnd
	turnOver
)

// turn runs the handlers of the events that were found, then one step of the
// queue, then the timers that were due when it began, then what was put off to
// its end. Of each of these it does no more than its share (see turnShare); the
// rest is for the next turn. It returns early when it is interrupted (see lead.go).
// Called again after that or after a Goexit, it goes on where it was: no part of
// it is begun anew, so that nobody keeps the loop from waiting and from Stop.
func (l *Loop) turn() {
	if l.phase == inEvents {
		if !l.dispatch() {
			return
		}
		l.phase = inStep
		l.beginStep()
	}
	if l.phase == inStep {
		if !l.runBatch() {
			return
		}
		l.phase = inTimers
		l.beginTimers()
	}
	if l.phase == inTimers {
		if !l.runDue() {
			return
		}
		l.phase = inEnd
		if !l.yield() {
			l.showLife()
		}
	}
	if l.phase == inEnd && l.runPutOff() {
		l.phase = turnOver
		l.endTurn()
	}
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
	if l.eventPos < l.eventCount {
		l.startTurn()
		return
	}
	var n int
	var err error
	busy := l.eventCount != 1
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
	l.found(n)
	l.startTurn()
}

// found takes in that the poller has reported n events.
func (l *Loop) found(n int) {
	if n == len(l.events) {
		l.growEvents()
	}
	l.eventPos, l.eventCount = 0, n
	l.counters.events += uint64(n)
}

func (l *Loop) startTurn() {
	l.phase, l.endRounds = inEvents, 0
	now := l.clock.Now()
	l.timers.mark(now)
	l.share.startTurn(now)
	l.counters.turns++
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
	if l.hasQueue.Load() || l.hasLate.Load() || l.unfinished() || l.stopped.Load() {
		return 0
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.hasQueue.Load() || l.hasLate.Load() || l.stopped.Load() || l.closing {
		return 0
	}
	timeout := l.timers.timeout(l.clock)
	l.awake = timeout == 0
	return timeout
}

// unfinished reports whether the turn has left something to the next.
func (l *Loop) unfinished() bool {
	return l.eventPos < l.eventCount || l.batchPos < len(l.batch) || l.endPos < len(l.endBatch)
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
	l.offer()
	return true
}

// showLife enters the scheduler now and then. A goroutine that does not for 10
// ms passes for a hog: the runtime's monitor signals its thread again and again,
// and takes its processor away as soon as it sees it in a system call, for which
// it has to wake up 20,000 times a second.
func (l *Loop) showLife() {
	if l.timers.now-l.offered >= 5*time.Millisecond {
		l.offer()
	}
}

// offer lets other goroutines have the processor. How long they keep it is
// nothing that the turn has used.
func (l *Loop) offer() {
	l.offered = l.timers.now
	l.readClock()
	before := l.share.read
	runtime.Gosched()
	l.share.read = l.clock.Now()
	l.share.offered += l.share.read - before
	l.share.start(l.share.kind)
}

// dispatch runs the handlers of the turn's events, and reports whether it is done
// with them. An event may have been fetched before its handler was removed, or its
// interest changed.
func (l *Loop) dispatch() (done bool) {
	me := l.coroutines.leader
	for l.eventPos < l.eventCount && !l.share.usedUp {
		if l.dispatchContained(me); l.interrupted(me) {
			return false
		}
	}
	return true
}

// dispatchContained goes on until a handler fails, or it is interrupted. Containing all
// of them at once spares each event a frame.
func (l *Loop) dispatchContained(me *coroutine) {
	var running Handler
	defer func() {
		if running != nil && !l.coroutines.exiting {
			l.contain(running, recover())
		}
	}()
	for l.eventPos < l.eventCount {
		event := &l.events[l.eventPos]
		l.eventPos++
		s := l.handlers.find(event.Token)
		if s == nil {
			continue
		}
		if ready := event.Ready & s.interest; ready != 0 {
			l.counters.callbacks++
			running = s.handler
			running.HandleEvent(ready, event.Hints)
			running = nil
			if l.interrupted(me) || l.turnUsedUp() {
				return
			}
		}
	}
}

// takeBatch takes what is queued; what that queues when it runs is for a later
// step.
func (l *Loop) takeBatch() {
	spare := emptied(l.batch)
	l.batchPos = 0
	if !l.hasQueue.Load() {
		l.batch = spare
		return
	}
	l.mu.Lock()
	l.batch, l.queue = l.queue, spare
	l.hasQueue.Store(false)
	l.mu.Unlock()
}

// beginStep begins a turn's step: with what is left of the batch, or the next one.
func (l *Loop) beginStep() {
	if l.batchPos == len(l.batch) {
		l.takeBatch()
	}
	if len(l.batch) > 0 {
		l.startKind(ofPosts)
	}
}

// runBatch is a turn's step; it reports whether that is over.
func (l *Loop) runBatch() (done bool) {
	me := l.coroutines.leader
	for l.batchPos < len(l.batch) && !l.share.usedUp {
		if l.runNext(); l.interrupted(me) {
			return false
		}
		l.turnUsedUp()
	}
	return true
}

func (l *Loop) runNext() {
	r := l.batch[l.batchPos]
	l.batch[l.batchPos] = nil
	l.batchPos++
	l.counters.callbacks++
	l.call(r)
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
	l.startKind(ofPosts)
	for l.batchPos < len(l.batch) {
		l.runNext()
	}
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

// runPutOff runs what was put off to the end of the turn, and what that puts
// off, as long as the turn's share lasts, and reports whether that is over. It is
// not for ever: other goroutines may put off work as fast as it is done.
func (l *Loop) runPutOff() (done bool) {
	me := l.coroutines.leader
	for l.endPos < len(l.endBatch) || l.endRounds < maxEndRounds {
		if l.endPos == len(l.endBatch) {
			l.endRounds++ // now, as it may be interrupted before its end
		}
		if !l.takePutOff() {
			break
		}
		if l.share.kind != ofTurnEnd {
			l.startKind(ofTurnEnd)
		}
		for l.endPos < len(l.endBatch) {
			if l.share.usedUp {
				return true
			}
			if l.runNextPutOff(); l.interrupted(me) {
				return false
			}
			l.turnUsedUp()
		}
	}
	return true
}

// takePutOff makes sure that endBatch has work, and reports whether there is any.
func (l *Loop) takePutOff() bool {
	if l.endPos < len(l.endBatch) {
		return true
	}
	spare := emptied(l.endBatch)
	l.endPos = 0
	if !l.hasLate.Load() {
		l.endBatch = spare
		return false
	}
	l.mu.Lock()
	l.endBatch, l.late = l.late, spare
	l.hasLate.Store(false)
	l.mu.Unlock()
	return true
}

func (l *Loop) runNextPutOff() {
	r := l.endBatch[l.endPos]
	l.endBatch[l.endPos] = nil
	l.endPos++
	l.call(r)
}

// runAllPutOff runs everything that was put off. Nothing more can be: the loop is
// about to stop, and AtTurnEnd tells its callers to do it themselves.
func (l *Loop) runAllPutOff() {
	l.mu.Lock()
	l.awake = false
	l.mu.Unlock()
	for l.takePutOff() {
		l.runNextPutOff()
	}
}

// Post has fn called by the loop in its next step, in the order of the posts. A
// function that Post has accepted is always called: if the loop does not run,
// by the next Run or by Close. Post returns ErrClosed after Close.
func (l *Loop) Post(fn func()) error {
	if fn == nil {
		return ErrInvalid
	}
	return l.enqueue(runnerFunc(fn), false)
}

func (l *Loop) enqueue(r Runner, evenClosing bool) error {
	l.mu.Lock()
	if l.closed || l.closing && !evenClosing {
		l.mu.Unlock()
		return ErrClosed
	}
	l.queue = append(l.queue, r)
	if !l.hasQueue.Load() {
		l.hasQueue.Store(true)
	}
	wake := !l.awake
	if !l.running {
		l.expectRun()
	}
	l.mu.Unlock()
	if wake {
		_ = l.poller.Wake() // if it fails, the next Wait does too, and ends Run
	}
	return nil
}

// putOff has r run at the end of the turn, and reports false if there is none.
func (l *Loop) putOff(r Runner) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.awake || l.releasing {
		return false
	}
	l.late = append(l.late, r)
	l.hasLate.Store(true)
	return true
}
