package ioloop_test

import (
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/poller"
	"github.com/stretchr/testify/require"
)

// holdInCallback and holdInTask have names to look for in stacks.
//
//go:noinline
func holdInCallback(released func() bool) { spin(released) }

//go:noinline
func holdInTask(released func() bool) { spin(released) }

func spin(released func() bool) {
	for deadline := time.Now().Add(patience); !released() && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
}

func TestWatchdog(t *testing.T) {
	const limit = 20 * time.Millisecond
	for name, c := range map[string]struct {
		hold func(l *ioloop.Loop, released func() bool)
		want string
	}{
		"post": {func(l *ioloop.Loop, released func() bool) {
			_ = l.Post(func() { holdInCallback(released) })
		}, "holdInCallback"},
		"timer": {func(l *ioloop.Loop, released func() bool) {
			l.AfterFunc(0, func() { holdInCallback(released) })
		}, "holdInCallback"},
		"turn end": {func(l *ioloop.Loop, released func() bool) {
			_ = l.Post(func() { l.Kit().AtTurnEnd(runnerFunc(func() { holdInCallback(released) })) })
		}, "holdInCallback"},
		"after goexit": {func(l *ioloop.Loop, released func() bool) {
			_ = l.Post(runtime.Goexit)
			_ = l.Post(func() { holdInCallback(released) })
		}, "holdInCallback"},
		"after a task": {func(l *ioloop.Loop, released func() bool) {
			_ = l.Go(func(t *ioloop.Task) { _ = t.Sleep(time.Hour) })
			_ = l.Post(func() { holdInCallback(released) })
		}, "holdInCallback"},
		"task": {func(l *ioloop.Loop, released func() bool) {
			_ = l.Go(func(*ioloop.Task) { holdInTask(released) })
		}, "holdInTask"},
		"task later": {func(l *ioloop.Loop, released func() bool) {
			_ = l.Go(func(t *ioloop.Task) {
				_ = t.Sleep(0)
				holdInTask(released)
			})
		}, "holdInTask"},
		"job": {func(l *ioloop.Loop, released func() bool) {
			_ = l.Post(func() {
				l.Kit().RunJob(jobFunc(func(*ioloop.Task) { holdInTask(released) }), runnerFunc(func() {}))
			})
		}, "holdInTask"},
		"behind a job": {func(l *ioloop.Loop, released func() bool) {
			_ = l.Post(func() { l.Kit().RunJob(jobFunc(func(*ioloop.Task) {}), runnerFunc(func() {})) })
			_ = l.Post(func() { holdInCallback(released) })
		}, "holdInCallback"},
	} {
		t.Run(name, func(t *testing.T) {
			report := soleReport(t, c.want, func(log *recorder) {
				var failures recorder
				l := newLoop(t, ioloop.Config{Watchdog: limit, Logger: slog.New(log)})
				// Another loop's task that runs all the time is not to blame.
				other := newLoop(t, ioloop.Config{Watchdog: time.Hour, Logger: slog.New(&failures)})
				start(t, other)
				begin := time.Now()
				released := make(chan struct{})
				require.NoError(t, other.Go(func(*ioloop.Task) { <-released }))
				c.hold(l, func() bool {
					// Once it has been reported, there is time for a second report.
					return reports(log) > 0 && time.Since(begin) > 6*limit
				})
				require.NoError(t, l.Post(func() { _ = l.Post(func() { _ = l.Post(l.Stop) }) }))
				run(t, l)
				close(released)
				require.GreaterOrEqual(t, time.Since(begin), limit)
				require.Empty(t, failures.all())
			})
			require.Contains(t, report, "WARN callback or task holds the loop: give what blocks or "+
				"computes for long to ioloop.Await or Offload longer_than=20ms")
			require.NotContains(t, report, "<-released")
		})
	}
}

// soleReport returns the only report of what attempt does, which has to be of what is wanted. A
// machine under load stops loops anywhere, and if that was reported, attempt is made again.
func soleReport(t *testing.T, want string, attempt func(log *recorder)) string {
	t.Helper()
	for tries := 10; ; tries-- {
		log := new(recorder)
		attempt(log)
		found := slices.DeleteFunc(log.all(), func(record string) bool { return !isReport(record) })
		stopped := slices.ContainsFunc(found, func(report string) bool { return !strings.Contains(report, want) })
		if stopped && tries > 0 {
			continue
		}
		require.Len(t, found, 1, "once")
		require.Contains(t, found[0], want)
		return found[0]
	}
}

// heldHandler holds the loop when that closes.
type heldHandler struct {
	runnerFunc
	released func() bool
}

func (heldHandler) HandleEvent(poller.Interest, poller.Hint) {}
func (h heldHandler) Fail(error)                             { holdInCallback(h.released) }

