package ioloop_test

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/eddyloop/eddy/ioloop"
	"github.com/stretchr/testify/require"
)

// inBothStyles runs test as a task and on a goroutine. cancellable returns a
// context to wait with and what cancels it.
func inBothStyles(t *testing.T, test func(t *testing.T, cancellable func() (context.Context, func()))) {
	t.Run("task", func(t *testing.T) {
		l := startNew(t)
		task(t, l, func(tk *ioloop.Task) {
			test(t, func() (context.Context, func()) { return tk.WithTimeout(time.Hour) })
		})
	})
	t.Run("goroutine", func(t *testing.T) {
		test(t, func() (context.Context, func()) {
			return context.WithCancel(context.Background())
		})
	})
}

func TestWaiterWakeBeforeWait(t *testing.T) {
	inBothStyles(t, func(t *testing.T, cancellable func() (context.Context, func())) {
		ctx, cancel := cancellable()
		defer cancel()
		var w ioloop.Waiter
		for range 3 {
			require.NoError(t, w.Begin(ctx))
			w.Wake()
			w.Wake()
			require.NoError(t, w.Wait())
			require.NoError(t, w.Wait(), "stays woken until Begin")
		}
	})
}

func TestWaiterWoken(t *testing.T) {
	inBothStyles(t, func(t *testing.T, cancellable func() (context.Context, func())) {
		ctx, cancel := cancellable()
		defer cancel()
		var w ioloop.Waiter
		for range 2 {
			require.NoError(t, w.Begin(ctx))
			require.False(t, w.Woken())
			w.Wake()
			require.True(t, w.Woken())
			require.NoError(t, w.Wait())
			require.True(t, w.Woken(), "until Begin")
		}
	})
}

func TestWaiterWakeWins(t *testing.T) {
	inBothStyles(t, func(t *testing.T, cancellable func() (context.Context, func())) {
		for range 50 {
			ctx, cancel := cancellable()
			var w ioloop.Waiter
			require.NoError(t, w.Begin(ctx))
			w.Wake()
			cancel()
			require.NoError(t, w.Wait())
			require.ErrorIs(t, w.Begin(ctx), context.Canceled)
		}
	})
}

// lateContext has something happen when Wait looks at it, and is done then.
type lateContext struct {
	context.Context
	happen func()
	looked atomic.Bool
}

func (c *lateContext) Done() <-chan struct{} {
	c.happen()
	c.looked.Store(true)
	return c.Context.Done()
}

func (c *lateContext) Err() error {
	if !c.looked.Load() {
		return nil // not yet done for Begin
	}
	return c.Context.Err()
}

// The waiter has seen that it is not woken; then Wake is called, then the context
// ends.
func TestWaiterWakeWinsLate(t *testing.T) {
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	for range 100 { // select chooses at random
		var w ioloop.Waiter
		ctx := &lateContext{Context: ended, happen: w.Wake}
		require.NoError(t, w.Begin(ctx))
		require.NoError(t, w.Wait())
	}
}

// The same for a task, which nothing can be slipped under: a goroutine wakes and
// cancels at all moments around its look.
func TestWaiterWakeWinsRace(t *testing.T) {
	l := startNew(t)
	task(t, l, func(tk *ioloop.Task) {
		type round struct {
			w      *ioloop.Waiter
			cancel func()
			spin   int
		}
		var next atomic.Pointer[round]
		var wakers sync.WaitGroup
		wakers.Go(func() {
			for {
				r := next.Load()
				if r == nil {
					runtime.Gosched()
					continue
				}
				if r.w == nil {
					return
				}
				for range r.spin {
					_ = next.Load()
				}
				r.w.Wake()
				next.Store(nil)
				r.cancel()
			}
		})
		end := time.Now().Add(time.Second) // switching is slow with one processor
		for i := 0; i < scaled(100_000) && time.Now().Before(end); i++ {
			view, cancel := tk.WithTimeout(time.Hour)
			w := new(ioloop.Waiter)
			if err := w.Begin(view); err != nil {
				t.Error(err)
			}
			for next.Load() != nil {
				runtime.Gosched()
			}
			next.Store(&round{w, cancel, i % 200})
			if err := w.Wait(); err != nil {
				t.Error("cancelled, though woken before:", err)
				break
			}
		}
		for next.Load() != nil {
			runtime.Gosched()
		}
		next.Store(&round{})
		wakers.Wait()
	})
}

func TestWaiterCancelledThenReused(t *testing.T) {
	inBothStyles(t, func(t *testing.T, cancellable func() (context.Context, func())) {
		var w ioloop.Waiter
		for range 50 {
			ctx, cancel := cancellable()
			require.NoError(t, w.Begin(ctx))
			go cancel()
			require.ErrorIs(t, w.Wait(), context.Canceled)
			w.Wake() // late: leaves something behind
			w.Wake()

			ctx, cancel = cancellable()
			require.NoError(t, w.Begin(ctx))
			var woken atomic.Bool
			go func() {
				for range 10 {
					runtime.Gosched()
				}
				woken.Store(true)
				w.Wake()
			}()
			require.NoError(t, w.Wait())
			require.True(t, woken.Load(), "not by what was left behind")
			cancel()
		}
	})
}

