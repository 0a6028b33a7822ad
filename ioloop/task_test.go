package ioloop_test

import (
	"context"
	"math"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/eddyloop/eddy/internal/leaktest"
	"github.com/eddyloop/eddy/internal/testtime"
	"github.com/eddyloop/eddy/ioloop"
	"github.com/stretchr/testify/require"
)

func TestGoNil(t *testing.T) {
	l := newLoop(t, ioloop.Config{})
	require.ErrorIs(t, l.Go(nil), ioloop.ErrInvalid)
}

func TestTaskStartsInNextStep(t *testing.T) {
	l := newLoop(t, ioloop.Config{})
	var order []string
	note := func(s string) { order = append(order, s) }
	require.NoError(t, l.Post(func() {
		_ = l.Go(func(t *ioloop.Task) {
			note("outer begins")
			_ = l.Go(func(*ioloop.Task) { note("inner") })
			note("outer goes on")
			_ = t.Yield()
			note("outer ends")
		})
		note("post")
	}))
	turn(t, l)
	require.Equal(t, []string{"post"}, order)
	require.NoError(t, l.Post(func() { _ = l.Post(func() { _ = l.Post(l.Stop) }) }))
	run(t, l)
	require.Equal(t, []string{"post", "outer begins", "outer goes on", "inner", "outer ends"}, order)
}

func TestTaskBasics(t *testing.T) {
	l := startNew(t)
	var kept *ioloop.Task
	task(t, l, func(tk *ioloop.Task) {
		kept = tk
		require.Same(t, l, tk.Loop())
		require.NoError(t, tk.Err())
		require.Nil(t, tk.Value("anything"))
		_, ok := tk.Deadline()
		require.False(t, ok)
		require.Equal(t, 1, l.Stats().Tasks)
		select {
		case <-tk.Done():
			t.Error("done")
		default:
		}
	})
	receive(t, kept.Done())
	require.ErrorIs(t, kept.Err(), context.Canceled, "has ended")
	require.NotErrorIs(t, kept.Err(), ioloop.ErrTaskStopped)
	on(t, l, func() {})
	require.Zero(t, l.Stats().Tasks)
}

// waits are all methods here that wait with a context.
var waits = map[string]func(ctx context.Context) error{
	"check": ioloop.CheckContext,
	"begin": func(ctx context.Context) error { return new(ioloop.Waiter).Begin(ctx) },
	"op":    func(ctx context.Context) error { return new(op).wait(ctx) },
}

// taskWaits are those that are for tasks only.
var taskWaits = map[string]func(t *ioloop.Task) error{
	"sleep": func(t *ioloop.Task) error { return t.Sleep(time.Hour) },
	"yield": (*ioloop.Task).Yield,
	"await": func(t *ioloop.Task) error {
		_, err := ioloop.Await(t, func() (int, error) { return 0, nil })
		return err
	},
	"op":    func(t *ioloop.Task) error { return new(op).wait(t) },
	"check": func(t *ioloop.Task) error { return ioloop.CheckContext(t) },
}

// A context derived from a task is refused at once, wherever it is used.
func TestDerivedContextIsRefused(t *testing.T) {
	l := startNew(t)
	type key struct{}
	task(t, l, func(tk *ioloop.Task) {
		view, cancelView := tk.WithTimeout(time.Hour)
		defer cancelView()
		for _, parent := range []context.Context{tk, view} {
			cancelled, cancel := context.WithCancel(parent)
			defer cancel()
			timed, cancel2 := context.WithTimeout(parent, time.Hour)
			defer cancel2()
			for _, ctx := range []context.Context{
				cancelled, timed,
				context.WithValue(parent, key{}, 1),
				context.WithoutCancel(parent),
				context.WithValue(cancelled, key{}, 1),
			} {
				for name, wait := range waits {
					require.ErrorIs(t, wait(ctx), ioloop.ErrTaskContext, name)
					fromGoroutine := make(chan error)
					go func() { fromGoroutine <- wait(ctx) }()
					require.ErrorIs(t, <-fromGoroutine, ioloop.ErrTaskContext, name)
				}
			}
		}
		for name, wait := range waits {
			require.ErrorIs(t, wait(nil), ioloop.ErrInvalid, name) //nolint:staticcheck
		}
	})
}

