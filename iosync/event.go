package iosync

import (
	"context"
	"sync"

	"github.com/eddyloop/eddy/ioloop"
)

// Event is a flag that can be waited for. The zero value is not set.
type Event struct {
	mu   sync.Mutex
	set  bool
	line line
}

// Set sets the flag and ends all waits. Setting it again does nothing.
func (e *Event) Set() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.set = true
	for e.line.serve(nil) {
	}
}

// Clear resets the flag. Waits that Set has ended still return nil.
func (e *Event) Clear() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.set = false
}

// IsSet reports whether the flag is set.
func (e *Event) IsSet() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.set
}

// Wait waits until the flag is set and returns nil, at once if it is, or the
// error of ctx.
func (e *Event) Wait(ctx context.Context) error {
	if err := ioloop.CheckContext(ctx); err != nil {
		return err
	}
	e.mu.Lock()
	if e.set {
		e.mu.Unlock()
		return nil
	}
	return e.line.wait(ctx, &e.mu, nil)
}

// Future is a result that comes later. The zero value has none yet. Any number
// of callers may wait for it.
type Future[T any] struct {
	done  Event
	once  sync.Once
	value T
	err   error
}

// Resolve sets the result, and reports whether it was the first to do so. Later
// results are ignored.
func (f *Future[T]) Resolve(value T, err error) (first bool) {
	f.once.Do(func() {
		f.value, f.err = value, err
		f.done.Set()
		first = true
	})
	return first
}

// Resolved reports whether there is a result.
func (f *Future[T]) Resolved() bool { return f.done.IsSet() }

// Wait waits for the result and returns it, or the error of ctx if that comes
// first.
func (f *Future[T]) Wait(ctx context.Context) (T, error) {
	if err := f.done.Wait(ctx); err != nil {
		var none T
		return none, err
	}
	return f.value, f.err
}

// Start runs fn as a task of l and returns a Future of its result. If fn panics
// or calls runtime.Goexit, the result is ErrNoReturn, and the loop logs the
// panic. Start returns ioloop.ErrClosed once l is closed, and ErrInvalid for a
// nil l or fn.
func Start[T any](l *ioloop.Loop, fn func(t *ioloop.Task) (T, error)) (*Future[T], error) {
	if l == nil || fn == nil {
		return nil, ErrInvalid
	}
	f := new(Future[T])
	return f, l.Go(func(t *ioloop.Task) {
		var value T
		err := ErrNoReturn
		defer func() { f.Resolve(value, err) }()
		value, err = fn(t)
	})
}

// All waits for all futures and returns their values in order. If some have
// failed, it still waits for the others, and then returns the error of the
// first of them in the order of the arguments. If ctx is done first, All
// returns its error at once.
func All[T any](ctx context.Context, futures ...*Future[T]) ([]T, error) {
	for _, f := range futures {
		if err := f.done.Wait(ctx); err != nil {
			return nil, err
		}
	}
	values := make([]T, len(futures))
	for i, f := range futures {
		if f.err != nil {
			return nil, f.err
		}
		values[i] = f.value
	}
	return values, nil
}
