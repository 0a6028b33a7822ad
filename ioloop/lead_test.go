package ioloop_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/eddyloop/eddy/ioloop"
	"github.com/stretchr/testify/require"
)

type jobFunc func(*ioloop.Task)

func (f jobFunc) RunTask(t *ioloop.Task) { f(t) }

// runJob is RunJob in a callback that has nothing left to do but rest.
func runJob(l *ioloop.Loop, work func(*ioloop.Task), rest func()) ioloop.Ran {
	ran := l.Kit().RunJob(jobFunc(work), runnerFunc(rest))
	if ran == ioloop.RanWhole || ran == ioloop.RanFailed {
		rest()
	}
	return ran
}

// The first job of a loop runs when the callback has returned, and later ones within it.
// If the job does not return to the callback, the rest runs before anything else.
func TestRunJob(t *testing.T) {
	results := map[ioloop.Ran]string{
		ioloop.RanWhole: "whole", ioloop.RanFailed: "failed", ioloop.RanUntilWait: "out of date", ioloop.RunsNext: "next",
	}
	for name, c := range map[string]struct {
		work       func(tk *ioloop.Task)
		first, led string
	}{
		"returns": {func(*ioloop.Task) {}, "callback next work rest other ", "callback work whole other "},
		"panics":  {func(*ioloop.Task) { panic("x") }, "callback next work rest other ", "callback work failed other "},
		"exits":   {func(*ioloop.Task) { runtime.Goexit() }, "callback next work rest other ", "callback work rest other "},
		"waits": {func(tk *ioloop.Task) { _ = tk.Yield() },
			"callback next work rest other ended ", "callback work rest other ended out of date "},
	} {
		for _, led := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/%t", name, led), func(t *testing.T) {
				l := newLoop(t, ioloop.Config{Logger: quiet})
				turns := func() {
					for range 8 { // which may be of one piece of work
						_, err := l.RunOnce()
						require.NoError(t, err)
					}
				}
				log, want := "", c.first
				if led {
					want = c.led
					require.NoError(t, l.Post(func() { runJob(l, func(*ioloop.Task) {}, func() {}) }))
					turns()
				}
				note := func(what string) { log += what + " " }
				require.NoError(t, l.Post(func() {
					note("callback")
					note(results[l.Kit().RunJob(jobFunc(func(tk *ioloop.Task) {
						note("work")
						require.Equal(t, led, l.Kit().Within())
						require.True(t, l.Kit().RestDue())
						c.work(tk)
						if strings.Contains(log, "rest") {
							note("ended")
						}
						require.Equal(t, led && name == "returns", l.Kit().Within())
						require.Equal(t, name == "returns", l.Kit().RestDue())
					}), runnerFunc(func() { note("rest") }))])
				}))
				require.NoError(t, l.Post(func() { note("other") }))
				turns()
				require.Equal(t, want, log)
				require.Zero(t, l.Stats().Tasks)
				failures := 0
				if name == "panics" || name == "exits" {
					failures = 1
				}
				require.EqualValues(t, failures, l.Stats().Failures, "the callback has not failed")
				require.NoError(t, l.Post(func() { panic("a callback") }))
				turns()
				require.EqualValues(t, failures+1, l.Stats().Failures)
			})
		}
	}
}

// A job that fails is one failure, however it does so: the callback that has begun it has none.
func TestJobFailsAlone(t *testing.T) {
	for name, disaster := range disasters {
		for _, waits := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/%t", name, waits), func(t *testing.T) {
				l := newLoop(t, ioloop.Config{Logger: quiet})
				start(t, l)
				on(t, l, func() { runJob(l, func(*ioloop.Task) {}, func() {}) })
				for n := range 2 {
					rests := 0
					require.NoError(t, l.Post(func() {
						runJob(l, func(tk *ioloop.Task) {
							if waits {
								_ = tk.Yield()
							}
							disaster()
						}, func() { rests++ })
					}))
					turns(t, l)
					require.EqualValues(t, 2*n+1, l.Stats().Failures)
					require.Equal(t, 1, rests)
					require.NoError(t, l.Post(func() { panic("a callback") }))
					turns(t, l)
					require.EqualValues(t, 2*n+2, l.Stats().Failures)
				}
				require.Zero(t, l.Stats().Tasks)
			})
		}
	}
}

