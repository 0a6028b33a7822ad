package ioloop

import (
	"context"
	"sync/atomic"
)

// Waiter is how a method waits with a context in both styles: with a *Task it
// suspends the task, with any other context it blocks the goroutine. It is what
// protocol objects build their waiting methods on:
//
//	var w ioloop.Waiter
//	if err := w.Begin(ctx); err != nil {
//		return err
//	}
//	o.mu.Lock()
//	o.waiter = &w // whoever completes calls w.Wake under o.mu, and resets o.waiter
//	o.mu.Unlock()
//	err := w.Wait()
//	o.mu.Lock() // see whether it has completed, else withdraw o.waiter
//
// A Waiter may be used again after its Wait has returned nil, and after an error
// once it is certain that nobody will call Wake for it. The zero value is ready.
type Waiter struct {
	task    *Task // nil: a goroutine waits
	woken   atomic.Bool
	blocked *blocked // of goroutines, kept for the next use
}

// blocked is what a goroutine waits with. It is apart so that the Waiter of a task
// is small.
type blocked struct {
	ctx   context.Context
	ready chan struct{}
}

// CheckContext returns the error that a waiting method returns at once, also
// where it would not have to wait: ErrTaskContext for a context that is derived
// from a task and for a task that is not running, ErrInvalid for nil, or the
// context's own error.
func CheckContext(ctx context.Context) error {
	if task, ok := ctx.(*Task); ok {
		if !task.co.running() {
			return ErrTaskContext
		}
		if !task.ended.Load() { // as all tasks have when the loop stops
			return nil
		}
		return task.co.check(task)
	}
	if ctx == nil {
		return ErrInvalid
	}
	if ctx.Value(taskKey{}) != nil {
		return ErrTaskContext
	}
	return ctx.Err()
}

// Begin prepares w to wait with ctx. It returns what CheckContext does.
func (w *Waiter) Begin(ctx context.Context) error {
	if err := CheckContext(ctx); err != nil {
		return err
	}
	w.task, _ = ctx.(*Task)
	w.woken.Store(false)
	if w.task == nil {
		w.enter(ctx)
	}
	return nil
}

func (w *Waiter) enter(ctx context.Context) {
	if w.blocked == nil {
		w.blocked = &blocked{ready: make(chan struct{}, 1)}
	}
	w.blocked.ctx = ctx
}

// Wait returns nil once Wake has been called, or the context's error if that
// comes first.
func (w *Waiter) Wait() error {
	if w.task == nil {
		return w.block()
	}
	co := w.task.co
	for {
		co.look()
		ended := w.task.ended.Load() // before woken: if Wake came first, it counts
		if w.woken.Load() {
			return nil
		}
		if ended {
			return co.check(w.task)
		}
		co.park()
	}
}

func (w *Waiter) block() error {
	ctx := w.blocked.ctx
	defer func() { w.blocked.ctx = nil }() // it may hold much
	for !w.woken.Load() {
		select {
		case <-w.blocked.ready: // may be left over from an earlier use
		case <-ctx.Done():
			if !w.woken.Load() {
				return ctx.Err()
			}
		}
	}
	return nil
}

// Wake ends the Wait, from any goroutine. A second call has no effect.
func (w *Waiter) Wake() {
	task, blocked := w.task, w.blocked
	w.woken.Store(true) // from here on w may be in use again
	if task != nil {
		task.co.unpark()
		return
	}
	select {
	case blocked.ready <- struct{}{}:
	default:
	}
}