// While a task does not run, whoever uses it is someone else.
func TestTaskOfSomeoneElseIsRefused(t *testing.T) {
	l := startNew(t)
	var parked *ioloop.Task
	var o op
	ended := make(chan struct{})
	require.NoError(t, l.Go(func(t *ioloop.Task) {
		defer close(ended)
		parked = t
		_ = o.wait(t)
	}))
	until(t, o.waiting)
	turns(t, l)
	refused := func(what string) {
		for name, wait := range taskWaits {
			require.ErrorIs(t, wait(parked), ioloop.ErrTaskContext, name+what)
		}
	}
	refused(" by a goroutine")
	on(t, l, func() { refused(" by a callback") })
	task(t, l, func(*ioloop.Task) { refused(" by another task") })
	o.complete()
	receive(t, ended)
	on(t, l, func() {})
	refused(" after its end")
	require.NoError(t, l.Close())
	refused(" after the loop's end")
}

func TestTaskSleep(t *testing.T) {
	l, clock := newClocked(t)
	start(t, l)
	var woke []time.Duration
	ended := make(chan struct{})
	require.NoError(t, l.Go(func(tk *ioloop.Task) {
		for _, d := range []time.Duration{10, 0, 5, -1} {
			if err := tk.Sleep(d); err != nil {
				t.Error(err)
			}
			woke = append(woke, l.Now())
		}
		close(ended)
	}))
	settle(t, l)
	for range 15 {
		clock.Advance(1)
		settle(t, l)
	}
	receive(t, ended)
	require.Equal(t, []time.Duration{10, 10, 15, 15}, woke)
	require.Zero(t, l.Stats().Timers)
}

func TestTaskYield(t *testing.T) {
	testtime.WholeTurns(t)
	l := newLoop(t, ioloop.Config{})
	var order []string
	for _, name := range []string{"a", "b"} {
		require.NoError(t, l.Go(func(tk *ioloop.Task) {
			for range 3 {
				order = append(order, name)
				l.Kit().AtTurnEnd(runnerFunc(func() { order = append(order, "end of "+name) }))
				if err := tk.Yield(); err != nil {
					t.Error(err)
				}
			}
			l.Stop()
		}))
	}
	run(t, l)
	round := []string{"a", "b", "end of a", "end of b"}
	require.Equal(t, append(append(round, round...), round...), order)
}

func TestWithTimeoutExpires(t *testing.T) {
	l, clock := newClocked(t)
	start(t, l)
	var o op
	task(t, l, func(tk *ioloop.Task) {
		view, cancel := tk.WithTimeout(time.Second)
		defer cancel()
		_, ok := view.Deadline()
		require.True(t, ok)
		require.Same(t, l, view.Loop())
		l.AfterFunc(0, func() { clock.Advance(time.Second) })
		require.ErrorIs(t, o.wait(view), context.DeadlineExceeded)
		require.ErrorIs(t, view.Err(), context.DeadlineExceeded)
		receive(t, view.Done())
		for name, wait := range taskWaits {
			require.ErrorIs(t, wait(view), context.DeadlineExceeded, name)
		}
		cancel()
		require.ErrorIs(t, view.Err(), context.DeadlineExceeded, "the first reason counts")

		require.NoError(t, tk.Err(), "the task itself goes on")
		require.NoError(t, tk.Yield())
		_ = l.Post(o.complete)
		require.NoError(t, o.wait(tk))
	})
	on(t, l, func() {})
	require.Zero(t, l.Stats().Timers)
}

func TestWithTimeoutCancelFreesTimer(t *testing.T) {
	l, _ := newClocked(t)
	start(t, l)
	task(t, l, func(tk *ioloop.Task) {
		for range 1000 {
			view, cancel := tk.WithTimeout(time.Hour)
			require.NoError(t, view.Yield())
			require.Equal(t, 1, l.Stats().Timers)
			cancel()
			cancel()
			require.Zero(t, l.Stats().Timers)
			require.ErrorIs(t, view.Err(), context.Canceled)
			require.ErrorIs(t, view.Yield(), context.Canceled)
			require.Zero(t, tk.Views(), "nothing is kept of it")
		}
	})
}

