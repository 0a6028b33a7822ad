package ioloop_test

import (
	"runtime"
	"testing"
	"time"

	"github.com/eddyloop/eddy/ioloop"
	"github.com/stretchr/testify/require"
)

// failingJob is a Job that notes what it was told.
type failingJob struct {
	jobFunc
	errs []error
}

func (f *failingJob) Fail(err error) { f.errs = append(f.errs, err) }

// A job is told how it has ended, unless it has returned.
func TestJobIsTold(t *testing.T) {
	for name, c := range map[string]struct {
		work jobFunc
		want error // nil: nothing is told
	}{
		"returns":               {func(*ioloop.Task) {}, nil},
		"returns when it stops": {func(tk *ioloop.Task) { _ = tk.Sleep(time.Hour) }, nil},
		"is unwound":            {func(tk *ioloop.Task) { _ = tk.Sleep(time.Hour); _ = tk.Sleep(time.Hour) }, ioloop.ErrTaskStopped},
		"calls Goexit":          {func(*ioloop.Task) { runtime.Goexit() }, ioloop.ErrGoexit},
		"panics":                {func(*ioloop.Task) { panic("x") }, &ioloop.PanicError{}},
		"panics when it is unwound": {func(tk *ioloop.Task) {
			defer panic("x")
			_ = tk.Sleep(time.Hour)
			_ = tk.Sleep(time.Hour)
		}, &ioloop.PanicError{}},
	} {
		t.Run(name, func(t *testing.T) {
			eachEnding(t, func(t *testing.T, l *ioloop.Loop, end func(func())) {
				job := &failingJob{jobFunc: c.work}
				end(func() { _ = l.Post(func() { l.Kit().RunJob(job, runnerFunc(func() {})) }) })
				switch c.want.(type) {
				case nil:
					require.Empty(t, job.errs)
				case *ioloop.PanicError:
					require.Len(t, job.errs, 1)
					var failure *ioloop.PanicError
					require.ErrorAs(t, job.errs[0], &failure)
				default:
					require.Len(t, job.errs, 1)
					require.ErrorIs(t, job.errs[0], c.want)
				}
			})
		})
	}
}

// Who holds a task that has ended holds no other: they would be kept in memory one
// after the other.
func TestEndedTaskHoldsNoOther(t *testing.T) {
	l := startNew(t)
	var tasks []*ioloop.Task
	for range 3 {
		require.NoError(t, l.Go(func(tk *ioloop.Task) {
			tasks = append(tasks, tk)
			_ = tk.Sleep(time.Hour)
		}))
	}
	on(t, l, func() {})
	turns(t, l)
	on(t, l, func() {
		require.Len(t, tasks, 3)
		for _, tk := range tasks {
			require.True(t, tk.Linked())
		}
	})
	for _, i := range []int{1, 0, 2} {
		on(t, l, func() { tasks[i].Cancel() })
		turns(t, l)
		on(t, l, func() { require.False(t, tasks[i].Linked()) })
	}
	require.Zero(t, l.Stats().Tasks)
}