func TestWaiterContextAlreadyDone(t *testing.T) {
	inBothStyles(t, func(t *testing.T, cancellable func() (context.Context, func())) {
		ctx, cancel := cancellable()
		cancel()
		require.ErrorIs(t, new(ioloop.Waiter).Begin(ctx), context.Canceled)
		require.ErrorIs(t, ioloop.CheckContext(ctx), context.Canceled)
	})
	ctx, cancel := context.WithTimeout(context.Background(), -1)
	defer cancel()
	require.ErrorIs(t, new(ioloop.Waiter).Begin(ctx), context.DeadlineExceeded)
}

// A completion and a cancellation meet. Whoever completes knows whether it was
// taken, so every one is seen exactly once.
func TestWaiterCompletionRacesCancel(t *testing.T) {
	inBothStyles(t, func(t *testing.T, cancellable func() (context.Context, func())) {
		var w ioloop.Waiter
		var o op
		completed, cancelled := 0, 0
		for i := range scaled(8_000) {
			ctx, cancel := cancellable()
			var wg sync.WaitGroup
			wg.Go(func() {
				for range i % 5 {
					runtime.Gosched()
				}
				o.complete()
			})
			wg.Go(cancel)
			switch err := o.waitWith(ctx, &w); err {
			case nil:
				completed++
			default:
				require.ErrorIs(t, err, context.Canceled)
				cancelled++
			}
			wg.Wait()
			if cancelled > 0 && o.done > 0 { // the next one takes it
				o.done--
				cancelled--
				completed++
			}
		}
		require.Equal(t, scaled(8_000), completed)
		require.Zero(t, cancelled)
	})
}

func TestWakeWaiter(t *testing.T) {
	l := startNew(t)
	inBothStyles(t, func(t *testing.T, cancellable func() (context.Context, func())) {
		ctx, cancel := cancellable()
		defer cancel()
		for range 100 {
			var w ioloop.Waiter
			require.NoError(t, w.Begin(ctx))
			require.NoError(t, l.Post(func() { l.Kit().WakeWaiter(&w) }))
			require.NoError(t, w.Wait())
		}
	})
}

// A task does not run inside of another.
func TestResumeWaiterByATask(t *testing.T) {
	l := startNew(t)
	var mu sync.Mutex
	var w ioloop.Waiter
	went := make(chan struct{})
	require.NoError(t, l.Go(func(tk *ioloop.Task) {
		defer close(went)
		if err := w.Begin(tk); err != nil {
			t.Error(err)
		}
		if err := w.Wait(); err != nil {
			t.Error(err)
		}
	}))
	task(t, l, func(*ioloop.Task) {
		mu.Lock()
		defer mu.Unlock()
		l.Kit().ResumeWaiter(&w, &mu)
		select {
		case <-went:
			t.Error("went on within the call")
		default:
		}
	})
	receive(t, went)
}

// A task of the loop goes on within the call, with the lock released; anyone
// else is only woken, and a task goes on where it belongs.
func TestResumeWaiter(t *testing.T) {
	l, other := startNew(t), startNew(t)
	wait := func(ctx context.Context, w *ioloop.Waiter, waiting chan<- struct{}) {
		if err := w.Begin(ctx); err != nil {
			t.Error(err)
		}
		close(waiting)
		if err := w.Wait(); err != nil {
			t.Error(err)
		}
	}
	for _, tt := range []struct {
		name   string
		begin  func(func(ctx context.Context)) error
		within bool
	}{
		{"its task", func(f func(context.Context)) error { return l.Go(func(tk *ioloop.Task) { f(tk) }) }, true},
		{"task of another loop", func(f func(context.Context)) error { return other.Go(func(tk *ioloop.Task) { f(tk) }) }, false},
		{"goroutine", func(f func(context.Context)) error { go f(context.Background()); return nil }, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var mu sync.Mutex
			var w ioloop.Waiter
			waiting, went := make(chan struct{}), make(chan struct{})
			require.NoError(t, tt.begin(func(ctx context.Context) {
				wait(ctx, &w, waiting)
				mu.Lock()
				close(went)
				mu.Unlock()
			}))
			receive(t, waiting)
			on(t, other, func() {}) // the task has parked
			on(t, l, func() {
				busy, free := make(chan struct{}), make(chan struct{})
				if err := other.Post(func() { close(busy); <-free }); err != nil {
					t.Error(err)
				}
				<-busy
				mu.Lock()
				l.Kit().ResumeWaiter(&w, &mu)
				if mu.TryLock() {
					t.Error("the lock was not taken again")
				}
				within := false
				select {
				case <-went:
					within = true
				default:
				}
				mu.Unlock()
				if within != tt.within {
					t.Error("went on within the call:", within)
				}
				close(free)
			})
			receive(t, went)
		})
	}
}