func TestWithTimeoutNested(t *testing.T) {
	for name, c := range map[string]struct{ outer, inner time.Duration }{
		"parent earlier": {10, 20}, "child earlier": {20, 10}, "same": {10, 10},
	} {
		t.Run(name, func(t *testing.T) {
			l, clock := newClocked(t)
			start(t, l)
			task(t, l, func(tk *ioloop.Task) {
				outer, cancelOuter := tk.WithTimeout(c.outer)
				defer cancelOuter()
				inner, cancelInner := outer.WithTimeout(c.inner)
				defer cancelInner()
				at, _ := inner.Deadline()
				atOuter, _ := outer.Deadline()
				require.False(t, at.After(atOuter))
				l.AfterFunc(0, func() { clock.Advance(10) })
				require.ErrorIs(t, new(op).wait(inner), context.DeadlineExceeded)
				if c.inner < c.outer {
					require.NoError(t, outer.Err())
					cancelOuter()
					require.ErrorIs(t, outer.Err(), context.Canceled)
				} else {
					require.ErrorIs(t, outer.Err(), context.DeadlineExceeded)
				}
				require.NoError(t, tk.Err())
			})
			on(t, l, func() {})
			require.Zero(t, l.Stats().Timers)
		})
	}
}

func TestWithTimeoutEdges(t *testing.T) {
	l, _ := newClocked(t)
	start(t, l)
	task(t, l, func(tk *ioloop.Task) {
		for _, d := range []time.Duration{0, -1, math.MinInt64} {
			view, cancel := tk.WithTimeout(d)
			require.ErrorIs(t, view.Err(), context.DeadlineExceeded, "at once")
			cancel()
		}
		long, cancel := tk.WithTimeout(math.MaxInt64)
		require.NoError(t, long.Yield())
		cancel()
		forgotten, _ := tk.WithTimeout(time.Hour) //nolint:govet
		nested, _ := forgotten.WithTimeout(time.Minute)
		require.NoError(t, nested.Err())
		require.Equal(t, 2, l.Stats().Timers)
		tk.Cancel()
		require.ErrorIs(t, forgotten.Err(), context.Canceled)
		require.ErrorIs(t, nested.Err(), context.Canceled)
		late, cancel := tk.WithTimeout(time.Hour)
		require.ErrorIs(t, late.Err(), context.Canceled)
		cancel()
		require.Zero(t, l.Stats().Timers)
	})
	var view *ioloop.Task
	task(t, l, func(tk *ioloop.Task) {
		view, _ = tk.WithTimeout(time.Hour) //nolint:govet
	})
	receive(t, view.Done())
	on(t, l, func() {})
	require.Zero(t, l.Stats().Timers, "a task takes its views along")
}

// Views end from many sides at once: nothing may be left of them.
func TestWithTimeoutRaces(t *testing.T) {
	l := startNew(t)
	for range scaled(3000) {
		var wg sync.WaitGroup
		task(t, l, func(tk *ioloop.Task) {
			wg.Go(tk.Cancel)
			wg.Go(func() {
				view, cancel := tk.WithTimeout(time.Microsecond)
				inner, _ := view.WithTimeout(time.Hour) //nolint:govet
				runtime.Gosched()
				cancel()
				<-inner.Done()
			})
			view, cancel := tk.WithTimeout(time.Hour)
			defer cancel()
			_ = new(op).wait(view)
		})
		wg.Wait()
	}
	until(t, func() bool { return l.Stats().Timers == 0 })
}

func TestDetach(t *testing.T) {
	for _, how := range []string{"cancelled", "ended", "expired"} {
		t.Run(how, func(t *testing.T) {
			l, clock := newClocked(t)
			start(t, l)
			var o op
			waited := make(chan error, 1)
			var ctx context.Context
			task(t, l, func(tk *ioloop.Task) {
				self, cancel := tk.WithTimeout(time.Hour)
				defer cancel()
				ctx = self.Detach()
				_, ok := ctx.Deadline()
				require.True(t, ok)
				require.Nil(t, ctx.Value(1))
				derived, cancel := context.WithCancel(ctx)
				go func() {
					defer cancel()
					waited <- o.wait(derived)
				}()
				require.NoError(t, o.yieldUntilWaiting(tk))
				switch how {
				case "cancelled":
					tk.Cancel()
				case "expired":
					_ = l.Post(func() { clock.Advance(time.Hour) })
					require.ErrorIs(t, new(op).wait(self), context.DeadlineExceeded)
				}
			})
			want := context.Canceled
			if how == "expired" {
				want = context.DeadlineExceeded
			}
			require.ErrorIs(t, receive(t, waited), want)
			require.ErrorIs(t, ctx.Err(), want)
		})
	}
}

func (o *op) yieldUntilWaiting(t *ioloop.Task) error {
	for !o.waiting() {
		if err := t.Yield(); err != nil {
			return err
		}
	}
	return nil
}

