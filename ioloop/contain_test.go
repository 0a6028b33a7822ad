package ioloop_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/eddyloop/eddy/internal/testtime"
	"github.com/eddyloop/eddy/ioloop"
	"github.com/stretchr/testify/require"
)

// places are all ways to have something called by a loop, other than handlers.
var places = map[string]func(l *ioloop.Loop, fn func()){
	"post":      func(l *ioloop.Loop, fn func()) { _ = l.Post(fn) },
	"scheduled": func(l *ioloop.Loop, fn func()) { _ = l.Kit().Schedule(runnerFunc(fn)) },
	"timer":     func(l *ioloop.Loop, fn func()) { l.AfterFunc(0, fn) },
	"periodic": func(l *ioloop.Loop, fn func()) {
		var timer *ioloop.Timer
		timer, _ = l.Every(1, func() { timer.Stop(); fn() })
	},
	"turn end": func(l *ioloop.Loop, fn func()) {
		_ = l.Post(func() { l.Kit().AtTurnEnd(runnerFunc(fn)) })
	},
	"task": func(l *ioloop.Loop, fn func()) { _ = l.Go(func(*ioloop.Task) { fn() }) },
	"task later": func(l *ioloop.Loop, fn func()) {
		_ = l.Go(func(t *ioloop.Task) {
			_ = t.Yield()
			fn()
		})
	},
	"offloaded": func(l *ioloop.Loop, fn func()) {
		_ = ioloop.Offload(l, func() (int, error) { return 0, nil }, func(int, error) { fn() })
	},
}

var disasters = map[string]func(){
	"panic":         func() { panic("disaster") },
	"panic nil":     func() { panic(nil) }, //nolint:govet
	"runtime error": func() { var none []int; none[len(os.Args)+1]++ },
	"goexit":        runtime.Goexit,
	"require":       func() { require.Fail(new(fakeT), "disaster") },
	"require now":   func() { require.Equal(new(fakeT), 1, 2) },
	"panic in goexit": func() {
		defer func() { panic("second") }()
		runtime.Goexit()
	},
	"goexit in panic": func() {
		defer runtime.Goexit()
		panic("first")
	},
}

// Whatever user code does, wherever it is called, all the rest is called too and
// the loop goes on.
func TestDisasters(t *testing.T) {
	for place, arrange := range places {
		for name, disaster := range disasters {
			t.Run(place+"/"+name, func(t *testing.T) {
				l := newLoop(t, ioloop.Config{Logger: quiet})
				called := 0
				const n = 7
				for i := range n {
					arrange(l, func() {
						called++
						if i%2 == 1 {
							disaster()
						}
					})
				}
				stop := func() {
					if called == n {
						l.Stop()
					}
				}
				_, err := l.Every(time.Millisecond, stop)
				require.NoError(t, err)
				run(t, l)
				require.Equal(t, n, called)
				require.EqualValues(t, n/2, l.Stats().Failures)
				require.Zero(t, l.Stats().Tasks)
			})
		}
	}
}

func TestPanicErrorIsTold(t *testing.T) {
	l := newLoop(t, ioloop.Config{Logger: quiet})
	cause := errors.New("cause")
	runners := []*failer{
		{run: func() { panic(fmt.Errorf("wrapped: %w", cause)) }},
		{run: func() { panic("text") }},
		{run: runtime.Goexit},
		{run: func() {}},
	}
	for _, r := range runners {
		require.NoError(t, l.Kit().Schedule(r))
	}
	atEnd := &failer{run: func() { panic(cause) }}
	require.NoError(t, l.Post(func() { l.Kit().AtTurnEnd(atEnd) }))
	steps(t, l)

	var panicked *ioloop.PanicError
	require.Len(t, runners[0].errs, 1)
	require.ErrorIs(t, runners[0].errs[0], cause)
	require.ErrorAs(t, runners[0].errs[0], &panicked)
	require.Contains(t, string(panicked.Stack), "TestPanicErrorIsTold")
	require.Len(t, runners[1].errs, 1)
	require.EqualError(t, runners[1].errs[0], "ioloop: panic: text")
	require.NoError(t, errors.Unwrap(runners[1].errs[0]))
	require.Equal(t, []error{ioloop.ErrGoexit}, runners[2].errs)
	require.Empty(t, runners[3].errs)
	require.Len(t, atEnd.errs, 1)
	require.ErrorIs(t, atEnd.errs[0], cause)
}

