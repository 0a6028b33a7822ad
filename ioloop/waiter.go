package ioloop

import (
	"context"
	"sync"
	"sync/atomic"
)

// Waiter lets a method wait with a context: with a *Task it suspends the task,
// with any other context it blocks the goroutine. Protocol objects build their
// waiting methods on it:
//
//	var w ioloop.Waiter
//	if err := w.Begin(ctx); err != nil {
//		return err
//	}
//	o.mu.Lock()
//	o.waiter = &w // what completes the operation calls w.Wake under o.mu, and resets o.waiter
//	o.mu.Unlock()
//	err := w.Wait()
//	o.mu.Lock() // see whether the operation has completed, else reset o.waiter
//
// A Waiter may be used again after its Wait has returned nil, and after an
// error once nobody can call Wake for it any more. The zero value is ready.
type Waiter struct {
	task    *Task // nil: a goroutine waits
	woken   atomic.Bool
	blocked *blocked // of goroutines, kept for the next use
}

// blocked is what a goroutine waits with. It is apart so that the Waiter of a task
// is small.
//
// The gate is locked but for a moment; who waits asks for a read lock, and who wakes
// unlocks it. A channel will not do: one made in a bubble of testing/synctest must not
// be touched from outside, where the loop is, or another test with a pooled Waiter. A
// Mutex would spin before it blocks.
type blocked struct {
	ctx    context.Context
	gate   sync.RWMutex
	posted atomic.Bool // the gate has been opened, and not been closed since
}

func newBlocked() *blocked {
	b := new(blocked)
	b.gate.Lock()
	return b
}

// post ends the present or next wait.
func (b *blocked) post() {
	if b.posted.CompareAndSwap(false, true) {
		b.gate.Unlock()
	}
}

// wait returns after post, which may also be left over from an earlier use.
func (b *blocked) wait() {
	b.gate.RLock()
	//lint:ignore SA2001 it waits, and guards nothing
	b.gate.RUnlock()
	b.gate.Lock()
	b.posted.Store(false)
}

// CheckContext returns the error that a waiting method must return at once,
// also if it need not wait: ErrTaskContext for a context derived from a task
// and for a task that is not running, ErrInvalid for nil, or the context's own
// error.
//
// So that a task which never has to wait does not hold the loop, CheckContext
// now and then suspends a task for a turn. Do not call it with a lock held. In
// a loop that stops, it unwinds a task that has been told before, and does not
// return.
func CheckContext(ctx context.Context) error {
	task, ok := ctx.(*Task)
	if !ok {
		return checkOther(ctx)
	}
	if err := task.check(); err != nil {
		return err
	}
	if task.co.countReady() {
		return task.check()
	}
	return nil
}

// checkOther is CheckContext for contexts that are no *Task.
func checkOther(ctx context.Context) error {
	if ctx == nil {
		return ErrInvalid
	}
	if ctx.Value(taskKey{}) != nil {
		return ErrTaskContext
	}
	return ctx.Err()
}

// Begin prepares w to wait with ctx. It returns the error of CheckContext, and
// ErrOnLoop in a callback or task for a context that is no *Task. It does not
// suspend.
func (w *Waiter) Begin(ctx context.Context) error {
	task, ok := ctx.(*Task)
	if ok {
		if err := task.check(); err != nil {
			return err
		}
	} else if err := w.enter(ctx); err != nil {
		return err
	}
	w.task = task
	w.woken.Store(false)
	return nil
}

func (w *Waiter) enter(ctx context.Context) error {
	if err := checkOther(ctx); err != nil {
		return err
	}
	if err := MayBlock(); err != nil {
		return err
	}
	if w.blocked == nil {
		w.blocked = newBlocked()
	}
	w.blocked.ctx = ctx
	return nil
}

// Wait waits until Wake has been called and returns nil, or the context's error
// if that comes first.
func (w *Waiter) Wait() error {
	if w.task == nil {
		ctx := w.blocked.ctx
		w.blocked.ctx = nil // it may hold much
		if !w.woken.Load() && ctx.Done() != nil {
			return w.blockUntilDone(ctx)
		}
		for !w.woken.Load() { // here, as whoever waits for long has few frames more on its stack
			w.blocked.wait()
		}
		return nil
	}
	co := w.task.co
	for parked := false; ; parked = true {
		co.look()
		ended := w.task.ended() // before woken: if Wake came first, it counts
		if w.woken.Load() {
			if !parked {
				co.countReady()
			}
			return nil
		}
		if ended {
			return co.check(w.task)
		}
		co.park()
	}
}

func (w *Waiter) blockUntilDone(ctx context.Context) error {
	b := w.blocked
	defer context.AfterFunc(ctx, b.post)()
	for !w.woken.Load() {
		if err := ctx.Err(); err != nil && !w.woken.Load() {
			return err
		}
		b.wait()
	}
	return nil
}

// Woken reports whether Wake has been called since Begin. Called under the lock
// under which Wake is called, it says whether there is anything to withdraw.
func (w *Waiter) Woken() bool { return w.woken.Load() }

// Wake ends the Wait, from any goroutine. A second call has no effect.
func (w *Waiter) Wake() {
	task, blocked := w.task, w.blocked
	w.woken.Store(true) // from here on w may be in use again
	if task != nil {
		task.co.unpark()
	} else {
		blocked.post()
	}
}
