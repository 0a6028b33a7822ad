package ioloop_test

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"time"

	"github.com/eddyloop/eddy/internal/testtime"
	"github.com/eddyloop/eddy/ioloop"
	"github.com/stretchr/testify/require"
)

func TestRunTask(t *testing.T) {
	ctx := context.Background()
	failure := errors.New("failure")
	cancelled, cancel := context.WithCancelCause(ctx)
	cancel(failure)
	for name, c := range map[string]struct {
		ctx   context.Context
		fn    func(*ioloop.Task) error
		check func(error) bool
	}{
		"returns": {ctx, func(task *ioloop.Task) error { return task.Sleep(1) }, func(err error) bool { return err == nil }},
		"fails":   {ctx, func(*ioloop.Task) error { return failure }, func(err error) bool { return err == failure }},
		"goexit":  {ctx, func(*ioloop.Task) error { runtime.Goexit(); return nil }, func(err error) bool { return err == ioloop.ErrGoexit }},
		"panics":  {ctx, func(*ioloop.Task) error { panic(failure) }, func(err error) bool { return errors.Is(err, failure) }},
		"context": {cancelled, func(task *ioloop.Task) error { return task.Sleep(time.Hour) }, func(err error) bool { return errors.Is(err, ioloop.ErrTaskStopped) }},
		"unwound": {cancelled, func(task *ioloop.Task) error {
			for {
				_ = task.Sleep(time.Hour)
			}
		}, func(err error) bool { return errors.Is(err, ioloop.ErrTaskStopped) }},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLoop(t, ioloop.Config{Logger: quiet})
			for range 2 {
				err := l.RunTask(c.ctx, c.fn)
				require.True(t, c.check(err), "%v", err)
			}
			require.Zero(t, l.Stats().Tasks)
		})
	}
	l := newLoop(t, ioloop.Config{})
	require.NoError(t, l.RunTask(ctx, func(*ioloop.Task) error {
		require.ErrorIs(t, l.RunTask(ctx, func(*ioloop.Task) error { return nil }), ioloop.ErrRunning)
		return nil
	}))
}

// A task that has not begun when Run ends never does, and RunTask says why.
func TestRunTaskThatDoesNotBegin(t *testing.T) {
	testtime.WholeTurns(t)
	failure := errors.New("failure")
	cancelled, cancel := context.WithCancelCause(context.Background())
	cancel(failure)
	for name, c := range map[string]struct {
		ctx  context.Context
		stop bool
		want error
	}{
		"context": {cancelled, false, failure},
		"stop":    {context.Background(), true, ioloop.ErrTaskStopped},
	} {
		t.Run(name, func(t *testing.T) {
			l, clock := newClocked(t)
			require.NoError(t, l.Post(func() { until(t, l.Stopped) }))
			for range 64 { // after as many the turn sees that it has had its share
				require.NoError(t, l.Post(func() { clock.Advance(time.Hour) }))
			}
			if c.stop {
				l.Stop()
			}
			err := l.RunTask(c.ctx, func(*ioloop.Task) error {
				t.Error("it has begun")
				return nil
			})
			require.ErrorIs(t, err, c.want)
			turn(t, l)
			require.Zero(t, l.Stats().Queue)
		})
	}
}

// RunTask goes on until what was closed has sent what it had, and Run does not end for
// that.
func TestRunTaskWaitsForWhatIsClosing(t *testing.T) {
	l := newLoop(t, ioloop.Config{})
	kit, sent := l.Kit(), 0
	send := func() {
		sent++
		kit.Closing(-1)
	}
	require.NoError(t, l.RunTask(context.Background(), func(*ioloop.Task) error {
		kit.Closing(3)
		_ = l.Post(send)
		l.AfterFunc(time.Millisecond, send)
		l.AfterFunc(2*time.Millisecond, send)
		return nil
	}))
	require.Equal(t, 3, sent)

	require.NoError(t, l.Post(func() {
		kit.Closing(1)
		kit.Closing(-1)
		l.AfterFunc(time.Millisecond, func() { sent++; l.Stop() })
	}))
	run(t, l)
	require.Equal(t, 4, sent)
}