func TestPanicIsLogged(t *testing.T) {
	var log recorder
	l := newLoop(t, ioloop.Config{Logger: slog.New(&log)})
	require.NoError(t, l.Post(func() { panic("some trouble") }))
	require.NoError(t, l.Post(runtime.Goexit))
	steps(t, l)
	require.Eventually(t, func() bool { return len(log.all()) == 2 }, testtime.Patience(20*time.Second), time.Millisecond)
	records := log.all()
	require.Contains(t, records[0], "ERROR callback panicked")
	require.Contains(t, records[0], "some trouble")
	require.Contains(t, records[0], "TestPanicIsLogged")
	require.Contains(t, records[1], "runtime.Goexit")
}

// stuckLogger takes nothing until it is released.
type stuckLogger struct {
	slog.Handler
	released chan struct{}
}

func (s stuckLogger) Handle(context.Context, slog.Record) error { <-s.released; return nil }

// TestLoopWaitsForNoLog: whoever makes callbacks panic does not hold the loop up, wherever
// the log goes to.
func TestLoopWaitsForNoLog(t *testing.T) {
	log := stuckLogger{new(recorder), make(chan struct{})}
	l := newLoop(t, ioloop.Config{Logger: slog.New(log)})
	defer close(log.released)
	called := 0
	for range 2000 {
		require.NoError(t, l.Post(func() { called++; panic("some trouble") }))
	}
	done := make(chan struct{})
	go func() {
		for called < 2000 {
			_, _ = l.RunOnce()
		}
		close(done)
	}()
	receive(t, done)
}

// failingFail cannot even fail.
type failingFail struct{ disaster func() }

func (f failingFail) Run()       { f.disaster() }
func (f failingFail) Fail(error) { f.disaster() }

func TestDisastersInFail(t *testing.T) {
	for name, disaster := range disasters {
		t.Run(name, func(t *testing.T) {
			l := newLoop(t, ioloop.Config{Logger: quiet})
			called := false
			require.NoError(t, l.Kit().Schedule(failingFail{disaster}))
			require.NoError(t, l.Post(func() { called = true }))
			steps(t, l)
			require.True(t, called)
		})
	}
}

// badLogger panics or exits, as that of a test does which is over.
type badLogger struct {
	slog.Handler
	disaster func()
}

func (b badLogger) Handle(context.Context, slog.Record) error { b.disaster(); return nil }

func TestDisastersInLogger(t *testing.T) {
	for name, disaster := range disasters {
		t.Run(name, func(t *testing.T) {
			l := newLoop(t, ioloop.Config{
				Logger: slog.New(badLogger{new(recorder), disaster}),
			})
			called, tasks := false, 0
			require.NoError(t, l.Post(func() { panic("logged") }))
			require.NoError(t, l.Post(runtime.Goexit))
			require.NoError(t, l.Go(func(t *ioloop.Task) { tasks++; panic("logged") }))
			require.NoError(t, l.Go(func(t *ioloop.Task) { tasks++; runtime.Goexit() }))
			require.NoError(t, l.Post(func() { called = true }))
			steps(t, l)
			require.True(t, called)
			require.Equal(t, 2, tasks)
			require.Zero(t, l.Stats().Tasks)
		})
	}
}

// panickingHandler is the log of a test that is over.
type panickingHandler struct{ slog.Handler }

func (panickingHandler) Handle(context.Context, slog.Record) error { panic("Log after the test") }

// A logger that panics ends nothing.
func TestLoggerThatPanics(t *testing.T) {
	l := newLoop(t, ioloop.Config{Logger: slog.New(panickingHandler{slog.Default().Handler()})})
	require.NotPanics(t, func() { l.AfterFunc(0, nil) })
	require.NoError(t, l.Close())
}