// TestWatchdogWithoutRun: the watchdog is there in RunOnce and in Close too.
func TestWatchdogWithoutRun(t *testing.T) {
	for name, hold := range map[string]func(l *ioloop.Loop, released func() bool){
		"RunOnce": func(l *ioloop.Loop, released func() bool) {
			_ = l.Post(func() { holdInCallback(released) })
			_, _ = l.RunOnce()
		},
		"Close": func(l *ioloop.Loop, released func() bool) {
			_ = l.Go(func(*ioloop.Task) { holdInCallback(released) })
			_ = l.Close()
		},
		"Fail": func(l *ioloop.Loop, released func() bool) {
			_, _ = l.Handle(5, 0, heldHandler{released: released})
			_ = l.Close()
		},
	} {
		t.Run(name, func(t *testing.T) {
			soleReport(t, "holdInCallback", func(log *recorder) {
				l := newLoop(t, ioloop.Config{
					Watchdog: 20 * time.Millisecond, Logger: slog.New(log), Poller: new(stillPoller)})
				hold(l, func() bool { return reports(log) > 0 })
			})
		})
	}
}

// stillPoller has no events.
type stillPoller struct{ poller.Poller }

func (stillPoller) Add(int, poller.Token, poller.Interest, poller.Mode) error { return nil }
func (stillPoller) Remove(int) error                                          { return nil }
func (stillPoller) Wait([]poller.Event, time.Duration) (int, error)           { return 0, nil }
func (stillPoller) Wake() error                                               { return nil }
func (stillPoller) Close() error                                              { return nil }

// TestWatchdogAmongManyGoroutines: a report finds its stack, and the program runs
// on while it is made. (Stopping it takes seconds with as many.)
func TestWatchdogAmongManyGoroutines(t *testing.T) {
	n := scaled(50_000)
	if testing.Short() {
		n /= 10
	}
	release := make(chan struct{})
	var all sync.WaitGroup
	for range n {
		all.Go(func() { deep(20, release) })
	}
	defer all.Wait()
	defer close(release)
	soleReport(t, "holdInCallback", func(log *recorder) {
		l := newLoop(t, ioloop.Config{Watchdog: 20 * time.Millisecond, Logger: slog.New(log)})
		other := startNew(t)
		var lateness []time.Duration
		var late atomic.Bool
		last := time.Now()
		ticks, err := other.Every(time.Millisecond, func() {
			now := time.Now()
			lateness = append(lateness, now.Sub(last)-time.Millisecond)
			last = now
			late.Store(true)
		})
		require.NoError(t, err)
		require.NoError(t, l.Post(func() {
			holdInCallback(func() bool { return reports(log) > 0 && late.Load() })
			l.Stop()
		}))
		run(t, l)
		ioloop.PauseReports(0) // this report was dear
		ticks.Stop()
		on(t, other, func() {
			slices.Sort(lateness)
			t.Logf("%d ticks beside the report: median %v late, 99 %% within %v, at most %v", len(lateness),
				lateness[len(lateness)/2], lateness[len(lateness)*99/100], lateness[len(lateness)-1])
		})
	})
}

// TestWatchdogPause: a report that was dear is followed by a pause, for every loop of
// the process, and what still holds a loop after that is reported then.
func TestWatchdogPause(t *testing.T) {
	const pause = 300 * time.Millisecond
	soleReport(t, "holdInCallback", func(log *recorder) {
		l := newLoop(t, ioloop.Config{Watchdog: 10 * time.Millisecond, Logger: slog.New(log)})
		begin := time.Now()
		ioloop.PauseReports(pause)
		require.NoError(t, l.Post(func() {
			holdInCallback(func() bool { return reports(log) > 0 })
			l.Stop()
		}))
		run(t, l)
		require.GreaterOrEqual(t, time.Since(begin), pause)
	})
}

func TestWatchdogReportTimes(t *testing.T) {
	var r ioloop.ReportTimes
	now := time.Now()
	require.True(t, r.Begin(now))
	require.False(t, r.Begin(now), "one at a time")
	now = now.Add(time.Second)
	r.End(now)
	require.False(t, r.Begin(now.Add(20*time.Second-1)))
	now = now.Add(20 * time.Second)
	require.True(t, r.Begin(now))
	r.End(now)
	require.True(t, r.Begin(now), "one that took no time")
}

//go:noinline
func deep(depth int, release chan struct{}) {
	if depth == 0 {
		<-release
		return
	}
	deep(depth-1, release)
}

func isReport(record string) bool { return record[:4] == "WARN" }

func reports(log *recorder) (n int) {
	for _, record := range log.all() {
		if isReport(record) {
			n++
		}
	}
	return n
}

func TestWatchdogIgnoresQuickCallbacks(t *testing.T) {
	l := newLoop(t, ioloop.Config{Watchdog: 10 * time.Second}) // its logger must stay empty
	start(t, l)
	for end := time.Now().Add(30 * time.Millisecond); time.Now().Before(end); {
		on(t, l, func() {})
		task(t, l, func(tk *ioloop.Task) { _ = tk.Yield() })
	}
	until(t, l.Asleep)
}

// A limit below what can be measured must not break anything.
func TestWatchdogTinyLimit(t *testing.T) {
	l := newLoop(t, ioloop.Config{Watchdog: 1, Logger: quiet})
	for range 3 {
		task := make(chan struct{})
		require.NoError(t, l.Go(func(*ioloop.Task) { close(task); l.Stop() }))
		run(t, l)
		receive(t, task)
	}
}
