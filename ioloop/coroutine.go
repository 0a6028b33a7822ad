package ioloop

import (
	"iter"
	"runtime"
	"runtime/pprof"
	"sync"
	"sync/atomic"
)

// A coroutine is parked (its task waits for unpark), queued (will be resumed in a step),
// idle (without a task), exited, running, or notified (running, and an unpark has
// come since it was resumed).
const (
	coParked int32 = iota
	coQueued
	coIdle
	coExited
	coRunning
	coNotified
)

// A coroutine carries one task after another: making one costs several times what a
// switch does, and takes a stack. Those that have nothing to do are kept by their
// loop; the one used last is the next, so that the stacks in use are warm. Each task
// has a Task of its own, so that who holds one that has ended does nothing to the
// next, other than to have it look once more whether it may go on.
//
// It is the Runner that resumes its task: the loop's queue does, or a callback by
// ResumeWaiter, so tasks never run inside of one another.
//
// How a task ends, in order:
//
//  1. On the coroutine its function returns, panics (which contained catches), or
//     exits by Goexit: its own, or that of a second wait while the loop stops.
//  2. Still there, finish ends the task's context with the views of it. From here on
//     nobody resumes the task.
//  3. A coroutine that leads (see lead.go) goes on with the callback. Any other switches to
//     it: after a return or a panic it stands in body and can carry the next task. A
//     Goexit cannot be stopped, and iter.Pull would pass it on to the loop's goroutine:
//     so the coroutine switches out of its last deferred function instead.
//  4. On the loop, resume (or ended) strikes the task off the list, and keeps the
//     coroutine, or has a goroutine that may exit with it see it to its end.
//
// What a switch needs comes first: between two messages of a connection its memory
// leaves the processor's cache, and each line fetched anew costs as much as the
// switch itself.
type coroutine struct {
	next     func() (struct{}, bool)
	yield    func(struct{}) bool
	loop     *Loop
	state    atomic.Int32
	listed   bool // it is in the loop's list, as its task has waited
	counted  bool // it is in the loop's count of tasks
	stopping stopStage
	task     *Task      // nil: none
	mu       sync.Mutex // guards the task and the views of it

	job             Job
	prev, following *coroutine
}

// stopStage is how far a task is that ends because its loop stops.
type stopStage uint8

const (
	untold    stopStage = iota
	told                // a wait has returned for that reason
	unwinding           // it is being ended by Goexit
)

func newCoroutine(l *Loop) *coroutine {
	co := &coroutine{loop: l}
	co.state.Store(coIdle)
	co.next, _ = iter.Pull(co.start)
	return co
}

// take has the coroutine carry a task that begins now. t is a new Task.
func (co *coroutine) take(job Job, t *Task) {
	t.co = co
	co.job, co.task = job, t
	co.stopping = untold
	if co.state.Load() != coRunning {
		co.state.Store(coRunning)
	}
}

// start is the coroutine's function.
func (co *coroutine) start(yield func(struct{}) bool) {
	co.yield = yield
	asTaskOf(co.loop.number, co.body)
}

func (co *coroutine) body() {
	returned := false
	defer func() {
		if !returned {
			co.loop.coroutines.exited, co.loop.coroutines.exiting = true, false
			co.finish(coExited)
			co.yield(struct{}{})
		}
	}()
	for co.task != nil || co.loop.coroutines.leader == co {
		co.restore()
		if co.task != nil {
			co.carry()
		} else {
			co.lead()
		}
		co.yield(struct{}{})
	}
	returned = true
}

// restore undoes what a task may have changed about its goroutine.
func (co *coroutine) restore() {
	markGoroutine()
	pprof.SetGoroutineLabels(co.loop.labels)
}

// carry runs the task to its end.
func (co *coroutine) carry() {
	if !co.contained() {
		co.loop.coroutines.exiting = false
	}
	co.finish(coIdle)
}

// contained runs the job, and reports whether that has returned. It does not return from a
// Goexit, not even if a deferred function panics on the way and that is recovered here:
// so whether the coroutine exits is known only then.
func (co *coroutine) contained() (returned bool) {
	defer func() {
		if value := recover(); value != nil || !returned {
			co.failed(value)
		}
	}()
	co.job.RunTask(co.task)
	return true
}

