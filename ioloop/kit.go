package ioloop

import (
	"iter"
	"log/slog"
	"sync"
)

// Kit has the parts of a Loop that protocol objects such as iostream.Stream are
// built with. A program that only uses such objects does not need it, and the
// promise of stability does not cover it. Its methods may be called from any
// goroutine, unless they say otherwise.
type Kit struct{ l *Loop }

// Kit returns the loop's Kit. The zero Kit must not be used.
func (l *Loop) Kit() Kit { return Kit{l} }

// Unregistered returns a Registration that has a descriptor and names no
// handler, for a caller that keeps both in one field.
func Unregistered(fd int) Registration { return Registration{fd: int32(fd)} }

// Runner is work for the loop; see Kit.Schedule. Scheduling a pointer that has
// Run needs no allocation.
type Runner interface{ Run() }

type runnerFunc func()

func (f runnerFunc) Run() { f() }

// Schedule is Loop.Post without an allocation. It still works while Close
// releases the objects of the loop, but a Runner that schedules itself again
// and again is dropped at last, and told ErrClosed if it is a Failer. Schedule
// returns ErrInvalid for a nil r and ErrClosed when the loop is closed.
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
// else, and returns true. If the turn's share of work is used up before that, r
// runs at the end of the next turn, and the loop does not block before. If the
// loop sleeps, does not run or is closing, AtTurnEnd returns false and r will
// not run: the caller does the work itself.
func (k Kit) AtTurnEnd(r Runner) bool { return k.l.putOff(r) }

// TurnUsedUp counts one piece of work, and reports whether the turn has done as
// much of this kind of work as it may. If so, put further work off to the next
// turn (with Schedule, or in a task with Yield). It is cheap: call it before
// each further message. Only callbacks and tasks may call it.
func (k Kit) TurnUsedUp() bool { return k.l.turnUsedUp() }

// Charge counts n bytes sent or received as work of the turn, so that a turn
// that moves many bytes ends sooner. Only callbacks and tasks may call it.
func (k Kit) Charge(n int) { k.l.share.left -= int32(n / bytesPerPiece) }

// ChargeMoved is Charge that any goroutine may call, and that costs more: for the many
// bytes of one write, when nobody knows whether the loop makes it.
func (k Kit) ChargeMoved(n int) { k.l.share.moved.Add(int32(n / bytesPerPiece)) }

// Closing adds n, which may be negative, to the number of things that have been
// closed and still have bytes to send. RunTask waits until it is 0. Closing may
// be called from any goroutine.
func (k Kit) Closing(n int) { k.l.countUnsent(n) }

// Handlers returns an iterator over the registered handlers. Only callbacks and
// tasks may use it. It may or may not return handlers that are added or removed
// meanwhile.
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

// ResumeWaiter is WakeWaiter for a callback that has nothing left to do first:
// a task of the loop that waits with w runs within the call, without the queue.
// Called by a task, it only wakes. The caller holds mu, the lock under which w
// is woken; mu is released while the task runs.
func (k Kit) ResumeWaiter(w *Waiter, mu sync.Locker) {
	if w.task == nil || w.task.co.loop != k.l || k.l.current != nil {
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

// OnLoop runs work as part of the loop, so that a waiting call in it returns
// ErrOnLoop instead of blocking its goroutine. It is for coroutines (iter.Pull)
// that callbacks resume; the loop does not recognise these by itself.
func (k Kit) OnLoop(work func()) { asLoop(work) }
