package ioloop_test

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"time"

	"github.com/eddyloop/eddy/ioloop"
	"github.com/stretchr/testify/require"
)

// endings are all ways to end the tasks of a loop that runs on its own goroutine.
var endings = map[string]func(t testing.TB, l *ioloop.Loop, arrange func()){
	"stop": func(t testing.TB, l *ioloop.Loop, arrange func()) {
		done := goRun(l, context.Background())
		on(t, l, arrange)
		turns(t, l)
		l.Stop()
		require.NoError(t, receive(t, done))
	},
	"close": func(t testing.TB, l *ioloop.Loop, arrange func()) {
		done := goRun(l, context.Background())
		on(t, l, arrange)
		turns(t, l)
		require.NoError(t, l.Close())
		require.NoError(t, receive(t, done))
	},
	"close unbegun": func(t testing.TB, l *ioloop.Loop, arrange func()) {
		arrange()
		require.NoError(t, l.Close())
	},
}

func eachEnding(t *testing.T, test func(t *testing.T, l *ioloop.Loop, end func(arrange func()))) {
	for name, ending := range endings {
		t.Run(name, func(t *testing.T) {
			l := newLoop(t, ioloop.Config{Logger: quiet})
			test(t, l, func(arrange func()) { ending(t, l, arrange) })
			require.Zero(t, l.Stats().Tasks)
		})
	}
}

// The first wait tells, the second unwinds, and waits on the way out return at
// once.
func TestStopTellsThenUnwinds(t *testing.T) {
	eachEnding(t, func(t *testing.T, l *ioloop.Loop, end func(func())) {
		for name, wait := range taskWaits {
			if name == "check" || name == "yield" || name == "await" {
				continue
			}
			var first error
			var deferred []error
			beyond := false
			end(func() {
				_ = l.Go(func(tk *ioloop.Task) {
					defer func() { deferred = append(deferred, wait(tk)) }()
					defer func() { deferred = append(deferred, wait(tk)) }()
					first = wait(tk)
					_ = wait(tk)
					beyond = true
				})
			})
			require.ErrorIs(t, first, ioloop.ErrTaskStopped)
			require.ErrorIs(t, first, context.Canceled)
			require.False(t, beyond)
			require.Len(t, deferred, 2)
			require.ErrorIs(t, deferred[0], ioloop.ErrTaskStopped)
			require.ErrorIs(t, deferred[1], ioloop.ErrTaskStopped)
			if l.Close() == nil || l.Post(func() {}) != nil {
				break // this loop can be ended only once
			}
		}
	})
}

// A task that ignores every error cannot hold up the end of the loop.
func TestStopEndsTaskThatIgnoresErrors(t *testing.T) {
	for name, wait := range taskWaits {
		t.Run(name, func(t *testing.T) {
			eachEnding(t, func(t *testing.T, l *ioloop.Loop, end func(func())) {
				unwound := false
				end(func() {
					_ = l.Go(func(tk *ioloop.Task) {
						defer func() { unwound = true }()
						for {
							_ = wait(tk)
							if tk.Err() == nil {
								_ = tk.Yield() // some waits do not suspend
							}
						}
					})
				})
				require.True(t, unwound)
			})
		})
	}
}

// A wait that is completed is not one that tells.
func TestStopAndCompletion(t *testing.T) {
	l := newLoop(t, ioloop.Config{})
	var o op
	var errs []error
	require.NoError(t, l.Go(func(tk *ioloop.Task) {
		errs = append(errs, o.wait(tk))
		errs = append(errs, o.wait(tk))
		_ = o.wait(tk)
		errs = append(errs, errors.New("not unwound"))
	}))
	require.NoError(t, l.Post(func() {
		_ = l.Post(func() {
			o.complete()
			l.Stop()
		})
	}))
	run(t, l)
	require.Len(t, errs, 2)
	require.NoError(t, errs[0])
	require.ErrorIs(t, errs[1], ioloop.ErrTaskStopped)
}

