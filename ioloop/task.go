package ioloop

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// ErrTaskStopped is returned by a task's waits when its loop stops. It is
// context.Canceled too.
var ErrTaskStopped = fmt.Errorf("ioloop: loop stopped: %w", context.Canceled)

// ErrTaskContext is returned by a waiting method for a context that it cannot
// wait with: one derived from a *Task, since it could be used on another
// goroutine, or a *Task used outside its own function. For a deadline use
// Task.WithTimeout, and for goroutines Task.Detach.
var ErrTaskContext = errors.New("ioloop: this context is of a task and cannot suspend it: in the task, pass the task itself or what its WithTimeout returns; elsewhere, what its Detach returns")

// Task is a function that runs on the loop and can wait without holding it.
// Loop.Go starts one.
//
// A *Task is a context.Context. A waiting method of this module suspends the
// task if it gets a *Task, and blocks the calling goroutine if it gets any
// other context. The type decides: a context derived from a task is refused
// with ErrTaskContext.
//
// Everything else that blocks in a task (a mutex, a channel, package net)
// blocks the loop. runtime.LockOSThread in a task ends the program.
//
// Only the task's own function may call Sleep and Yield and pass the Task to
// waiting methods. All other methods may be called from any goroutine.
type Task struct {
	co   *coroutine    // whose mu guards more
	more *taskMore     // nil: nothing of that
	end  atomic.Uint32 // an index of ends, 0 until the task or view has ended, and the bits below
}

// Why a task or a view of it has ended.
const (
	endCancelled uint32 = 1 + iota
	endDeadline
	endStopped

	endReason uint32 = 3
	endOver   uint32 = 4 // its function has ended
	hasMore   uint32 = 8 // its end is to be told of: see over
)

var ends = [...]error{nil, context.Canceled, context.DeadlineExceeded, ErrTaskStopped}

// taskMore is what most tasks do without.
type taskMore struct {
	parent   *Task         // nil: the task itself, not a WithTimeout view of it
	done     chan struct{} // made when asked for
	deadline time.Time
	timer    *Timer               // of a view that has not ended
	children map[*Task]struct{}   // views that have not ended
	after    map[*func()]struct{} // to be called when it ends
}

// extra returns what depends on the task. Only after that can it be told whether the
// task has ended without it.
func (t *Task) extra() *taskMore {
	if t.more == nil {
		t.more = new(taskMore)
		t.end.Or(hasMore)
	}
	return t.more
}

func (t *Task) endedWith() uint32 { return t.end.Load() & endReason }

// Go starts fn as a task in the loop's next step. A panic in fn is contained
// and logged; runtime.Goexit ends only the task. A task that Go has accepted is
// always begun, by the next Run or, if need be, by Close. Go returns ErrClosed
// after Close.
func (l *Loop) Go(fn func(t *Task)) error {
	if fn == nil {
		return ErrInvalid
	}
	return l.enqueue(&starting{l, jobFunc(fn)}, false)
}

// Loop returns the loop that the task runs on.
func (t *Task) Loop() *Loop { return t.co.loop }

// Cancel makes the task's present wait and further ones return
// context.Canceled. It may be called from any goroutine.
func (t *Task) Cancel() { t.finish(endCancelled) }

// WithTimeout returns a view of the task whose waits return
// context.DeadlineExceeded once d has passed on the loop's clock; the task
// itself goes on. Call the returned function when the view is no longer used,
// as with context.WithTimeout: it frees the timer.
func (t *Task) WithTimeout(d time.Duration) (*Task, context.CancelFunc) {
	deadline := time.Now().Add(d)
	if at, ok := t.Deadline(); ok && at.Before(deadline) {
		deadline = at
	}
	view := &Task{co: t.co, more: &taskMore{parent: t, deadline: deadline}}
	if end := t.adopt(view); end != 0 {
		view.finish(end)
	} else if d <= 0 {
		view.finish(endDeadline)
	} else {
		view.arm(d)
	}
	return view, func() { view.finish(endCancelled) }
}

// adopt makes view end when t does, or returns why t has ended.
func (t *Task) adopt(view *Task) (end uint32) {
	t.co.mu.Lock()
	defer t.co.mu.Unlock()
	m := t.extra()
	if end := t.endedWith(); end != 0 {
		return end
	}
	if m.children == nil {
		m.children = make(map[*Task]struct{})
	}
	m.children[view] = struct{}{}
	return 0
}

// arm sets the view's timer, unless it has ended already with its parent.
func (t *Task) arm(d time.Duration) {
	t.co.mu.Lock()
	defer t.co.mu.Unlock()
	if !t.ended() {
		t.more.timer = t.co.loop.AfterFunc(d, func() { t.finish(endDeadline) })
	}
}

// finish cancels t and the views of it, and has the task look.
func (t *Task) finish(end uint32) {
	t.co.mu.Lock()
	if !t.setEnd(end) {
		t.co.mu.Unlock()
		return
	}
	t.finishMore()
	t.co.unpark()
}

// over ends a task whose function has ended. Nearly always nothing depends on it; then
// hasMore is not set, and whoever sets it now sees that the task is over.
func (t *Task) over() {
	if t.end.CompareAndSwap(0, endCancelled|endOver) {
		return
	}
	t.co.mu.Lock()
	t.end.Or(endOver)
	if !t.setEnd(endCancelled) {
		t.co.mu.Unlock()
		return
	}
	t.finishMore()
}