// Where a job cannot run now or next it begins in a step of its own, and no rest is run.
func TestRunJobLater(t *testing.T) {
	l := newLoop(t, ioloop.Config{})
	var log []string
	run := func(what string) ioloop.Ran {
		return runJob(l, func(*ioloop.Task) { log = append(log, what) }, func() { log = append(log, "rest of "+what) })
	}
	require.NoError(t, l.Post(func() {
		require.Equal(t, ioloop.RunsNext, run("first"))
		require.Equal(t, ioloop.RunsLater, run("second"))
	}))
	require.NoError(t, l.Go(func(*ioloop.Task) { require.Equal(t, ioloop.RunsLater, run("of a task")) }))
	turns := func() {
		for range 8 { // which may be of one piece of work
			_, err := l.RunOnce()
			require.NoError(t, err)
		}
	}
	turns()
	require.Equal(t, []string{"first", "rest of first", "second", "of a task"}, log)
	log = nil
	require.NoError(t, l.Post(func() {
		require.Equal(t, ioloop.RanWhole, runJob(l, func(*ioloop.Task) {
			require.Equal(t, ioloop.RunsLater, run("of a job"))
		}, func() {}))
	}))
	turns()
	require.Equal(t, []string{"of a job"}, log)
}

// A task that waits or exits takes the coroutine that leads along; the next one that does
// not wait gives the loop another.
func TestWhoLeads(t *testing.T) {
	for name, leave := range map[string]func(*ioloop.Task){
		"waits": func(tk *ioloop.Task) { _ = tk.Yield() },
		"exits": func(*ioloop.Task) { runtime.Goexit() },
	} {
		t.Run(name, func(t *testing.T) {
			l := newLoop(t, ioloop.Config{Logger: quiet})
			var log []ioloop.Ran
			job := func(work func(*ioloop.Task)) {
				require.NoError(t, l.Post(func() { log = append(log, runJob(l, work, func() {})) }))
				for range 4 { // turns, which may be of one piece of work
					_, err := l.RunOnce()
					require.NoError(t, err)
				}
			}
			for range 2 {
				log = nil
				job(leave)
				job(func(*ioloop.Task) {})
				job(func(*ioloop.Task) {})
				job(func(*ioloop.Task) { panic("x") })
				require.Equal(t, []ioloop.Ran{ioloop.RunsNext, ioloop.RunsNext, ioloop.RanWhole, ioloop.RanFailed}, log)
				log = nil
				job(leave) // within its callback
				if name == "waits" {
					require.Equal(t, []ioloop.Ran{ioloop.RanUntilWait}, log)
				}
			}
		})
	}
}

// A callback that exits takes the coroutine that leads with it, and nothing else.
func TestExitOfTheLeader(t *testing.T) {
	l := newLoop(t, ioloop.Config{Logger: quiet})
	start(t, l)
	ran := 0
	for range 3 {
		on(t, l, func() {
			runJob(l, func(*ioloop.Task) { ran++ }, func() {
				_ = l.Post(runtime.Goexit)
				runtime.Goexit()
			})
		})
		turns(t, l)
		on(t, l, func() {})
	}
	on(t, l, func() { require.Equal(t, 3, ran) })
	require.EqualValues(t, 6, l.Stats().Failures)
}

// Jobs that do not wait run on one coroutine, which makes no switch between them.
func TestJobsThatDoNotWaitShareACoroutine(t *testing.T) {
	l := newLoop(t, ioloop.Config{})
	start(t, l)
	goroutines := map[string]int{}
	for range 10 {
		on(t, l, func() {
			l.Kit().RunJob(jobFunc(func(*ioloop.Task) { goroutines[goroutine()]++ }), runnerFunc(func() {}))
		})
	}
	on(t, l, func() { goroutines[goroutine()]++ })
	require.Len(t, goroutines, 1)
}

// On the coroutine that leads, a task and a callback are told from one another, and from a
// goroutine that may block.
func TestWhoRunsOnTheLeader(t *testing.T) {
	l := newLoop(t, ioloop.Config{})
	start(t, l)
	for range 2 { // the second callback runs on the leader
		on(t, l, func() {
			current, onLoop := ioloop.CurrentTask()
			require.Nil(t, current)
			require.True(t, onLoop)
			require.ErrorIs(t, ioloop.MayBlock(), ioloop.ErrOnLoop)
			runJob(l, func(tk *ioloop.Task) {
				current, onLoop := ioloop.CurrentTask()
				require.Same(t, tk, current)
				require.True(t, onLoop)
				require.ErrorIs(t, ioloop.MayBlock(), ioloop.ErrOnLoop)
			}, func() {
				current, _ := ioloop.CurrentTask()
				require.Nil(t, current)
			})
		})
	}
	on(t, l, func() {})
	require.Zero(t, l.Stats().Failures, "nothing was wrong")
}

func BenchmarkRunJob(b *testing.B) {
	l := newLoop(b, ioloop.Config{})
	start(b, l)
	n, done := 0, make(chan struct{})
	job, rest := jobFunc(func(*ioloop.Task) { n++ }), runnerFunc(func() {})
	var again runnerFunc
	again = func() {
		if n >= b.N {
			close(done)
			return
		}
		l.Kit().RunJob(job, rest)
		_ = l.Kit().Schedule(again)
	}
	b.ReportAllocs()
	b.ResetTimer()
	on(b, l, again)
	<-done
	b.StopTimer()
}