func TestStopTellsWaitsOnViews(t *testing.T) {
	eachEnding(t, func(t *testing.T, l *ioloop.Loop, end func(func())) {
		var waiting, expired, after error
		var unwound int
		end(func() {
			_ = l.Go(func(tk *ioloop.Task) {
				defer func() { unwound++ }()
				view, cancel := tk.WithTimeout(time.Hour)
				defer cancel()
				waiting = view.Sleep(time.Hour)
				_ = view.Yield()
				unwound = -1
			})
			_ = l.Go(func(tk *ioloop.Task) {
				defer func() { unwound++ }()
				view, cancel := tk.WithTimeout(0)
				defer cancel()
				_ = tk.Sleep(0)
				expired = view.Yield() // tells, if the loop is stopping
				after = tk.Sleep(time.Hour)
				_ = tk.Yield()
				unwound = -1
			})
		})
		require.ErrorIs(t, waiting, ioloop.ErrTaskStopped)
		require.Equal(t, 2, unwound)
		if expired != nil && !errors.Is(expired, ioloop.ErrTaskStopped) {
			require.ErrorIs(t, expired, context.DeadlineExceeded)
			require.ErrorIs(t, after, ioloop.ErrTaskStopped)
		}
		require.Zero(t, l.Stats().Timers)
	})
}

// Being told does not depend on what a view has to say.
func TestStopTellsThroughExpiredView(t *testing.T) {
	l := newLoop(t, ioloop.Config{})
	var o op
	var completed, told error
	require.NoError(t, l.Go(func(tk *ioloop.Task) {
		view, cancel := tk.WithTimeout(0)
		defer cancel()
		_ = l.Post(func() {
			o.complete()
			l.Stop()
		})
		completed = o.wait(tk)
		told = view.Yield()
	}))
	run(t, l)
	require.NoError(t, completed)
	require.ErrorIs(t, told, ioloop.ErrTaskStopped)
}

// One that was cancelled before is told by that error, and unwound.
func TestStopOfCancelledTask(t *testing.T) {
	l := newLoop(t, ioloop.Config{})
	var o op
	var errs []error
	require.NoError(t, l.Go(func(tk *ioloop.Task) {
		_ = l.Post(func() {
			o.complete()
			tk.Cancel()
			l.Stop()
		})
		errs = append(errs, o.wait(tk))
		errs = append(errs, tk.Sleep(time.Hour))
		_ = tk.Sleep(time.Hour)
		errs = append(errs, errors.New("not unwound"))
	}))
	run(t, l)
	require.Len(t, errs, 2)
	require.NoError(t, errs[0])
	require.ErrorIs(t, errs[1], context.Canceled)
	require.NotErrorIs(t, errs[1], ioloop.ErrTaskStopped)
}

func TestTasksNotBegunAtClose(t *testing.T) {
	l := newLoop(t, ioloop.Config{})
	var first, inner error
	began := 0
	for range 10 {
		require.NoError(t, l.Go(func(tk *ioloop.Task) {
			began++
			first = tk.Sleep(time.Hour)
			inner = l.Go(func(*ioloop.Task) { began += 100 })
		}))
	}
	require.NoError(t, l.Close())
	require.Equal(t, 10, began)
	require.ErrorIs(t, first, ioloop.ErrTaskStopped)
	require.ErrorIs(t, inner, ioloop.ErrClosed)
}

func TestTaskGoesOnInNextRun(t *testing.T) {
	l := newLoop(t, ioloop.Config{})
	began := false
	require.NoError(t, l.Post(func() {
		_ = l.Go(func(tk *ioloop.Task) { began = tk.Sleep(0) == nil; l.Stop() })
	}))
	turn(t, l)
	require.False(t, began)
	run(t, l)
	require.True(t, began, "the new Run does not tell of the old one's end")
}

func TestStopFromTask(t *testing.T) {
	l := newLoop(t, ioloop.Config{})
	var errs [2]error
	require.NoError(t, l.Go(func(tk *ioloop.Task) { errs[0] = tk.Sleep(time.Hour) }))
	require.NoError(t, l.Go(func(tk *ioloop.Task) {
		l.Stop()
		errs[1] = tk.Sleep(time.Hour)
	}))
	run(t, l)
	require.ErrorIs(t, errs[0], ioloop.ErrTaskStopped)
	require.ErrorIs(t, errs[1], ioloop.ErrTaskStopped)
}

