//go:build unix

package ioloop_test

import (
	"context"
	"errors"
	"iter"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/eddyloop/eddy/internal/selfexec"
	"github.com/eddyloop/eddy/ioloop"
	"github.com/stretchr/testify/require"
)

// A wait that would block the loop is refused at once, from wherever it is called.
func TestWaitOnLoopIsRefused(t *testing.T) {
	l := newLoop(t, ioloop.Config{Logger: quiet})
	start(t, l)
	var o op
	wait := func() error { return o.wait(context.Background()) }
	deep := func() error { return atDepth(5000, wait) }
	places := map[string]func(t *testing.T, fn func()){
		"post": func(t *testing.T, fn func()) { on(t, l, fn) },
		"timer": func(t *testing.T, fn func()) {
			done := make(chan struct{})
			l.AfterFunc(0, func() { defer close(done); fn() })
			receive(t, done)
		},
		"task": func(t *testing.T, fn func()) { task(t, l, func(*ioloop.Task) { fn() }) },
		"task that has waited": func(t *testing.T, fn func()) {
			task(t, l, func(tk *ioloop.Task) { _ = tk.Sleep(0); fn() })
		},
		"after a panic": func(t *testing.T, fn func()) {
			_ = l.Post(func() { panic("x") })
			_ = l.Go(func(*ioloop.Task) { panic("x") })
			on(t, l, fn)
		},
		"after a Goexit": func(t *testing.T, fn func()) {
			_ = l.Post(runtime.Goexit)
			_ = l.Go(func(*ioloop.Task) { runtime.Goexit() })
			on(t, l, fn)
		},
		"callback that sets the mark and puts it back": func(t *testing.T, fn func()) {
			on(t, l, func() { defer debug.SetPanicOnFault(debug.SetPanicOnFault(true)); fn() })
		},
		"task after one that cleared the mark": func(t *testing.T, fn func()) {
			task(t, l, func(*ioloop.Task) { debug.SetPanicOnFault(false) })
			task(t, l, func(*ioloop.Task) { fn() })
		},
	}
	for name, in := range places {
		t.Run(name, func(t *testing.T) {
			for _, ask := range []func() error{wait, deep, ioloop.MayBlock} {
				var err error
				in(t, func() { err = ask() })
				require.ErrorIs(t, err, ioloop.ErrOnLoop)
			}
		})
	}
	t.Run("need not wait", func(t *testing.T) {
		on(t, l, func() {
			if err := ioloop.CheckContext(context.Background()); err != nil {
				t.Error(err)
			}
		})
	})
}

func atDepth(n int, fn func() error) error {
	if n == 0 {
		return fn()
	}
	return atDepth(n-1, fn)
}

// Any other goroutine may wait.
func TestWaitOffLoopIsAllowed(t *testing.T) {
	l := startNew(t)
	fromCallback := make(chan error, 1)
	on(t, l, func() { go func() { fromCallback <- ioloop.MayBlock() }() })
	require.NoError(t, receive(t, fromCallback))
	task(t, l, func(*ioloop.Task) { go func() { fromCallback <- ioloop.MayBlock() }() })
	require.NoError(t, receive(t, fromCallback))
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	require.NoError(t, ioloop.MayBlock(), "the mark of others means nothing")
}

func TestCurrentTask(t *testing.T) {
	loops := []*ioloop.Loop{startNew(t), startNew(t), startNew(t), startNew(t), startNew(t)}
	done := make(chan error, 1000)
	for range 20 {
		for _, l := range loops { // all at once
			require.NoError(t, l.Go(func(tk *ioloop.Task) {
				for range 5 {
					if got, onLoop := ioloop.CurrentTask(); got != tk || !onLoop {
						done <- errors.New("not the caller's task")
						return
					}
					_ = tk.Sleep(time.Microsecond)
				}
				done <- nil
			}))
		}
	}
	for range 20 * len(loops) {
		require.NoError(t, receive(t, done))
	}
	got, onLoop := ioloop.CurrentTask()
	require.Nil(t, got)
	require.False(t, onLoop)
	on(t, loops[0], func() {
		if got, onLoop := ioloop.CurrentTask(); got != nil || !onLoop {
			t.Error(got, onLoop)
		}
	})
	task(t, loops[0], func(*ioloop.Task) { // a coroutine of one's own is somebody else
		next, stop := iter.Pull(func(yield func(bool) bool) { yield(ioloop.MayBlock() == nil) })
		defer stop()
		if other, _ := next(); !other {
			t.Error("recognised, which the documentation denies")
		}
	})
}

// A fault at a wild address ends the program, as on any goroutine.
func TestFaultEndsProgram(t *testing.T) {
	if how := os.Getenv("EDDY_TEST_FAULT"); how != "" {
		l, err := ioloop.New(ioloop.Config{Logger: quiet})
		require.NoError(t, err)
		if how == "task" {
			_ = l.Go(func(*ioloop.Task) { fault() })
		} else {
			_ = l.Post(fault)
		}
		_ = l.Post(l.Stop)
		_ = l.Run(context.Background())
		_ = l.Close()
		os.Exit(0)
	}
	for _, how := range []string{"task", "callback"} {
		out, err := selfexec.Command("EDDY_TEST_FAULT="+how, "-test.run=^TestFaultEndsProgram$").CombinedOutput()
		var exit *exec.ExitError
		require.ErrorAs(t, err, &exit, "%s", out)
		require.Equal(t, 2, exit.ExitCode())
		require.True(t, strings.Contains(string(out), "ioloop_test.fault"), "the stack tells where: %s", out)
	}
}

func TestRunOnAnotherLoopIsRefused(t *testing.T) {
	l := startNew(t)
	other := newLoop(t, ioloop.Config{})
	g, err := ioloop.NewGroup(1, ioloop.Config{})
	require.NoError(t, err)
	defer g.Close()
	runs := func() (errs []error) {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		return []error{
			other.Run(ctx),
			other.RunTask(ctx, func(*ioloop.Task) error { return nil }),
			g.Run(ctx),
		}
	}
	refused := func(errs []error) {
		for i, err := range errs {
			require.ErrorIs(t, err, ioloop.ErrOnLoop, i)
		}
	}
	var errs []error
	on(t, l, func() { errs = runs() })
	refused(errs)
	task(t, l, func(*ioloop.Task) { errs = runs() })
	refused(errs)
	turn(t, other) // and has not been harmed
}
