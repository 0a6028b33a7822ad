package ioloop_test

import (
	"context"
	"fmt"
	"runtime"
	"runtime/pprof"
	"strings"
	"testing"
	"time"
	"weak"

	"github.com/eddyloop/eddy/internal/testtime"
	"github.com/eddyloop/eddy/ioloop"
	"github.com/stretchr/testify/require"
)

// Tasks that do not wait at the same time share one coroutine.
func TestCoroutinesAreReused(t *testing.T) {
	l := startNew(t)
	names := make(map[string]bool)
	for range 100 {
		task(t, l, func(tk *ioloop.Task) {
			_ = tk.Sleep(0)
			names[goroutineName()] = true
		})
	}
	require.Len(t, names, 1)
	on(t, l, func() {
		if n := l.IdleCoroutines(); n != 1 {
			t.Error(n)
		}
	})
	require.Zero(t, l.Stats().Tasks, "idle ones are no tasks")
}

func TestCoroutineSurvivesPanicNotGoexit(t *testing.T) {
	for name, disaster := range disasters {
		l := newLoop(t, ioloop.Config{Logger: quiet})
		start(t, l)
		for _, first := range []func(*ioloop.Task){
			func(*ioloop.Task) { disaster() },
			func(tk *ioloop.Task) { _ = tk.Sleep(0); disaster() },
		} {
			ended := make(chan struct{})
			require.NoError(t, l.Go(func(tk *ioloop.Task) {
				defer close(ended)
				first(tk)
			}))
			receive(t, ended)
			turns(t, l)
			for range 3 {
				task(t, l, func(tk *ioloop.Task) {
					if err := tk.Sleep(0); err != nil {
						t.Error(name, err)
					}
				})
			}
		}
	}
}

// A burst leaves no more than a few coroutines behind.
func TestCoroutinePoolShrinks(t *testing.T) {
	l := startNew(t)
	n := scaled(5000)
	for range n {
		require.NoError(t, l.Go(func(tk *ioloop.Task) { _ = tk.Yield(); _ = tk.Yield() }))
	}
	until(t, func() bool {
		idle := 0
		on(t, l, func() { idle = l.IdleCoroutines() })
		return idle == 64
	})
}

// What is beyond the limit is ended, and nothing else: not what is in use again when
// the pool is looked at.
func TestCoroutinePoolLimit(t *testing.T) {
	testtime.WholeTurns(t)
	l, _ := newStepped(t)
	const most = 64
	atOnce := func(n int, last func()) {
		for i := range n {
			require.NoError(t, l.Go(func(tk *ioloop.Task) {
				_ = tk.Yield()
				if i == n-1 {
					last()
				}
			}))
		}
	}
	atOnce(most, func() {})
	require.Equal(t, 2, steps(t, l), "there is nothing to look at")
	require.Equal(t, most, l.IdleCoroutines())
	atOnce(most+1, func() {
		_ = l.Go(func(tk *ioloop.Task) { _ = tk.Sleep(time.Hour) })
	})
	require.Equal(t, 3, steps(t, l))
	require.Equal(t, most, l.IdleCoroutines())
	before := l.Stats().Callbacks
	atOnce(most+3, func() {})
	require.Equal(t, 2+3, steps(t, l), "one goes in each step")
	require.Equal(t, most, l.IdleCoroutines())
	require.EqualValues(t, 2*(most+3)+3, l.Stats().Callbacks-before, "it is looked at once in a step")
}

// The coroutine that leads is idle between the turns of RunOnce, and one of those that
// are kept: a burst does not leave the loop with work for ever.
func TestCoroutinePoolOfALedLoop(t *testing.T) {
	const most = 64
	l, _ := newStepped(t)
	for range most + 2 {
		require.NoError(t, l.Post(func() { runJob(l, func(tk *ioloop.Task) { _ = tk.Yield() }, func() {}) }))
	}
	for left := 1000; ; left-- {
		require.Positive(t, left, "it does not come to rest")
		if worked, err := l.RunOnce(); !worked {
			require.NoError(t, err)
			break
		}
	}
	require.Equal(t, most, l.IdleCoroutines())
	require.Zero(t, l.Stats().Tasks)
}

