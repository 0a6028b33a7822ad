package ioloop_test

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"weak"

	"github.com/eddyloop/eddy/internal/leaktest"
	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/poller"
	"github.com/stretchr/testify/require"
)

func TestNewInvalidConfig(t *testing.T) {
	_, err := ioloop.New(ioloop.Config{MaxOffload: -1})
	require.ErrorIs(t, err, ioloop.ErrInvalid)
	require.ErrorIs(t, err, fs.ErrInvalid)
}

func TestRunNested(t *testing.T) {
	l := newLoop(t, ioloop.Config{})
	var err error
	require.NoError(t, l.Post(func() {
		err = l.Run(context.Background())
		l.Stop()
	}))
	run(t, l)
	require.ErrorIs(t, err, ioloop.ErrRunning)
}

func TestRunTwiceAtOnce(t *testing.T) {
	l := startNew(t)
	require.ErrorIs(t, l.Run(context.Background()), ioloop.ErrRunning)
}

func TestStopBeforeRun(t *testing.T) {
	l := newLoop(t, ioloop.Config{})
	var ran []string
	require.NoError(t, l.Post(func() {
		ran = append(ran, "first")
		_ = l.Post(func() { ran = append(ran, "second") })
	}))
	turn(t, l)
	require.Equal(t, []string{"first"}, ran, "one turn")
	turn(t, l)
	require.Equal(t, []string{"first", "second"}, ran, "what is queued stays")
}

func TestRunAgainAfterStop(t *testing.T) {
	l := newLoop(t, ioloop.Config{})
	for i := range 100 {
		ran := 0
		require.NoError(t, l.Post(func() { ran++; l.Stop() }))
		run(t, l)
		require.Equal(t, 1, ran, i)
	}
}

func TestStopWakesSleepingLoop(t *testing.T) {
	l := newLoop(t, ioloop.Config{})
	for range 100 {
		done := goRun(l, context.Background())
		until(t, l.Asleep)
		l.Stop()
		require.NoError(t, receive(t, done))
	}
}

func TestRunReturnsCause(t *testing.T) {
	l := newLoop(t, ioloop.Config{})
	cause := errors.New("enough")
	ctx, cancel := context.WithCancelCause(context.Background())
	done := goRun(l, ctx)
	until(t, l.Asleep)
	cancel(cause)
	require.Equal(t, cause, receive(t, done))
	require.Equal(t, cause, l.Run(ctx), "a context that is done already")
}

// The end of the context may come together with that of Run; it must not be
// counted as a Stop for the next Run.
func TestCancelledContextDoesNotStopNextRun(t *testing.T) {
	l := newLoop(t, ioloop.Config{})
	for range scaled(5000) {
		ctx, cancel := context.WithCancel(context.Background())
		require.NoError(t, l.Post(func() { l.Stop(); cancel() }))
		if err := l.Run(ctx); err != nil {
			require.ErrorIs(t, err, context.Canceled)
		}
		turns := 0
		var again func()
		again = func() {
			if turns++; turns == 5 {
				l.Stop()
				return
			}
			runtime.Gosched()
			_ = l.Post(again)
		}
		require.NoError(t, l.Post(again))
		run(t, l)
		require.Equal(t, 5, turns)
	}
}

func TestRunAndStopFromManyGoroutines(t *testing.T) {
	l := newLoop(t, ioloop.Config{})
	var wg sync.WaitGroup
	var runs, begun, late atomic.Int64
	ended := make(chan struct{})
	for range 4 {
		wg.Go(func() {
			for runs.Load() < 100 {
				err := l.Run(context.Background())
				if err == nil {
					runs.Add(1)
				} else if !errors.Is(err, ioloop.ErrRunning) {
					t.Error(err)
				}
				time.Sleep(time.Microsecond)
			}
		})
	}
	var stopper sync.WaitGroup
	stopper.Go(func() {
		for started := int64(0); ; runtime.Gosched() {
			select {
			case <-ended:
				return
			default:
			}
			if begun.Load() == started {
				started++
				_ = l.Go(func(t *ioloop.Task) {
					begun.Add(1)
					defer func() {
						if !l.Kit().AtTurnEnd(runnerFunc(func() { late.Add(1) })) {
							late.Add(1) // Close began it
						}
					}()
					_ = t.Sleep(time.Hour)
				})
			}
			l.Stop()
		}
	})
	wg.Wait()
	close(ended)
	stopper.Wait()
	require.NoError(t, l.Close())
	require.Equal(t, begun.Load(), late.Load())
}

