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

// Runner is work for the loop. A pointer that has Run costs no allocation to
// schedule.
type Runner interface{ Run() }

type runnerFunc func()

func (f runnerFunc) Run() { f() }

// Schedule is [Loop.Post] without an allocation, for objects that belong to the
// loop. It still works while Close lets go of them. It returns ErrInvalid for a
// nil r and ErrClosed when the loop is closed.
func (k Kit) Schedule(r Runner) error {
	if r == nil {
		return ErrInvalid
	}
	return k.l.enqueue(r, true)
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
// waits. Only for callbacks and tasks.
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
	if w.task == nil || w.task.co.loop != k.l || k.l.inTask {
		k.WakeWaiter(w)
		return
	}
	co := w.task.co
	w.woken.Store(true)
	if !co.state.CompareAndSwap(coParked, coRunning) {
		co.unpark()
		return
	}
	mu.Unlock()
	co.resume()
	mu.Lock()
}