// An idle coroutine keeps nothing of the task that it has carried.
func TestIdleCoroutineHoldsNoTask(t *testing.T) {
	l, _ := newStepped(t)
	var ended weak.Pointer[ioloop.Task]
	require.NoError(t, l.Go(func(tk *ioloop.Task) { ended = weak.Make(tk) }))
	steps(t, l)
	require.Equal(t, 1, l.IdleCoroutines())
	collected(t, func() bool { return ended.Value() == nil })
	runtime.KeepAlive(l)
}

// A task that is queued does not run: nobody else can wait with it.
func TestQueuedTaskIsNoContext(t *testing.T) {
	l, _ := newStepped(t)
	var queued *ioloop.Task
	require.NoError(t, l.Go(func(tk *ioloop.Task) {
		queued = tk
		require.NoError(t, tk.Yield())
		queued = nil
	}))
	require.NoError(t, l.Post(func() {
		require.NotNil(t, queued)
		for name, wait := range taskWaits {
			require.ErrorIs(t, wait(queued), ioloop.ErrTaskContext, name)
		}
	}))
	steps(t, l)
	require.Nil(t, queued)
}

// What was called when a task ended cannot be stopped any more.
func TestStopOfWhatWasCalled(t *testing.T) {
	l, _ := newStepped(t)
	called := make(chan struct{})
	var stop func() bool
	require.NoError(t, l.Go(func(tk *ioloop.Task) {
		after := tk.Detach().(interface{ AfterFunc(fn func()) func() bool })
		stop = after.AfterFunc(func() { close(called) })
		tk.Cancel()
	}))
	steps(t, l)
	receive(t, called)
	require.False(t, stop())
}

// Who holds a task that has ended does nothing to the one that has its coroutine now.
func TestStaleTaskTouchesNoOther(t *testing.T) {
	l := startNew(t)
	var old *ioloop.Task
	var view *ioloop.Task
	task(t, l, func(tk *ioloop.Task) {
		old = tk
		view, _ = tk.WithTimeout(time.Hour) //nolint:govet
	})
	detached := old.Detach()
	task(t, l, func(tk *ioloop.Task) {
		require.NotSame(t, old, tk)
		old.Cancel()
		view.Cancel()
		for name, wait := range taskWaits {
			require.ErrorIs(t, wait(old), ioloop.ErrTaskContext, name)
			require.ErrorIs(t, wait(view), ioloop.ErrTaskContext, name)
		}
		require.NoError(t, tk.Yield())
		require.NoError(t, tk.Err())
		require.Error(t, detached.Err())
		require.Zero(t, l.Stats().Timers)
	})
}

// Labels are those of the context of Run, whatever the last task had set.
func TestTaskLabels(t *testing.T) {
	l := newLoop(t, ioloop.Config{})
	var seen []string
	note := func() {
		seen = append(seen, labelsOfGoroutine(t))
	}
	require.NoError(t, l.Go(func(*ioloop.Task) {
		note()
		pprof.SetGoroutineLabels(pprof.WithLabels(context.Background(), pprof.Labels("task", "first")))
		note()
	}))
	require.NoError(t, l.Go(func(*ioloop.Task) { note(); l.Stop() }))
	pprof.Do(context.Background(), pprof.Labels("loop", "mine"), func(ctx context.Context) {
		require.NoError(t, l.Run(ctx))
	})
	require.Equal(t, []string{`{"loop":"mine"}`, `{"task":"first"}`, `{"loop":"mine"}`}, seen)
}

// labelsOfGoroutine finds the caller in the profile of all goroutines.
func labelsOfGoroutine(t *testing.T) string {
	var out strings.Builder
	require.NoError(t, pprof.Lookup("goroutine").WriteTo(&out, 1))
	for entry := range strings.SplitSeq(out.String(), "\n\n") {
		if strings.Contains(entry, "labelsOfGoroutine") {
			_, labels, _ := strings.Cut(entry, "# labels: ")
			labels, _, _ = strings.Cut(labels, "\n")
			return labels
		}
	}
	return "?"
}