// stubborn is a Poller that fails.
type stubborn struct {
	poller.Poller
	err error
}

func (s *stubborn) Wait([]poller.Event, time.Duration) (int, error) { return 0, s.err }

func TestRunReturnsErrorOfPoller(t *testing.T) {
	leaktest.Check(t)
	p, err := poller.New()
	require.NoError(t, err)
	broken := errors.New("broken")
	l := newLoop(t, ioloop.Config{Poller: &stubborn{p, broken}, Logger: quiet})
	var waited error
	require.NoError(t, l.Go(func(t *ioloop.Task) { waited = t.Sleep(time.Hour) }))
	require.Equal(t, broken, l.Run(context.Background()))
	require.ErrorIs(t, waited, ioloop.ErrTaskStopped)

	// The error is not lost if a callback ends the goroutine meanwhile.
	require.NoError(t, l.Go(func(t *ioloop.Task) {
		defer func() { _ = l.Post(runtime.Goexit) }()
		_ = t.Sleep(time.Hour)
	}))
	require.Equal(t, broken, l.Run(context.Background()))
}

func TestClose(t *testing.T) {
	l := newLoop(t, ioloop.Config{})
	require.NoError(t, l.Close())
	require.ErrorIs(t, l.Close(), ioloop.ErrClosed)
	require.ErrorIs(t, l.Close(), fs.ErrClosed)
	require.ErrorIs(t, l.Run(context.Background()), ioloop.ErrClosed)
	require.ErrorIs(t, l.Post(func() {}), ioloop.ErrClosed)
	require.ErrorIs(t, l.Kit().Schedule(runnerFunc(func() {})), ioloop.ErrClosed)
	require.ErrorIs(t, l.Go(func(*ioloop.Task) {}), ioloop.ErrClosed)
	require.False(t, l.Kit().AtTurnEnd(runnerFunc(func() {})))
	l.Stop()
	l.AfterFunc(0, func() { t.Error("fired") })
	_, err := l.Handle(0, poller.Readable, ioloop.HandlerFunc(func(poller.Interest, poller.Hint) {}))
	require.ErrorIs(t, err, ioloop.ErrClosed)
}

func TestCloseDuringRun(t *testing.T) {
	l := newLoop(t, ioloop.Config{})
	done := goRun(l, context.Background())
	until(t, l.Asleep)
	require.NoError(t, l.Close())
	require.NoError(t, receive(t, done))
	require.ErrorIs(t, l.Run(context.Background()), ioloop.ErrClosed)
	require.ErrorIs(t, l.Close(), ioloop.ErrClosed)
}

func TestCloseFromCallback(t *testing.T) {
	for name, arrange := range map[string]func(l *ioloop.Loop, fn func()){
		"post":  func(l *ioloop.Loop, fn func()) { _ = l.Post(fn) },
		"timer": func(l *ioloop.Loop, fn func()) { l.AfterFunc(0, fn) },
		"task":  func(l *ioloop.Loop, fn func()) { _ = l.Go(func(*ioloop.Task) { fn() }) },
		"end": func(l *ioloop.Loop, fn func()) {
			_ = l.Post(func() { l.Kit().AtTurnEnd(runnerFunc(fn)) })
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLoop(t, ioloop.Config{})
			var first, second, post error
			arrange(l, func() {
				first, second, post = l.Close(), l.Close(), l.Post(func() {})
			})
			run(t, l)
			require.NoError(t, first)
			require.ErrorIs(t, second, ioloop.ErrClosed)
			require.ErrorIs(t, post, ioloop.ErrClosed)
		})
	}
}

func TestNilArguments(t *testing.T) {
	l := newLoop(t, ioloop.Config{})
	//lint:ignore SA1012 the misuse is the point
	require.ErrorIs(t, l.Run(nil), ioloop.ErrInvalid)
	require.False(t, l.Running())
	//lint:ignore SA1012 the misuse is the point
	require.ErrorIs(t, l.RunTask(nil, func(*ioloop.Task) error { return nil }), ioloop.ErrInvalid)
	require.ErrorIs(t, l.RunTask(context.Background(), nil), ioloop.ErrInvalid)
	require.ErrorIs(t, l.Kit().Schedule(nil), ioloop.ErrInvalid)
	//lint:ignore SA1012 the misuse is the point
	require.ErrorIs(t, newGroup(t, 1).Run(nil), ioloop.ErrInvalid)
	_, err := l.Signal(nil)
	require.ErrorIs(t, err, ioloop.ErrInvalid)
	turn(t, l)
}

