package ioloop

import (
	"iter"
	"runtime"
	"sync/atomic"
)

// A coroutine is parked (waits for unpark), queued (will be resumed in a step),
// ended, running, or notified (running, and an unpark has come since it was
// resumed).
const (
	coParked int32 = iota
	coQueued
	coEnded
	coRunning
	coNotified
)

// coroutine carries a task. It is the Runner that resumes it: the loop's queue
// does, or a callback by ResumeWaiter, so tasks never run inside of one another.
//
// What a switch needs comes first: between two messages of a connection its memory
// leaves the processor's cache, and each line fetched anew costs as much as the
// switch itself.
type coroutine struct {
	loop    *Loop
	next    func() (struct{}, bool)
	yield   func(struct{}) bool
	state   atomic.Int32
	told    bool // a wait has returned because the loop stops
	leaving bool // the task is being unwound by the loop, or has ended by Goexit
	root    Task

	fn              func(*Task)
	stop            func()
	prev, following *coroutine
	goroutine       []byte // what stack traces call it, for the watchdog
}

func newCoroutine(l *Loop, fn func(*Task)) *coroutine {
	co := &coroutine{loop: l, fn: fn}
	co.root.co = co
	co.state.Store(coQueued)
	return co
}

// Run is called by the loop's queue.
func (co *coroutine) Run() {
	if co.next == nil {
		co.begin()
	}
	co.state.Store(coRunning)
	co.resume()
}

// resume lets the task, whose state is running, go on until it parks or ends.
func (co *coroutine) resume() {
	co.loop.inTask = true
	co.loop.share.tasks++
	co.loop.watchdog.switchTo(co)
	_, alive := co.next()
	co.loop.watchdog.switchTo(nil)
	co.loop.inTask = false
	switch {
	case !alive || co.leaving:
		co.state.Store(coEnded)
		co.loop.tasks.remove(co)
		if alive {
			co.bury()
		}
	case !co.state.CompareAndSwap(coRunning, coParked):
		co.state.Store(coQueued) // an unpark came while it ran
		co.enqueue()
	}
}

func (co *coroutine) begin() {
	co.next, co.stop = iter.Pull(co.body)
	co.loop.tasks.add(co)
	if co.loop.stopping {
		co.root.end(ErrTaskStopped)
	}
}

// body is the coroutine's function. Goexit cannot be stopped, and iter.Pull
// would pass it on to the loop's goroutine. So the coroutine that is exiting
// switches back to the loop one last time, which then has another goroutine see it
// to its end.
func (co *coroutine) body(yield func(struct{}) bool) {
	co.yield = yield
	co.loop.watchdog.introduce(co)
	exiting := true
	defer func() {
		co.root.Cancel() // for contexts made by Detach
		if exiting {
			co.leaving = true
			yield(struct{}{})
		}
	}()
	co.call()
	exiting = false
}

// call runs the task's function, contained. It does not return from a Goexit, not
// even if a deferred function panics on the way and that is recovered here.
func (co *coroutine) call() {
	returned := false
	defer func() {
		value := recover()
		if value != nil || !returned && !co.leaving {
			_ = co.loop.failure(value)
		}
	}()
	co.fn(&co.root)
	returned = true
}

// bury ends a coroutine that is leaving, on a goroutine that may exit with it.
func (co *coroutine) bury() {
	co.loop.burials.Go(co.stop)
}

// unpark has the task resumed, to look whether what it waits for has come. It may
// be called from any goroutine.
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
// tell; but if it does not run, the caller is someone else.
func (co *coroutine) running() bool { return co.state.Load() >= coRunning }

// check returns the error of t, which is the task or a view of it, before it
// waits. When the loop stops, a task is told once; if it waits again it is unwound,
// so that one which ignores errors cannot hold up the loop's end. Its deferred
// calls still run, and waits in them return at once.
func (co *coroutine) check(t *Task) error {
	if !co.loop.stopping {
		return t.Err()
	}
	if co.told && !co.leaving {
		co.leaving = true
		runtime.Goexit()
	}
	co.told = true
	return co.root.Err()
}

// taskList holds the tasks of a loop that have begun and not ended.
type taskList struct {
	first *coroutine
	live  atomic.Int64
}

func (l *taskList) add(co *coroutine) {
	co.following = l.first
	if l.first != nil {
		l.first.prev = co
	}
	l.first = co
	l.live.Add(1)
}

func (l *taskList) remove(co *coroutine) {
	if co.prev != nil {
		co.prev.following = co.following
	} else {
		l.first = co.following
	}
	if co.following != nil {
		co.following.prev = co.prev
	}
	co.prev, co.following = nil, nil
	l.live.Add(-1)
}

// stopTasks ends all tasks, and returns when none is left.
func (l *Loop) stopTasks() {
	l.tellTasks()
	for l.tasks.first != nil {
		l.step()
		if l.takePutOff() {
			l.runEndBatch()
		}
	}
	l.stopping = false
}

// tellTasks has the present wait, or else the next, of every task return
// ErrTaskStopped, and of every task that begins from now on.
func (l *Loop) tellTasks() {
	l.stopping = true
	for co := l.tasks.first; co != nil; co = co.following {
		co.root.end(ErrTaskStopped)
	}
}