// A task that never has to wait leaves others their share of the loop.
func TestReadyTaskYields(t *testing.T) {
	for name, check := range map[string]func(tk *ioloop.Task) error{
		"check":   func(tk *ioloop.Task) error { return ioloop.CheckContext(tk) },
		"view":    func(tk *ioloop.Task) error { view, _ := tk.WithTimeout(time.Hour); return ioloop.CheckContext(view) }, //nolint:govet
		"waiting": func(tk *ioloop.Task) error { var w ioloop.Waiter; _ = w.Begin(tk); w.Wake(); return w.Wait() },
	} {
		t.Run(name, func(t *testing.T) {
			l := startNew(t)
			ticks := 0
			timer, err := l.Every(time.Millisecond, func() { ticks++ })
			require.NoError(t, err)
			defer timer.Stop()
			task(t, l, func(tk *ioloop.Task) {
				for ticks < 10 {
					if err := check(tk); err != nil {
						t.Error(err)
						return
					}
				}
			})
		})
	}
}

// Who keeps a task, or a view of it, that has ended does nothing to the next one on its
// coroutine, and cannot wait with it.
func TestEndedTaskOnAReusedCoroutine(t *testing.T) {
	for name, begin := range map[string]func(l *ioloop.Loop, work func(*ioloop.Task)){
		"Go":     func(l *ioloop.Loop, work func(*ioloop.Task)) { _ = l.Go(work) },
		"RunJob": func(l *ioloop.Loop, work func(*ioloop.Task)) { l.Kit().RunJob(jobFunc(work), runnerFunc(func() {})) },
	} {
		for _, cancelled := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/%t", name, cancelled), func(t *testing.T) {
				l := newLoop(t, ioloop.Config{})
				var stale []*ioloop.Task
				first := ""
				require.NoError(t, l.Post(func() {
					begin(l, func(tk *ioloop.Task) {
						view, _ := tk.WithTimeout(time.Hour)
						ended, _ := tk.WithTimeout(0)
						stale = append(stale, tk, view, ended)
						first = goroutine()
						if cancelled {
							tk.Cancel()
						}
					})
				}))
				once := func() {
					_, err := l.RunOnce()
					require.NoError(t, err)
				}
				once()
				once()
				require.Len(t, stale, 3)
				require.NoError(t, l.Post(func() {
					begin(l, func(tk *ioloop.Task) {
						require.Equal(t, first, goroutine())
						for _, old := range stale {
							require.ErrorIs(t, old.Yield(), ioloop.ErrTaskContext)
							require.ErrorIs(t, ioloop.CheckContext(old), ioloop.ErrTaskContext)
							old.Cancel()
							require.Error(t, old.Err())
							<-old.Done()
							late, _ := old.WithTimeout(time.Hour)
							require.ErrorIs(t, late.Sleep(0), ioloop.ErrTaskContext)
						}
						require.NoError(t, tk.Err())
						require.NoError(t, tk.Sleep(0))
						stale = nil
					})
				}))
				for range 8 {
					once()
				}
				require.Nil(t, stale)
			})
		}
	}
}

// goroutine returns what names the calling goroutine.
func goroutine() string {
	b := make([]byte, 64)
	name, _, _ := strings.Cut(string(b[:runtime.Stack(b, false)]), "[")
	return name
}

// Stop tells and unwinds jobs as it does tasks.
func TestStopOfJobs(t *testing.T) {
	eachEnding(t, func(t *testing.T, l *ioloop.Loop, end func(func())) {
		var errs []error
		beyond := false
		end(func() {
			for range 3 {
				_ = l.Post(func() {
					l.Kit().RunJob(jobFunc(func(tk *ioloop.Task) {
						errs = append(errs, tk.Sleep(time.Hour))
						_ = tk.Sleep(time.Hour)
						beyond = true
					}), runnerFunc(func() {}))
				})
			}
		})
		require.Len(t, errs, 3)
		for _, err := range errs {
			require.ErrorIs(t, err, ioloop.ErrTaskStopped)
		}
		require.False(t, beyond)
	})
}
