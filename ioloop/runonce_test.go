package ioloop_test

import (
	"context"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/eddyloop/eddy/internal/leaktest"
	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/poller"
	"github.com/stretchr/testify/require"
)

// steps runs the loop by hand until there is nothing to do, and returns how many
// turns had something.
func steps(t *testing.T, l *ioloop.Loop) (turns int) {
	t.Helper()
	for {
		worked, err := l.RunOnce()
		require.NoError(t, err)
		if !worked {
			return turns
		}
		turns++
	}
}

func newStepped(t *testing.T) (*ioloop.Loop, *ioloop.ManualClock) {
	t.Helper()
	leaktest.Check(t)
	clock := new(ioloop.ManualClock)
	l, err := ioloop.New(ioloop.Config{Clock: clock, Logger: quiet})
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	return l, clock
}

func TestRunOnceRunsOneTurn(t *testing.T) {
	l, clock := newStepped(t)
	var order []string
	add := func(what string) func() { return func() { order = append(order, what) } }
	require.Zero(t, steps(t, l))
	l.AfterFunc(time.Second, add("timer"))
	require.NoError(t, l.Post(func() {
		add("post")()
		_ = l.Post(add("next turn"))
	}))
	worked, err := l.RunOnce()
	require.NoError(t, err)
	require.True(t, worked)
	require.Equal(t, []string{"post"}, order)
	require.Equal(t, 1, steps(t, l))
	clock.Advance(time.Second)
	require.Equal(t, 1, steps(t, l))
	require.Equal(t, []string{"post", "next turn", "timer"}, order)
}

func TestRunOnceSeesEvents(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("pipes can't be watched")
	}
	l, _ := newStepped(t)
	r, w, err := os.Pipe()
	require.NoError(t, err)
	defer r.Close()
	defer w.Close()
	var got [8]byte
	_, err = l.Handle(int(r.Fd()), poller.Readable, ioloop.HandlerFunc(func(poller.Interest, poller.Hint) {
		_, _ = r.Read(got[:])
	}))
	require.NoError(t, err)
	require.Zero(t, steps(t, l))
	_, err = w.WriteString("ready")
	require.NoError(t, err)
	require.Equal(t, 1, steps(t, l))
	require.Equal(t, "ready", string(got[:5]))
}

// TestRunOnceKeepsTasks: a task waits from one RunOnce to a later one, and Close
// tells it.
func TestRunOnceKeepsTasks(t *testing.T) {
	l, clock := newStepped(t)
	var slept, told error
	slept = context.DeadlineExceeded
	require.NoError(t, l.Go(func(task *ioloop.Task) {
		slept = task.Sleep(time.Second)
		told = task.Sleep(time.Hour)
	}))
	steps(t, l)
	require.Error(t, slept)
	clock.Advance(time.Second)
	steps(t, l)
	require.NoError(t, slept)
	require.NoError(t, told)
	require.NoError(t, l.Close())
	require.ErrorIs(t, told, ioloop.ErrTaskStopped)
	_, err := l.RunOnce()
	require.ErrorIs(t, err, ioloop.ErrClosed)
}

func TestRunOnceOutlivesGoexitAndCloseInIt(t *testing.T) {
	l, _ := newStepped(t)
	ran := false
	require.NoError(t, l.Post(runtime.Goexit))
	require.NoError(t, l.Post(func() {
		_, err := l.RunOnce()
		require.ErrorIs(t, err, ioloop.ErrRunning)
		require.NoError(t, l.Close())
		ran = true
	}))
	worked, err := l.RunOnce()
	require.NoError(t, err)
	require.True(t, worked)
	require.True(t, ran)
	_, err = l.RunOnce()
	require.ErrorIs(t, err, ioloop.ErrClosed)
}

func TestRunOnceThenRun(t *testing.T) {
	l, _ := newStepped(t)
	var out []string
	require.NoError(t, l.Go(func(task *ioloop.Task) {
		out = append(out, "stepped")
		_ = task.Yield()
		_ = task.Yield()
		out = append(out, "run")
		l.Stop()
	}))
	_, err := l.RunOnce()
	require.NoError(t, err)
	require.NoError(t, l.Run(context.Background()))
	require.Equal(t, []string{"stepped", "run"}, out)
}
