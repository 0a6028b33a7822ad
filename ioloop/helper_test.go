package ioloop_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"runtime/pprof"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/eddyloop/eddy/internal/leaktest"
	"github.com/eddyloop/eddy/internal/testtime"
	"github.com/eddyloop/eddy/ioloop"
	"github.com/stretchr/testify/require"
)

// patience is how long a test waits for what has to happen.
var patience = testtime.Patience(60 * time.Second)

func TestMain(m *testing.M) { leaktest.Main(m) }

// newLoop opens a loop that is closed, and checked for leaks, when the test is
// over. What it logs, if the test did not bring a logger, is a failure.
func newLoop(t testing.TB, config ioloop.Config) *ioloop.Loop {
	t.Helper()
	leaktest.Check(t)
	var unexpected recorder
	if config.Logger == nil {
		config.Logger = slog.New(&unexpected)
		if config.Watchdog == 0 {
			config.Watchdog = time.Hour // a machine that is busy with other things is no failure
		}
	}
	l, err := ioloop.New(config)
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skip(err)
	}
	require.NoError(t, err)
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			require.ErrorIs(t, err, ioloop.ErrClosed)
		}
		require.False(t, l.Running())
		require.Empty(t, unexpected.all())
	})
	return l
}

// start runs l on a goroutine until the test is over.
func start(t testing.TB, l *ioloop.Loop) {
	t.Helper()
	done := goRun(l, context.Background())
	t.Cleanup(func() {
		l.Stop()
		require.NoError(t, receive(t, done))
	})
	on(t, l, func() {})
}

func goRun(l *ioloop.Loop, ctx context.Context) <-chan error {
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx) }()
	return done
}

// startNew is newLoop and start.
func startNew(t testing.TB) *ioloop.Loop {
	t.Helper()
	l := newLoop(t, ioloop.Config{})
	start(t, l)
	return l
}

// run runs l on the calling goroutine until it is stopped.
func run(t testing.TB, l *ioloop.Loop) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	require.NoError(t, l.Run(ctx))
}

// turn runs l for exactly one turn.
func turn(t testing.TB, l *ioloop.Loop) {
	t.Helper()
	l.Stop()
	run(t, l)
}

// on has fn called by l and waits for it.
func on(t testing.TB, l *ioloop.Loop, fn func()) {
	t.Helper()
	done := make(chan struct{})
	require.NoError(t, l.Post(func() {
		defer close(done)
		fn()
	}))
	receive(t, done)
}

// turns waits until l has had a few whole turns.
func turns(t testing.TB, l *ioloop.Loop) {
	t.Helper()
	for range 4 {
		on(t, l, func() {})
	}
}

// settle waits until l has done all that there is to do, on its clock too.
func settle(t testing.TB, l *ioloop.Loop) {
	t.Helper()
	on(t, l, func() {})
	until(t, l.Asleep)
}

// task runs fn as a task of l and waits until it has ended.
func task(t testing.TB, l *ioloop.Loop, fn func(*ioloop.Task)) {
	t.Helper()
	done := make(chan struct{})
	require.NoError(t, l.Go(func(task *ioloop.Task) {
		defer close(done)
		fn(task)
	}))
	receive(t, done)
}

func receive[T any](t testing.TB, ch <-chan T) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(patience):
		var stacks strings.Builder
		_ = pprof.Lookup("goroutine").WriteTo(&stacks, 2)
		require.FailNow(t, "nothing happens", stacks.String())
		panic("unreachable")
	}
}

// until waits until condition holds.
func until(t testing.TB, condition func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !condition() {
		require.True(t, time.Now().Before(deadline), "condition never holds")
		time.Sleep(20 * time.Microsecond)
	}
}

// collected waits until the garbage collector has seen to it that gone holds.
func collected(t testing.TB, gone func() bool) {
	t.Helper()
	for range 10 {
		if runtime.GC(); gone() {
			return
		}
	}
	require.FailNow(t, "something holds it")
}

// scaled makes a count smaller under the race detector.
func scaled(n int) int {
	if raceEnabled {
		return n / 10
	}
	return n
}

// quiet is for tests of what is logged elsewhere.
var quiet = slog.New(slog.DiscardHandler)

type runnerFunc func()

func (f runnerFunc) Run() { f() }

// failer is a Runner that notes what it was told.
type failer struct {
	run  func()
	errs []error
}

func (f *failer) Run()           { f.run() }
func (f *failer) Fail(err error) { f.errs = append(f.errs, err) }

// fakeT is a testing.T that fails without consequences.
type fakeT struct{ messages []string }

func (f *fakeT) Errorf(format string, args ...any) {
	f.messages = append(f.messages, fmt.Sprintf(format, args...))
}

func (f *fakeT) FailNow() { runtime.Goexit() }

// recorder is a slog.Handler that keeps what it gets.
type recorder struct {
	mu      sync.Mutex
	records []string
}

func (r *recorder) Enabled(context.Context, slog.Level) bool { return true }
func (r *recorder) WithAttrs([]slog.Attr) slog.Handler       { return r }
func (r *recorder) WithGroup(string) slog.Handler            { return r }

func (r *recorder) Handle(_ context.Context, record slog.Record) error {
	text := record.Level.String() + " " + record.Message
	record.Attrs(func(a slog.Attr) bool {
		text += " " + a.String()
		return true
	})
	r.mu.Lock()
	defer r.mu.Unlock()
	r.records = append(r.records, text)
	return nil
}

func (r *recorder) all() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.records...)
}

// op is a protocol object with one operation that waits, as the documentation of
// Waiter tells to write it.
type op struct {
	mu     sync.Mutex
	waiter *ioloop.Waiter
	done   int // completions that nobody has taken
}

func (o *op) complete() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.done++
	if o.waiter != nil {
		o.waiter.Wake()
		o.waiter = nil
	}
}

func (o *op) waiting() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.waiter != nil
}

func (o *op) wait(ctx context.Context) error {
	var w ioloop.Waiter
	return o.waitWith(ctx, &w)
}

func (o *op) waitWith(ctx context.Context, w *ioloop.Waiter) error {
	if err := w.Begin(ctx); err != nil {
		return err
	}
	o.mu.Lock()
	if o.done > 0 {
		o.done--
		o.mu.Unlock()
		return nil
	}
	o.waiter = w
	o.mu.Unlock()
	err := w.Wait()
	o.mu.Lock()
	defer o.mu.Unlock()
	o.waiter = nil
	if o.done > 0 {
		o.done--
		return nil // completion wins
	}
	return err
}