func TestDone(t *testing.T) {
	l := newLoop(t, ioloop.Config{})
	ended := false
	require.NoError(t, l.Go(func(task *ioloop.Task) {
		_ = task.Sleep(time.Hour)
		ended = true
	}))
	start(t, l)
	require.NoError(t, l.Close())
	receive(t, l.Done())
	require.True(t, ended)
}

// A loop that is closed keeps no memory for what it does not do any more.
func TestClosedLoopKeepsNoScratch(t *testing.T) {
	l := newLoop(t, ioloop.Config{})
	scratch := weak.Make(&l.Kit().Scratch()[0])
	require.NoError(t, l.Close())
	collected(t, func() bool { return scratch.Value() == nil })
	runtime.KeepAlive(l)
}

func TestCloseRunsWhatWasPosted(t *testing.T) {
	l := newLoop(t, ioloop.Config{})
	var ran []string
	var refused error
	require.NoError(t, l.Post(func() {
		ran = append(ran, "posted")
		refused = l.Post(func() { ran = append(ran, "too late") })
		_ = l.Kit().Schedule(runnerFunc(func() { ran = append(ran, "scheduled") }))
		if !l.Kit().AtTurnEnd(runnerFunc(func() { ran = append(ran, "put off") })) {
			ran = append(ran, "not put off")
		}
	}))
	l.AfterFunc(0, func() { ran = append(ran, "timer") })
	require.NoError(t, l.Close())
	require.ErrorIs(t, refused, ioloop.ErrClosed)
	require.Equal(t, []string{"posted", "not put off", "scheduled"}, ran)
	require.Zero(t, l.Stats().Timers)
}

// A post is either refused or called, wherever Close catches it.
func TestPostRacingClose(t *testing.T) {
	for i := range 1000 {
		l, err := ioloop.New(ioloop.Config{})
		require.NoError(t, err)
		var taken, called, offTurn atomic.Int64
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() {
				for range 10 {
					if l.Post(func() { called.Add(1) }) == nil {
						taken.Add(1)
					}
					taken.Add(1)
					if !l.Kit().AtTurnEnd(runnerFunc(func() { called.Add(1) })) {
						called.Add(1)
						offTurn.Add(1)
					}
				}
			})
		}
		if i%2 == 0 {
			wg.Go(func() {
				if err := l.Run(context.Background()); err != nil {
					require.ErrorIs(t, err, ioloop.ErrClosed)
				}
			})
		}
		for range i % 7 {
			runtime.Gosched()
		}
		require.NoError(t, l.Close())
		wg.Wait()
		require.Equal(t, taken.Load(), called.Load())
	}
}

func TestCreateAndCloseConcurrently(t *testing.T) {
	leaktest.Check(t)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				l, err := ioloop.New(ioloop.Config{})
				if err != nil {
					t.Error(err)
					return
				}
				_ = l.Post(func() {})
				_ = l.Go(func(t *ioloop.Task) { _ = t.Yield() })
				done := goRun(l, context.Background())
				if err := l.Close(); err != nil {
					t.Error(err)
				}
				<-done
			}
		})
	}
	wg.Wait()
}

func TestCloseRacingRunAndClose(t *testing.T) {
	leaktest.Check(t)
	for range 500 {
		l, err := ioloop.New(ioloop.Config{})
		require.NoError(t, err)
		var wg sync.WaitGroup
		var closed atomic.Int64
		wg.Go(func() { _ = l.Run(context.Background()) })
		for range 3 {
			wg.Go(func() {
				if l.Close() == nil {
					closed.Add(1)
				}
			})
		}
		wg.Wait()
		require.EqualValues(t, 1, closed.Load())
	}
}

// What a task puts off while the loop stops is done before Run returns.
func TestPutOffWhileStopping(t *testing.T) {
	l := newLoop(t, ioloop.Config{})
	taken, done := false, false
	require.NoError(t, l.Go(func(t *ioloop.Task) {
		_ = t.Sleep(time.Hour)
		taken = l.Kit().AtTurnEnd(runnerFunc(func() { done = true }))
	}))
	require.NoError(t, l.Post(l.Stop))
	run(t, l)
	require.True(t, taken)
	require.True(t, done)
	require.False(t, l.Kit().AtTurnEnd(runnerFunc(func() {})), "not running")
}

// intruder is a Poller that has something happen between the end of a turn and the
// decision to sleep, where nobody wakes the loop.
type intruder struct {
	poller.Poller
	intrude func()
}

