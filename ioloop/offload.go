package ioloop

import (
	"io"
	"os"
	"os/signal"
	"sync"
)

// offloads bounds how much work runs outside of the loop at once.
type offloads struct {
	most int

	mu      sync.Mutex
	running int
	waiting []func()
}

// start runs work on a goroutine of its own, as soon as there is room.
func (o *offloads) start(work func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.running == o.most {
		o.waiting = append(o.waiting, work)
		return
	}
	o.running++
	go o.run(work)
}

// run calls work and then what waits. Work that ends the goroutine (perform has
// told of it by then) is followed on another one.
func (o *offloads) run(work func()) {
	defer func() {
		if work == nil {
			return
		}
		if next := o.next(); next != nil {
			go o.run(next)
		}
	}()
	for ; work != nil; work = o.next() {
		work()
	}
}

// next returns work that waits, or nil, and there is one less that runs.
func (o *offloads) next() func() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.waiting) == 0 {
		o.waiting = nil
		o.running--
		return nil
	}
	work := o.waiting[0]
	o.waiting[0] = nil
	o.waiting = o.waiting[1:]
	return work
}

// Offload runs work, which may block, on a goroutine of its own, and then done
// on the loop with the result of work. The error is a *PanicError if work
// panicked, and ErrGoexit if it called runtime.Goexit. At most
// Config.MaxOffload run at once; others wait in order. Offload returns
// ErrInvalid for a nil function and ErrClosed after Close; then nothing is run.
//
// If the loop closes while work runs, done is not called, and a result that is
// an io.Closer is closed.
func Offload[T any](l *Loop, work func() (T, error), done func(T, error)) error {
	if work == nil || done == nil {
		return ErrInvalid
	}
	if l.isClosing() {
		return ErrClosed
	}
	l.offloads.start(func() {
		perform(l, work, func(value T, err error) {
			if l.Post(func() { done(value, err) }) != nil {
				dispose(l, value, err)
			}
		})
	})
	l.wokeGoroutine.Store(true)
	return nil
}

// Await is Offload for a task: it suspends t until work has returned, and
// returns its result. If t is cancelled first, Await returns the task's error;
// then work that has not begun is not done, and the result of other work is
// dropped, and closed if it is an io.Closer. A nil work is ErrInvalid.
func Await[T any](t *Task, work func() (T, error)) (T, error) {
	var none T
	if work == nil {
		return none, ErrInvalid
	}
	a := awaited[T]{loop: t.Loop(), work: work}
	if err := a.Begin(t); err != nil {
		return none, err
	}
	a.loop.offloads.start(a.run)
	a.loop.wokeGoroutine.Store(true)
	defer a.leave() // also if the task is unwound in Wait
	if err := a.Wait(); err != nil {
		return none, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.taken = true
	return a.value, a.err
}

// awaited is work that a task waits for.
type awaited[T any] struct {
	Waiter
	loop *Loop
	work func() (T, error)

	mu    sync.Mutex
	value T
	err   error
	ended bool // value and err are set
	taken bool // the task has them
	left  bool // the task does not wait any more
}

func (a *awaited[T]) run() {
	a.mu.Lock()
	left := a.left
	a.mu.Unlock()
	if left {
		return
	}
	perform(a.loop, a.work, func(value T, err error) {
		a.mu.Lock()
		left := a.left
		if !left {
			a.value, a.err, a.ended = value, err, true
			a.Wake()
		}
		a.mu.Unlock()
		if left {
			dispose(a.loop, value, err)
		}
	})
}

// leave says that the task does not wait any more. A result that came too late
// for it is disposed of.
func (a *awaited[T]) leave() {
	a.mu.Lock()
	a.left = true
	late := a.ended && !a.taken
	a.mu.Unlock()
	if late {
		go dispose(a.loop, a.value, a.err)
	}
}

// dispose closes a result that nobody takes.
func dispose[T any](l *Loop, value T, err error) {
	if closer, ok := any(value).(io.Closer); ok && err == nil {
		l.guard(func() { _ = closer.Close() })
	}
}

// perform calls work and hands on its outcome, however it ends.
func perform[T any](l *Loop, work func() (T, error), deliver func(T, error)) {
	var value T
	var err error
	returned := false
	defer func() {
		if !returned {
			err = l.failure(recover())
		}
		deliver(value, err)
	}()
	value, err = work()
	returned = true
}

// Signal has fn called on the loop for each of the signals that arrives, as
// signal.Notify does. If many arrive at once, some may be dropped. stop ends it
// and must be called, even if the loop closes; called on the loop, it takes
// effect at once. A nil fn is ErrInvalid, a closed loop ErrClosed.
func (l *Loop) Signal(fn func(os.Signal), signals ...os.Signal) (stop func(), err error) {
	if fn == nil {
		return nil, ErrInvalid
	}
	if l.isClosing() {
		return nil, ErrClosed
	}
	arrived := make(chan os.Signal, 16)
	ended := make(chan struct{})
	signal.Notify(arrived, signals...)
	go func() {
		for {
			select {
			case s := <-arrived:
				_ = l.Post(func() {
					select {
					case <-ended:
					default:
						fn(s)
					}
				})
			case <-ended:
				return
			}
		}
	}()
	return sync.OnceFunc(func() {
		signal.Stop(arrived)
		close(ended)
	}), nil
}
