package ioloop

import (
	"runtime"
	"sync/atomic"
)

// Job is what a task does; see Kit.RunJob. If it is a Failer, Fail is called on
// the task's goroutine when RunTask panics or calls runtime.Goexit, and with
// ErrTaskStopped when the task is unwound because its loop stops.
type Job interface{ RunTask(t *Task) }

type jobFunc func(t *Task)

func (f jobFunc) RunTask(t *Task) { f(t) }

// A job is parked (waits for unpark), queued (will be resumed in a step), ended,
// exited (ended, and its coroutine with it), running, or notified (running, and an
// unpark has come since it was resumed).
const (
	jobParked int32 = iota
	jobQueued
	jobEnded
	jobExited
	jobRunning
	jobNotified
)

// job is a task with the state of its run. It is new for every task, so that who
// holds one that has ended never touches another that runs on the same coroutine.
// It is the Runner that resumes the task: the loop's queue does, or a callback
// by ResumeWaiter, so tasks never run inside of one another.
//
// What a switch needs comes first: between two messages of a connection its memory
// leaves the processor's cache, and each line fetched anew costs as much as the
// switch itself.
type job struct {
	next     func() (struct{}, bool) // of the coroutine that carries it
	yield    func(struct{}) bool
	loop     *Loop
	state    atomic.Int32
	listed   bool // it is in the loop's list, as it has waited
	counted  bool // it is in the loop's count of tasks
	stopping stopStage
	root     Task

	work            Job
	prev, following *job
}

// stopStage is how far a task is that ends because its loop stops.
type stopStage uint8

const (
	untold    stopStage = iota
	told                // a wait has returned for that reason
	unwinding           // it is being ended by Goexit
)

func newJob(l *Loop, work Job) *job {
	j := &job{loop: l, work: work}
	j.root.job = j
	j.state.Store(jobQueued)
	return j
}

// Run is called by the loop's queue.
func (j *job) Run() {
	if j.next == nil {
		j.begin()
		j.count()
	}
	j.state.Store(jobRunning)
	j.resume()
}

// begin gives the job a coroutine.
func (j *job) begin() {
	co := j.loop.takeCoroutine()
	j.next, co.job = co.next, j
	if j.loop.stopping {
		j.root.finish(endStopped)
	}
}

// contained runs the job's function on its coroutine. It does not return from a
// Goexit, not even if a deferred function panics on the way and that is recovered
// here.
func (j *job) contained(yield func(struct{}) bool) {
	returned := false
	defer func() {
		value := recover()
		switch {
		case value != nil || !returned && j.stopping != unwinding:
			j.loop.contain(j.work, value)
		case !returned:
			j.loop.fail(j.work, ErrTaskStopped)
		}
	}()
	j.yield = yield
	j.work.RunTask(&j.root)
	returned = true
}

// finish ends the job, on its coroutine; state is how.
func (j *job) finish(state int32) {
	j.root.Cancel() // for views and contexts made by Detach
	j.state.Store(state)
}

// resume lets the job, whose state is running, go on until it parks or ends.
func (j *job) resume() {
	l := j.loop
	l.share.tasks++
	l.current = j
	j.next()
	l.current = nil
	switch j.state.Load() {
	case jobEnded:
		j.strike()
		l.takeBack(l.coroutines.finished)
	case jobExited:
		j.strike()
		l.bury(l.coroutines.finished)
	default:
		j.parked()
	}
}

// strike takes the job, which has ended, off the loop's books.
func (j *job) strike() {
	j.loop.tasks.remove(j)
	j.next, j.yield, j.work = nil, nil, nil
}

// parked takes in that the job has switched to the loop to wait.
func (j *job) parked() {
	if !j.state.CompareAndSwap(jobRunning, jobParked) {
		j.state.Store(jobQueued) // an unpark came while it ran
		j.enqueue()
	}
	if !j.listed {
		j.loop.tasks.add(j)
	}
}

// unpark has the task resumed, to look whether what it waits for has come. It may
// be called from any goroutine.
func (j *job) unpark() {
	for {
		switch state := j.state.Load(); state {
		case jobParked:
			if j.state.CompareAndSwap(jobParked, jobQueued) {
				j.enqueue()
				return
			}
		case jobRunning:
			if j.state.CompareAndSwap(jobRunning, jobNotified) {
				return
			}
		default:
			return
		}
	}
}

// enqueue cannot fail while the task lives: a loop is released only when its
// tasks have ended.
func (j *job) enqueue() { _ = j.loop.enqueue(j, true) }

// look says that the task looks now whether it may go on: what came before, the end
// of a view that it has done with for example, need not resume it.
func (j *job) look() {
	if j.state.Load() == jobNotified {
		j.state.Store(jobRunning)
	}
}

// park suspends the task until the next unpark; it may also return without one.
func (j *job) park() { j.yield(struct{}{}) }

// running is true if the task runs. Whether the caller is the task nobody can
// tell for less than microseconds; but if it does not run, the caller is someone else.
func (j *job) running() bool { return j.state.Load() >= jobRunning }

// check returns the error of t, which is the task or a view of it, before it
// waits. When the loop stops, a task is told once; if it waits again it is unwound,
// so that one which ignores errors cannot hold up the loop's end. Its deferred
// calls still run, and waits in them return at once.
func (j *job) check(t *Task) error {
	if !j.loop.stopping {
		return t.Err()
	}
	switch j.stopping {
	case untold:
		j.stopping = told
	case told:
		j.stopping = unwinding
		runtime.Goexit()
	}
	return j.root.Err()
}

// countReady counts a wait that did not suspend the task, and suspends it after all
// if the turn has had its share: a producer to a peer that keeps up, or a task that is
// sent messages without end, would hold the loop. It reports whether it did.
func (j *job) countReady() bool {
	if !j.loop.turnUsedUp() || j.loop.stopping {
		return false
	}
	j.yieldTurn()
	return true
}

// yieldTurn suspends the task until the next step.
func (j *job) yieldTurn() {
	j.unpark() // it runs, so this queues it again when it parks
	j.park()
}