// setEnd notes why t has ended, and reports false if it had ended before. It is called
// with the lock held, which over does without.
func (t *Task) setEnd(end uint32) bool {
	for {
		old := t.end.Load()
		if old&endReason != 0 {
			return false
		}
		if t.end.CompareAndSwap(old, old|end) {
			return true
		}
	}
}

// finishMore ends what depends on t, which has ended. It is called with the lock held,
// which it releases.
func (t *Task) finishMore() {
	m := t.more
	if m == nil {
		t.co.mu.Unlock()
		return
	}
	end := t.endedWith()
	if m.done != nil {
		close(m.done)
	}
	children, after, timer := m.children, m.after, m.timer
	m.children, m.after, m.timer = nil, nil, nil
	t.co.mu.Unlock()
	if timer != nil {
		timer.Stop()
	}
	for child := range children {
		child.finish(end)
	}
	for fn := range after {
		go (*fn)()
	}
	if m.parent != nil {
		m.parent.forget(t)
	}
}

func (t *Task) forget(child *Task) {
	t.co.mu.Lock()
	if t.more != nil { // else it never had one
		delete(t.more.children, child)
	}
	t.co.mu.Unlock()
}

// Deadline returns the deadline that WithTimeout has set, on the wall clock.
func (t *Task) Deadline() (deadline time.Time, ok bool) {
	t.co.mu.Lock()
	defer t.co.mu.Unlock()
	if t.more == nil || t.more.parent == nil {
		return time.Time{}, false
	}
	return t.more.deadline, true
}

// Done returns a channel that is closed when the task is cancelled or has
// ended. It is for other goroutines: a task that receives from it blocks the
// loop. As with package context, the first call makes the channel: in a bubble
// of testing/synctest, call it only if the task's loop is in the bubble too, or
// Done has been called outside before. Otherwise the end of the task ends
// the program: "close of synctest channel from outside bubble".
func (t *Task) Done() <-chan struct{} {
	t.co.mu.Lock()
	defer t.co.mu.Unlock()
	m := t.extra()
	if m.done == nil {
		m.done = make(chan struct{})
		if t.ended() {
			close(m.done)
		}
	}
	return m.done
}

// Err returns nil until Done is closed, then context.Canceled,
// context.DeadlineExceeded or ErrTaskStopped.
func (t *Task) Err() error {
	if !t.ended() {
		return nil
	}
	t.co.mu.Lock() // until Done is closed
	defer t.co.mu.Unlock()
	return ends[t.endedWith()]
}

func (t *Task) ended() bool { return t.endedWith() != 0 }

// check is CheckContext without a turn for others.
func (t *Task) check() error {
	if !t.co.running() {
		return ErrTaskContext
	}
	if !t.ended() { // as all tasks have when the loop stops
		return nil
	}
	if t.isOver() { // and another one runs
		return ErrTaskContext
	}
	return t.co.check(t)
}

// isOver reports whether the function of the task, of which t may be a view, has ended.
func (t *Task) isOver() bool {
	t.co.mu.Lock()
	defer t.co.mu.Unlock()
	for t.more != nil && t.more.parent != nil {
		t = t.more.parent
	}
	return t.end.Load()&endOver != 0
}

type taskKey struct{}

// Value implements context.Context. A task carries no values.
func (t *Task) Value(key any) any {
	if _, ok := key.(taskKey); ok {
		return t
	}
	return nil
}

// Detach returns a context that is done when the task is, for goroutines: a
// waiting method that gets it blocks its goroutine. As with package context,
// the end of a task outside of a bubble of testing/synctest ends the program if
// a context has been derived in the bubble and not been cancelled.
func (t *Task) Detach() context.Context { return detached{t} }

type detached struct{ task *Task }

func (d detached) Deadline() (time.Time, bool) { return d.task.Deadline() }
func (d detached) Done() <-chan struct{}       { return d.task.Done() }
func (d detached) Err() error                  { return d.task.Err() }
func (d detached) Value(any) any               { return nil }

// AfterFunc calls fn on a goroutine of its own when the task has ended, unless the
// returned function is called before and returns true. Package context looks for it:
// without it, each context derived from d would have a goroutine that waits.
func (d detached) AfterFunc(fn func()) (stop func() bool) {
	t := d.task
	t.co.mu.Lock()
	defer t.co.mu.Unlock()
	m := t.extra()
	if t.ended() {
		go fn()
		return func() bool { return false }
	}
	if m.after == nil {
		m.after = make(map[*func()]struct{})
	}
	m.after[&fn] = struct{}{}
	return func() bool {
		t.co.mu.Lock()
		defer t.co.mu.Unlock()
		_, waits := m.after[&fn]
		delete(m.after, &fn)
		return waits
	}
}

// Sleep suspends the task for d. It returns nil, or sooner the task's Err.
func (t *Task) Sleep(d time.Duration) error {
	var w Waiter
	if err := w.Begin(t); err != nil {
		return err
	}
	timer := t.co.loop.AfterFunc(d, w.Wake)
	defer timer.Stop()
	return w.Wait()
}

// Yield lets everything else on the loop run first. It returns nil or the
// task's Err.
func (t *Task) Yield() error {
	if err := t.check(); err != nil {
		return err
	}
	t.co.yieldTurn()
	return t.co.check(t)
}