func TestCancelSuspended(t *testing.T) {
	for name, wait := range taskWaits {
		if name == "await" || name == "yield" || name == "check" {
			continue // do not stay suspended
		}
		t.Run(name, func(t *testing.T) {
			l := startNew(t)
			suspended := make(chan *ioloop.Task, 1)
			ended := make(chan error, 1)
			require.NoError(t, l.Go(func(tk *ioloop.Task) {
				suspended <- tk
				err := wait(tk)
				if again := wait(tk); again != err {
					t.Error("further waits fail as well", again)
				}
				ended <- err
			}))
			tk := receive(t, suspended)
			turns(t, l)
			tk.Cancel()
			require.ErrorIs(t, receive(t, ended), context.Canceled)
			tk.Cancel()
			require.Zero(t, l.Stats().Timers)
		})
	}
}

func TestCancelByItselfAndAfterEnd(t *testing.T) {
	l := startNew(t)
	var kept *ioloop.Task
	task(t, l, func(tk *ioloop.Task) {
		kept = tk
		tk.Cancel()
		require.ErrorIs(t, tk.Err(), context.Canceled)
		for name, wait := range taskWaits {
			require.ErrorIs(t, wait(tk), context.Canceled, name)
		}
	})
	kept.Cancel()
	view, cancel := kept.WithTimeout(time.Hour)
	require.ErrorIs(t, view.Err(), context.Canceled)
	cancel()
	on(t, l, func() {})
}

// A task may wait for something of another loop.
func TestTaskWokenByAnotherLoop(t *testing.T) {
	a, b := startNew(t), startNew(t)
	const rounds = 1000
	var ab, ba op
	done := make(chan error, 2)
	play := func(l, other *ioloop.Loop, mine, theirs *op) {
		require.NoError(t, l.Go(func(tk *ioloop.Task) {
			for range rounds {
				if err := other.Post(theirs.complete); err != nil {
					done <- err
					return
				}
				if err := mine.wait(tk); err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}))
	}
	play(a, b, &ab, &ba)
	play(b, a, &ba, &ab)
	require.NoError(t, receive(t, done))
	require.NoError(t, receive(t, done))
}

func TestManyTasks(t *testing.T) {
	l := startNew(t)
	n := scaled(20_000)
	var all sync.WaitGroup
	ops := make([]op, n)
	for i := range n {
		all.Add(1)
		require.NoError(t, l.Go(func(tk *ioloop.Task) {
			defer all.Done()
			if err := ops[i].wait(tk); err != nil {
				t.Error(err)
			}
		}))
	}
	until(t, func() bool { return l.Stats().Tasks == n })
	for i := range n {
		ops[(i*7919)%n].complete()
	}
	all.Wait()
	on(t, l, func() {})
	require.Zero(t, l.Stats().Tasks)
}

// The end of a view that a task has done with does not resume it later.
func TestDoneViewDoesNotResume(t *testing.T) {
	l := newLoop(t, ioloop.Config{})
	var o op
	require.NoError(t, l.Go(func(tk *ioloop.Task) {
		_, cancel := tk.WithTimeout(time.Hour)
		cancel()
		_ = o.wait(tk)
	}))
	require.NoError(t, l.Post(func() { _ = l.Post(func() { _ = l.Post(l.Stop) }) }))
	run(t, l)
	require.EqualValues(t, 4, l.Stats().Callbacks, "three posts, and the task's begin")
}

// Contexts derived from a detached one need no goroutine that waits for the task.
func TestDetachedContextsHaveNoGoroutines(t *testing.T) {
	l := startNew(t)
	detached := make(chan context.Context, 1)
	var wake op
	require.NoError(t, l.Go(func(tk *ioloop.Task) {
		detached <- tk.Detach()
		_ = wake.wait(tk)
	}))
	ctx := receive(t, detached)
	before := leaktest.Goroutines()
	var derived []context.Context
	var cancels []context.CancelFunc
	for range 100 {
		d, cancel := context.WithCancel(ctx)
		defer cancel()
		derived, cancels = append(derived, d), append(cancels, cancel)
	}
	require.Less(t, leaktest.Goroutines(), before+50)
	cancels[0]()
	require.ErrorIs(t, derived[0].Err(), context.Canceled)
	require.NoError(t, derived[1].Err())
	called := make(chan struct{})
	context.AfterFunc(ctx, func() { close(called) })
	wake.complete()
	for _, d := range derived {
		receive(t, d.Done())
	}
	receive(t, called)
	late, cancel := context.WithCancel(ctx)
	defer cancel()
	receive(t, late.Done())
}
