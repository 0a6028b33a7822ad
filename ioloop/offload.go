package ioloop

import (
	"os"
	"os/signal"
	"sync"
)

// Offload runs work, which may block, on a goroutine of its own and then done
// on the loop with what it returned; the error is a *PanicError if work panicked
// and ErrGoexit if it called runtime.Goexit. Offload returns ErrClosed, and does
// nothing, after Close. If the loop closes while work runs, done is not called.
func Offload[T any](l *Loop, work func() (T, error), done func(T, error)) error {
	if work == nil || done == nil {
		return ErrInvalid
	}
	if l.isClosing() {
		return ErrClosed
	}
	go perform(l, work, func(value T, err error) {
		_ = l.Post(func() { done(value, err) })
	})
	l.wokeGoroutine.Store(true)
	return nil
}

// Await is Offload for a task: it suspends t until work has returned. If t is
// cancelled first it returns the task's error, and what work returns is
// dropped.
func Await[T any](t *Task, work func() (T, error)) (T, error) {
	var outcome struct {
		Waiter
		value T
		err   error
	}
	var none T
	if work == nil {
		return none, ErrInvalid
	}
	if err := outcome.Begin(t); err != nil {
		return none, err
	}
	go perform(t.Loop(), work, func(value T, err error) {
		outcome.value, outcome.err = value, err
		outcome.Wake()
	})
	t.Loop().wokeGoroutine.Store(true)
	if err := outcome.Wait(); err != nil {
		return none, err
	}
	return outcome.value, outcome.err
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
// with signal.Notify; of many that arrive at once some may be dropped. The returned
// function ends it; it has to be called even if the loop closes. Called on the
// loop, it ends it at once.
func (l *Loop) Signal(fn func(os.Signal), signals ...os.Signal) (stop func()) {
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
	})
}