func (p *intruder) Wait(events []poller.Event, timeout time.Duration) (int, error) {
	n, err := p.Poller.Wait(events, timeout)
	if intrude := p.intrude; timeout == 0 && n == 0 && intrude != nil {
		p.intrude = nil
		intrude()
	}
	return n, err
}

func TestNothingIsLostBeforeSleep(t *testing.T) {
	for name, intrude := range map[string]func(l *ioloop.Loop){
		"stop":     (*ioloop.Loop).Stop,
		"close":    func(l *ioloop.Loop) { _ = l.Close() },
		"post":     func(l *ioloop.Loop) { _ = l.Post(l.Stop) },
		"turn end": func(l *ioloop.Loop) { l.Kit().AtTurnEnd(runnerFunc(l.Stop)) },
		"timer":    func(l *ioloop.Loop) { l.AfterFunc(0, l.Stop) },
		"task":     func(l *ioloop.Loop) { _ = l.Go(func(*ioloop.Task) { l.Stop() }) },
	} {
		t.Run(name, func(t *testing.T) {
			leaktest.Check(t)
			p, err := poller.New()
			require.NoError(t, err)
			hooked := &intruder{Poller: p}
			l := newLoop(t, ioloop.Config{Poller: hooked})
			hooked.intrude = func() { intrude(l) }
			run(t, l)
		})
	}
}

// Other goroutines wake tasks while Close ends them.
func TestCloseUnderLoad(t *testing.T) {
	leaktest.Check(t)
	for i := range scaled(1000) {
		l, err := ioloop.New(ioloop.Config{})
		require.NoError(t, err)
		const tasks = 5
		var ops [tasks]op
		ended := 0
		for i := range ops {
			_ = l.Go(func(tk *ioloop.Task) {
				defer func() { ended++ }()
				for ops[i].wait(tk) == nil {
				}
			})
		}
		done := goRun(l, context.Background())
		on(t, l, func() {})
		var wg sync.WaitGroup
		for i := range ops {
			wg.Go(func() {
				for range 20 {
					ops[i].complete()
				}
			})
		}
		for range i % 10 {
			runtime.Gosched()
		}
		require.NoError(t, l.Close())
		require.NoError(t, receive(t, done))
		require.Equal(t, tasks, ended)
		wg.Wait()
	}
}

// A Runner that always schedules itself again does not keep Close from ending.
func TestCloseDropsWhatNeverEnds(t *testing.T) {
	var logged recorder
	l := newLoop(t, ioloop.Config{Logger: slog.New(&logged)})
	endless := new(failer)
	runs := 0
	endless.run = func() {
		runs++
		_ = l.Kit().Schedule(endless)
	}
	require.NoError(t, l.Kit().Schedule(endless))
	ended := false
	require.NoError(t, l.Go(func(tk *ioloop.Task) {
		_ = tk.Sleep(time.Hour)
		ended = true
	}))
	done := make(chan error, 1)
	go func() { done <- l.Close() }()
	require.NoError(t, receive(t, done))
	require.True(t, ended)
	require.Equal(t, []error{ioloop.ErrClosed}, endless.errs)
	require.Greater(t, runs, 100)
	require.Len(t, logged.all(), 1)
	require.ErrorIs(t, l.Kit().Schedule(endless), ioloop.ErrClosed)
}

// A Run that is refused leaves nothing behind: there is no turn whose end would come,
// for other goroutines either.
func TestRunThatIsRefusedIsNoTurn(t *testing.T) {
	outer, inner := newLoop(t, ioloop.Config{}), newLoop(t, ioloop.Config{})
	var putOff atomic.Int64
	var others sync.WaitGroup
	ended := make(chan struct{})
	others.Go(func() {
		for {
			select {
			case <-ended:
				return
			default:
			}
			if inner.Kit().AtTurnEnd(runnerFunc(func() {})) {
				putOff.Add(1)
			}
		}
	})
	require.NoError(t, outer.RunTask(context.Background(), func(*ioloop.Task) error {
		for range scaled(20_000) {
			require.ErrorIs(t, inner.Run(context.Background()), ioloop.ErrOnLoop)
		}
		return nil
	}))
	close(ended)
	others.Wait()
	require.Zero(t, putOff.Load(), "put off to the end of a turn that never comes")
	require.False(t, inner.Kit().AtTurnEnd(runnerFunc(func() {})))
	require.NoError(t, inner.Close())
	require.NoError(t, outer.Close())
}