// Goexit ends the task alone: the loop stays on its goroutine.
func TestGoexitEndsTaskAlone(t *testing.T) {
	for name, before := range map[string]func(tk *ioloop.Task){
		"at once":     func(*ioloop.Task) {},
		"after waits": func(tk *ioloop.Task) { _ = tk.Yield(); _ = tk.Sleep(0) },
	} {
		for end, disaster := range disasters {
			t.Run(name+"/"+end, func(t *testing.T) {
				l := newLoop(t, ioloop.Config{Logger: quiet})
				start(t, l)
				var goroutine [2]string
				on(t, l, func() { goroutine[0] = goroutineName() })
				deferred, waited := false, false
				var kept *ioloop.Task
				task(t, l, func(tk *ioloop.Task) {
					kept = tk
					defer func() { deferred = true }()
					defer func() { waited = tk.Sleep(0) == nil }()
					before(tk)
					disaster()
				})
				receive(t, kept.Done())
				on(t, l, func() { goroutine[1] = goroutineName() })
				require.Equal(t, goroutine[0], goroutine[1])
				require.True(t, deferred)
				require.True(t, waited, "deferred functions can wait")
				require.Zero(t, l.Stats().Tasks)
				require.EqualValues(t, 1, l.Stats().Failures)
			})
		}
	}
}

func goroutineName() string {
	buf := make([]byte, 64)
	buf = buf[:runtime.Stack(buf, false)]
	for i, b := range buf {
		if b == '[' {
			return string(buf[:i])
		}
	}
	return ""
}

// Whatever happens in deferred functions while a task is unwound, it ends.
func TestDisastersWhileUnwinding(t *testing.T) {
	for name, disaster := range disasters {
		t.Run(name, func(t *testing.T) {
			eachEnding(t, func(t *testing.T, l *ioloop.Loop, end func(func())) {
				outer, later := false, false
				end(func() {
					_ = l.Go(func(tk *ioloop.Task) {
						defer func() { outer = true }()
						func() {
							defer func() { _ = recover() }()
							defer disaster()
							for {
								_ = tk.Sleep(time.Hour)
							}
						}()
						later = true
					})
				})
				require.True(t, outer)
				require.False(t, later)
			})
		})
	}
}

// A task that waits in a deferred function after a Goexit or panic of its own is
// stopped like any other.
func TestStopWhileUnwinding(t *testing.T) {
	for name, disaster := range disasters {
		t.Run(name, func(t *testing.T) {
			eachEnding(t, func(t *testing.T, l *ioloop.Loop, end func(func())) {
				var first error
				ended, beyond := false, false
				end(func() {
					_ = l.Go(func(tk *ioloop.Task) {
						defer func() { ended = true }()
						defer func() {
							first = tk.Sleep(time.Hour)
							_ = tk.Sleep(time.Hour)
							beyond = true
						}()
						disaster()
					})
				})
				require.ErrorIs(t, first, ioloop.ErrTaskStopped)
				require.True(t, ended)
				require.False(t, beyond)
			})
		})
	}
}

// Tasks in every state, and a loop that ends under them.
func TestStopUnderLoad(t *testing.T) {
	l := newLoop(t, ioloop.Config{})
	for round := range 50 {
		done := goRun(l, context.Background())
		var o op
		ended, begun := 0, 0
		for i := range 100 {
			_ = l.Go(func(tk *ioloop.Task) {
				begun++
				defer func() { ended++ }()
				for {
					switch i % 5 {
					case 0:
						_ = tk.Sleep(time.Hour)
					case 1:
						_ = tk.Yield()
					case 2:
						_, _ = ioloop.Await(tk, func() (int, error) { return 1, nil })
					case 3:
						var mine op
						go mine.complete()
						_ = mine.wait(tk)
					case 4:
						view, cancel := tk.WithTimeout(time.Microsecond)
						_ = o.wait(view)
						cancel()
					}
				}
			})
		}
		for range round {
			runtime.Gosched()
		}
		l.Stop()
		require.NoError(t, receive(t, done))
		for begun != 100 { // those that had not begun
			turn(t, l)
		}
		require.Equal(t, begun, ended)
		require.Zero(t, l.Stats().Tasks)
	}
}