// failed tells the job why it has not returned: value is what recover has returned.
func (co *coroutine) failed(value any) {
	l := co.loop
	l.scratch.lose(co)
	if value == nil && co.stopping == unwinding {
		l.fail(co.job, ErrTaskStopped)
	} else {
		l.contain(co.job, value)
	}
	l.coroutines.exiting = true // if so, a callback below it has not failed
}

// finish ends the task, if there is one, on the coroutine; state is what that is then.
func (co *coroutine) finish(state int32) {
	if co.task != nil {
		co.task.over() // for views and contexts made by Detach
	}
	co.state.Store(state)
}

// end resumes a coroutine without a task, and sees it return or, if it has exited,
// exits itself.
func (co *coroutine) end() { co.next() }

// Run is called by the loop's queue.
func (co *coroutine) Run() {
	co.state.Store(coRunning)
	co.resume()
}

// resume lets the task, which counts as running, go on until it parks or ends.
func (co *coroutine) resume() {
	l := co.loop
	l.share.tasks++
	l.current = co.task
	co.next()
	l.current = nil
	switch co.state.Load() {
	case coIdle:
		co.strike()
		l.takeBack(co)
	case coExited:
		co.strike()
		l.bury(co)
	default:
		co.parked()
	}
}

// strike takes the task, which has ended, off the loop's books.
func (co *coroutine) strike() {
	co.loop.tasks.remove(co)
	co.loop.scratch.giveBack(co)
	co.task, co.job = nil, nil
}

// parked takes in that the task has switched to the loop to wait.
func (co *coroutine) parked() {
	if !co.state.CompareAndSwap(coRunning, coParked) {
		co.state.Store(coQueued) // an unpark came while it ran
		co.enqueue()
	}
	if !co.listed {
		co.loop.tasks.add(co)
	}
}

// unpark has the task resumed, to look whether what it waits for has come. It may
// be called from any goroutine, and too late, when the coroutine has another task.
func (co *coroutine) unpark() {
	for {
		switch state := co.state.Load(); state {
		case coParked:
			if co.state.CompareAndSwap(coParked, coQueued) {
				co.enqueue()
				return
			}
		case coRunning:
			if co.state.CompareAndSwap(coRunning, coNotified) {
				return
			}
		default:
			return
		}
	}
}

// enqueue cannot fail while the task lives: a loop is released only when its
// tasks have ended.
func (co *coroutine) enqueue() { _ = co.loop.enqueue(co, true) }

// look says that the task looks now whether it may go on: what came before, the end
// of a view that it has done with for example, need not resume it.
func (co *coroutine) look() {
	if co.state.Load() == coNotified {
		co.state.Store(coRunning)
	}
}

// park suspends the task until the next unpark; it may also return without one.
func (co *coroutine) park() { co.yield(struct{}{}) }

// running is true if the task runs. Whether the caller is the task nobody can
// tell for less than microseconds; but if it does not run, the caller is someone else.
func (co *coroutine) running() bool { return co.state.Load() >= coRunning }

// check returns the error of t, which is the task or a view of it, before it
// waits. When the loop stops, a task is told once; if it waits again it is unwound,
// so that one which ignores errors cannot hold up the loop's end. Its deferred
// calls still run, and waits in them return at once.
func (co *coroutine) check(t *Task) error {
	if !co.loop.stopping {
		return t.Err()
	}
	switch co.stopping {
	case untold:
		co.stopping = told
	case told:
		co.stopping = unwinding
		runtime.Goexit()
	}
	return co.task.Err()
}

// countReady counts a wait that did not suspend the task, and suspends it after all
// if the turn has had its share: a producer to a peer that keeps up, or a task that is
// sent messages without end, would hold the loop. It reports whether it did.
func (co *coroutine) countReady() bool {
	if !co.loop.turnUsedUp() || co.loop.stopping {
		return false
	}
	co.yieldTurn()
	return true
}

// yieldTurn suspends the task until the next step.
func (co *coroutine) yieldTurn() {
	co.unpark() // it runs, so this queues it again when it parks
	co.park()
}
