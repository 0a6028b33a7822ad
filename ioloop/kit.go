package ioloop

import (
	"iter"
	"log/slog"
	"sync"
)

// ScratchSize is the length of [Kit.Scratch] in bytes.
const ScratchSize = 64 << 10

// Kit is what protocol objects are built with, iostream.Stream for one: the
// parts of a Loop that a program which merely uses such objects has no need
// of. It is not covered by the promise of stability. The methods may be called
// from any goroutine, except those that say otherwise.
type Kit struct{ l *Loop }

// Kit returns the loop's Kit. The zero Kit must not be used.
func (l *Loop) Kit() Kit { return Kit{l} }

// Unregistered returns a Registration that has a descriptor and names no handler, for
// who keeps both in the place of one.
func Unregistered(fd int) Registration { return Registration{fd: int32(fd)} }

// Runner is work for the loop. A pointer that has Run costs no allocation to
// schedule.
type Runner interface{ Run() }

type runnerFunc func()

func (f runnerFunc) Run() { f() }

// Schedule is [Loop.Post] without an allocation, for objects that belong to the
// loop. It still works while Close lets go of them,
// but not without end: a Runner that schedules itself again and again is dropped in
// the end, and told ErrClosed if it is a [Failer]. It returns ErrInvalid for a
// nil r and ErrClosed when the loop is closed.
func (k Kit) Schedule(r Runner) error {
	if r == nil {
		return ErrInvalid
	}
	return k.l.enqueue(r, true)
}

// Running reports whether a goroutine runs the loop now.
func (k Kit) Running() bool {
	k.l.mu.Lock()
	defer k.l.mu.Unlock()
	return k.l.running
}

// AtTurnEnd has r run at the end of the turn in progress, after everything
// else, and reports true. If the turn's share is used up before r's time comes, r
// runs at the end of the next turn; the loop does not block before. If the loop
// is asleep, not running or closing it reports false, and nothing will happen:
// the caller does then itself what it wanted to put off.
func (k Kit) AtTurnEnd(r Runner) bool { return k.l.putOff(r) }

// TurnUsedUp counts one piece of work, and reports whether the turn has done
// as much of the present kind of work as it may. Who has more to do lets it wait
// for the next turn then (by Schedule, or Yield for a task). It costs next to
// nothing; ask before each further message. Only for callbacks and tasks.
func (k Kit) TurnUsedUp() bool { return k.l.turnUsedUp() }

// Charge counts n bytes sent or received as work of the turn: a turn that
// has sent a megabyte has done more than one that has sent a line. Only for
// callbacks and tasks.
func (k Kit) Charge(n int) { k.l.share.left -= n / bytesPerPiece }

// Scratch returns ScratchSize bytes that all handlers of the loop share, to
// read into. The bytes are the caller's until its callback returns or a task
// waits. Only for callbacks and tasks. The message that a stream's callback was
// given may stand in them: such a callback must not use them.
func (k Kit) Scratch() []byte {
	if k.l.scratch == nil {
		k.l.scratch = make([]byte, ScratchSize)
	}
	return k.l.scratch
}

// Handlers returns an iterator over what is registered, for callbacks and
// tasks. Handlers that come or go meanwhile may or may not be seen.
func (k Kit) Handlers() iter.Seq[Handler] { return k.l.handlers.all }

// Logger returns the logger that the loop was made with.
func (k Kit) Logger() *slog.Logger { return k.l.log }

// WakeWaiter is w.Wake for protocol objects of the loop: if a goroutine waits,
// the loop lets it run before it blocks in the kernel.
func (k Kit) WakeWaiter(w *Waiter) {
	if w.task == nil {
		k.l.wokeGoroutine.Store(true)
	}
	w.Wake()
}

// ResumeWaiter is WakeWaiter for a callback of the loop that has nothing left
// to do that must come first: a task of the loop that waits goes on within the
// call, and saves its way through the queue. Called by a task, it only wakes. The
// caller holds mu, under which w is woken as always; while the task runs, mu is
// released.
func (k Kit) ResumeWaiter(w *Waiter, mu sync.Locker) {
	if w.task == nil || w.task.job.loop != k.l || k.l.current != nil {
		k.WakeWaiter(w)
		return
	}
	j := w.task.job
	w.woken.Store(true)
	if !j.state.CompareAndSwap(jobParked, jobRunning) {
		j.unpark()
		return
	}
	mu.Unlock()
	j.resume()
	mu.Lock()
}

// RunJob runs work as a task at once, within the call, and reports whether it has
// ended without waiting. If it has waited, it goes on by itself like any task. It runs
// on a pooled coroutine: a job that does not wait costs a switch there and back and
// the allocation of its Task.
//
// Until its first wait the job has whatever its caller has: it may go on under a lock
// that the caller holds, and give it back locked. Whether it has waited, Waited tells;
// from then on the caller has gone on, and the job must take locks for itself. That
// holds for deferred functions too: when work panics or calls runtime.Goexit, RunJob
// returns true after these have run, if they have not waited. The panic is contained
// and logged, so work recovers first whatever it has to do about it.
//
// The Task is new for each job, so that one that was kept never touches another. In a
// loop that stops, the job's first wait returns ErrTaskStopped. Only for callbacks;
// called by a task, the job begins in a step of its own and RunJob returns false:
// tasks do not run inside of one another, so there the job must not rely on locks, and
// Waited is true from the start.
func (k Kit) RunJob(work Job) (ended bool) {
	j := newJob(k.l, work)
	if k.l.current != nil {
		j.waited = true
		_ = k.l.enqueue(j, true)
		return false
	}
	j.begin()
	j.state.Store(jobRunning)
	j.resume()
	return j.next == nil
}

// Waited reports whether t, a task that RunJob began, has waited. Only for the task
// itself.
func (k Kit) Waited(t *Task) bool { return t.job.waited }

// OnLoop runs work as part of the loop: a waiting call in it that would block its
// goroutine is refused with ErrOnLoop. It is for coroutines (iter.Pull) that callbacks
// resume, which are not recognised by themselves.
func (k Kit) OnLoop(work func()) { asLoop(work) }
