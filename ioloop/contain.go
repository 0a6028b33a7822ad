package ioloop

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"

	"github.com/eddyloop/eddy/internal/ratelog"
)

// ErrGoexit is what a Failer is told when a callback or task has called
// runtime.Goexit.
var ErrGoexit = errors.New("ioloop: callback called runtime.Goexit")

// PanicError is a panic in a callback, in a task or in the work of Offload,
// which the loop has contained.
type PanicError struct {
	Value any    // what was passed to panic
	Stack []byte // of the goroutine that panicked
}

// Error returns the value as text, without the stack.
func (e *PanicError) Error() string { return fmt.Sprintf("ioloop: panic: %v", e.Value) }

// Unwrap returns the panic's value if that is an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// Failer is implemented by Runners and Handlers that must end something when
// code called by them panics (Fail gets a *PanicError) or calls runtime.Goexit
// (ErrGoexit), or when the loop closes (ErrClosed). Fail is called on the loop.
type Failer interface{ Fail(err error) }

// call runs r, contained.
func (l *Loop) call(r Runner) {
	returned := false
	defer func() {
		if !returned && !l.coroutines.exiting {
			l.contain(r, recover())
		}
	}()
	r.Run()
	returned = true
}

// contain ends what a failed callback belonged to.
func (l *Loop) contain(owner any, value any) {
	l.fail(owner, l.failure(value))
}

// fail tells owner why it has to end. That is user code too.
func (l *Loop) fail(owner any, err error) {
	if f, ok := owner.(Failer); ok {
		l.guard(func() { f.Fail(err) })
	}
}

// guard calls fn, of which a panic is logged and matters no further.
func (l *Loop) guard(fn func()) {
	defer func() {
		if value := recover(); value != nil {
			_ = l.failure(value)
		}
	}()
	fn()
}

// failure turns what recover returned into an error, and logs it. A nil value
// is a Goexit: since Go 1.21 panic(nil) recovers as a *runtime.PanicNilError.
func (l *Loop) failure(value any) error {
	fault(value)
	l.counters.failures.Add(1)
	if value == nil {
		l.reportLater(slog.LevelError, "callback called runtime.Goexit")
		return ErrGoexit
	}
	err := &PanicError{Value: value, Stack: debug.Stack()}
	l.reportLater(slog.LevelError, "callback panicked",
		slog.Any("panic", value), slog.String("stack", string(err.Stack)))
	return err
}

// reportLater has what anybody may cause who talks to the program logged on another
// goroutine, with a bound on its rate: the loop does not wait for where it goes to.
func (l *Loop) reportLater(level slog.Level, message string, attrs ...slog.Attr) {
	l.boundOnce.Do(func() { l.bounded = ratelog.New(l.log.Handler()) })
	l.bounded.LogAttrs(context.Background(), level, message, attrs...)
}

// report logs. A logger may panic as well: that of a test does when the test is
// over.
func (l *Loop) report(level slog.Level, message string, attrs ...slog.Attr) {
	defer func() { _ = recover() }()
	l.log.LogAttrs(context.Background(), level, message, attrs...)
}
