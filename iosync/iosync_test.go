package iosync_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iosync"
	"github.com/stretchr/testify/require"
)

const patience = time.Minute

func startLoop(t testing.TB) *ioloop.Loop {
	l, err := ioloop.New(ioloop.Config{})
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skip(err)
	}
	require.NoError(t, err)
	done := make(chan error, 1)
	go func() { done <- l.Run(context.Background()) }()
	t.Cleanup(func() {
		require.NoError(t, l.Close())
		require.NoError(t, <-done)
	})
	return l
}

// workers starts n that call fn, a third of them on a goroutine each and the others as
// tasks of two loops, and returns what waits for all.
func workers(t testing.TB, n int, fn func(ctx context.Context, i int) error) (join func()) {
	loops := []*ioloop.Loop{startLoop(t), startLoop(t)}
	var g iosync.Group
	for i := range n {
		if i%3 == 0 {
			require.NoError(t, g.GoBlocking(func(ctx context.Context) error { return fn(ctx, i) }))
		} else {
			require.NoError(t, g.Go(loops[i%2], func(task *ioloop.Task) error { return fn(task, i) }))
		}
	}
	return func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		require.NoError(t, g.Wait(ctx))
	}
}

// pass lets others run, in either style.
func pass(ctx context.Context) {
	if task, ok := ctx.(*ioloop.Task); ok {
		_ = task.Yield()
	} else {
		runtime.Gosched()
	}
}

func TestSemaphoreBounds(t *testing.T) {
	_, err := iosync.NewSemaphore(0)
	require.ErrorIs(t, err, fs.ErrInvalid)
	s, err := iosync.NewSemaphore(3)
	require.NoError(t, err)
	require.ErrorIs(t, s.Release(), iosync.ErrNotHeld)
	var in, most atomic.Int32
	workers(t, 60, func(ctx context.Context, _ int) error {
		for range 50 {
			if err := s.Acquire(ctx); err != nil {
				return err
			}
			n := in.Add(1)
			for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
			}
			pass(ctx)
			in.Add(-1)
			if err := s.Release(); err != nil {
				return err
			}
		}
		return nil
	})()
	require.LessOrEqual(t, most.Load(), int32(3))
	for range 3 {
		require.True(t, s.TryAcquire())
	}
	require.False(t, s.TryAcquire())
}

func TestMutexExcludes(t *testing.T) {
	var m iosync.Mutex
	require.ErrorIs(t, m.Unlock(), iosync.ErrNotHeld)
	count := 0 // the race detector sees that Unlock comes before the next Lock
	workers(t, 30, func(ctx context.Context, _ int) error {
		for range 100 {
			if err := m.Lock(ctx); err != nil {
				return err
			}
			count++
			pass(ctx)
			if err := m.Unlock(); err != nil {
				return err
			}
		}
		return nil
	})()
	require.Equal(t, 3000, count)
	require.True(t, m.TryLock())
	require.False(t, m.TryLock())
}

// Who waits is served in order of arrival, and one that gave up is left out
// (tornado.test.locks_test: SemaphoreTest, ConditionTest test_garbage_collection).
func TestOrderOfArrival(t *testing.T) {
	l := startLoop(t)
	var m iosync.Mutex
	require.True(t, m.TryLock())
	var order []int
	var g iosync.Group
	for i := range 20 {
		require.NoError(t, g.Go(l, func(task *ioloop.Task) error {
			wait, cancel := task, func() {}
			if i%2 == 1 {
				var view *ioloop.Task
				view, end := task.WithTimeout(time.Millisecond)
				wait, cancel = view, end
			}
			defer cancel()
			if err := m.Lock(wait); err != nil {
				if !errors.Is(err, context.DeadlineExceeded) {
					return err
				}
				order = append(order, -1)
				return nil
			}
			order = append(order, i)
			return m.Unlock()
		}))
		for range 3 { // it is in line before the next one begins
			turn, err := iosync.Start(l, func(*ioloop.Task) (int, error) { return 0, nil })
			require.NoError(t, err)
			_, err = turn.Wait(context.Background())
			require.NoError(t, err)
		}
	}
	f, err := iosync.Start(l, func(task *ioloop.Task) (int, error) {
		for len(order) < 10 { // the others have given up
			if err := task.Sleep(time.Millisecond); err != nil {
				return 0, err
			}
		}
		return 0, m.Unlock()
	})
	require.NoError(t, err)
	_, err = f.Wait(context.Background())
	require.NoError(t, err)
	require.NoError(t, g.Wait(context.Background()))
	require.Equal(t, []int{0, 2, 4, 6, 8, 10, 12, 14, 16, 18}, order[10:])
	require.True(t, m.TryLock(), "nothing was lost on the way")
}

// A wait that ends by its context takes nothing, whenever that comes.
func TestCancelTakesNothing(t *testing.T) {
	s, err := iosync.NewSemaphore(1)
	require.NoError(t, err)
	workers(t, 12, func(ctx context.Context, i int) error {
		for n := range 300 {
			var wait context.Context
			var cancel func()
			if task, ok := ctx.(*ioloop.Task); ok {
				wait, cancel = task.WithTimeout(time.Duration(n%7) * time.Microsecond)
			} else {
				wait, cancel = context.WithTimeout(ctx, time.Duration(n%7)*time.Microsecond)
			}
			err := s.Acquire(wait)
			if err == nil {
				pass(ctx)
				err = s.Release()
			} else if errors.Is(err, context.DeadlineExceeded) {
				err = nil
			}
			cancel()
			if err != nil {
				return err
			}
		}
		return nil
	})()
	require.True(t, s.TryAcquire())
}

// A task that is unwound while it is served passes on what it was given.
func TestStopLosesNothing(t *testing.T) {
	for range 200 {
		l, err := ioloop.New(ioloop.Config{})
		require.NoError(t, err)
		done := make(chan error, 1)
		go func() { done <- l.Run(context.Background()) }()
		var m iosync.Mutex
		require.True(t, m.TryLock())
		for range 3 {
			require.NoError(t, l.Go(func(task *ioloop.Task) {
				for m.Lock(task) != nil { // told, then unwound
				}
				_ = m.Unlock()
			}))
		}
		var g sync.WaitGroup
		g.Go(func() { _ = l.Close() })
		g.Go(func() { _ = m.Unlock() })
		g.Wait()
		if err := <-done; err != nil {
			require.ErrorIs(t, err, ioloop.ErrClosed) // before it ran
		}
		require.True(t, m.TryLock())
	}
}

func TestEvent(t *testing.T) {
	var e iosync.Event
	var woken atomic.Int32
	join := workers(t, 30, func(ctx context.Context, _ int) error {
		defer woken.Add(1)
		return e.Wait(ctx)
	})
	require.False(t, e.IsSet())
	require.Zero(t, woken.Load())
	e.Set()
	join()
	require.NoError(t, e.Wait(context.Background()))
	e.Clear()
	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	require.ErrorIs(t, e.Wait(ctx), context.DeadlineExceeded)
}

func TestFuture(t *testing.T) {
	var f iosync.Future[int]
	join := workers(t, 9, func(ctx context.Context, _ int) error {
		if v, err := f.Wait(ctx); v != 7 || err != nil {
			return fmt.Errorf("%d %w", v, err)
		}
		return nil
	})
	require.False(t, f.Resolved())
	require.True(t, f.Resolve(7, nil))
	require.True(t, f.Resolved())
	require.False(t, f.Resolve(8, errors.New("late")))
	join()
	l := startLoop(t)
	bad := errors.New("bad")
	good, err := iosync.Start(l, func(task *ioloop.Task) (int, error) { return 1, task.Sleep(time.Millisecond) })
	require.NoError(t, err)
	failed, err := iosync.Start(l, func(*ioloop.Task) (int, error) { return 0, bad })
	require.NoError(t, err)
	values, err := iosync.All(context.Background(), &f, good)
	require.NoError(t, err)
	require.Equal(t, []int{7, 1}, values)
	_, err = iosync.All(context.Background(), good, failed)
	require.ErrorIs(t, err, bad)
	_, err = iosync.Start[int](nil, nil)
	require.ErrorIs(t, err, iosync.ErrInvalid)
	gone, err := iosync.Start(l, func(*ioloop.Task) (int, error) { runtime.Goexit(); return 0, nil })
	require.NoError(t, err)
	_, err = gone.Wait(context.Background())
	require.ErrorIs(t, err, iosync.ErrNoReturn)
}

// The first error cancels the others and is what Wait returns.
func TestGroup(t *testing.T) {
	l := startLoop(t)
	bad := errors.New("bad")
	var g iosync.Group
	require.NoError(t, g.Wait(context.Background()), "of nothing")
	var errs [2]error
	require.NoError(t, g.Go(l, func(task *ioloop.Task) error { errs[0] = task.Sleep(time.Hour); return errs[0] }))
	require.NoError(t, g.GoBlocking(func(ctx context.Context) error { <-ctx.Done(); errs[1] = ctx.Err(); return errs[1] }))
	require.NoError(t, g.Go(l, func(task *ioloop.Task) error { _ = task.Yield(); return bad }))
	require.ErrorIs(t, g.Wait(context.Background()), bad)
	require.ErrorIs(t, errs[0], context.Canceled)
	require.ErrorIs(t, errs[1], context.Canceled)
	require.ErrorIs(t, g.Go(nil, nil), iosync.ErrInvalid)
	require.ErrorIs(t, g.GoBlocking(nil), iosync.ErrInvalid)
}

// Cancel ends those that run and those that are started later.
func TestGroupCancel(t *testing.T) {
	l := startLoop(t)
	var g iosync.Group
	sleep := func(task *ioloop.Task) error { return task.Sleep(time.Hour) }
	require.NoError(t, g.Go(l, sleep))
	require.NoError(t, g.GoBlocking(func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }))
	g.Cancel()
	require.NoError(t, g.Go(l, sleep))
	require.ErrorIs(t, g.Wait(context.Background()), context.Canceled)
}

// As tornado.test.queues_test has it: bounded, in order, and what is in it outlives Close.
func TestQueue(t *testing.T) {
	_, err := iosync.NewQueue[int](0)
	require.ErrorIs(t, err, iosync.ErrInvalid)
	q, err := iosync.NewQueue[int](2)
	require.NoError(t, err)
	l := startLoop(t)
	const n = 1000
	producer, err := iosync.Start(l, func(task *ioloop.Task) (int, error) {
		for i := range n {
			if err := q.Put(task, i); err != nil {
				return 0, err
			}
			if q.Len() > 2 {
				return 0, errors.New("too many")
			}
		}
		return 0, nil
	})
	require.NoError(t, err)
	for i := range n {
		v, err := q.Get(context.Background())
		require.NoError(t, err)
		require.Equal(t, i, v)
	}
	_, err = producer.Wait(context.Background())
	require.NoError(t, err)
	_, ok := q.TryGet()
	require.False(t, ok)
	require.True(t, q.TryPut(1))
	require.True(t, q.TryPut(2))
	require.False(t, q.TryPut(3))
	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	require.ErrorIs(t, q.Put(ctx, 3), context.DeadlineExceeded)
	waiting, err := iosync.Start(l, func(task *ioloop.Task) (int, error) { return 0, q.Put(task, 3) })
	require.NoError(t, err)
	q.Close()
	q.Close()
	_, err = waiting.Wait(context.Background())
	require.ErrorIs(t, err, fs.ErrClosed)
	for want := 1; want <= 2; want++ {
		v, err := q.Get(context.Background())
		require.NoError(t, err)
		require.Equal(t, want, v)
	}
	_, err = q.Get(context.Background())
	require.ErrorIs(t, err, iosync.ErrClosed)
	require.False(t, q.TryPut(1))
}

func TestQueueOfMany(t *testing.T) {
	q, err := iosync.NewQueue[int](3)
	require.NoError(t, err)
	var mu sync.Mutex
	var got []int
	workers(t, 36, func(ctx context.Context, i int) error {
		for n := range 50 {
			if i%2 == 0 {
				if err := q.Put(ctx, i*100+n); err != nil {
					return err
				}
				continue
			}
			v, err := q.Get(ctx)
			if err != nil {
				return err
			}
			mu.Lock()
			got = append(got, v)
			mu.Unlock()
		}
		return nil
	})()
	slices.Sort(got)
	require.Len(t, slices.Compact(got), 18*50)
}

// In a callback a wait is refused, not a frozen loop.
func TestWaitInCallback(t *testing.T) {
	l := startLoop(t)
	var m iosync.Mutex
	require.True(t, m.TryLock())
	refused := make(chan error, 1)
	require.NoError(t, l.Post(func() { refused <- m.Lock(context.Background()) }))
	require.ErrorIs(t, <-refused, ioloop.ErrOnLoop)
	//lint:ignore SA1012 the misuse is the point
	require.ErrorIs(t, m.Lock(nil), fs.ErrInvalid) //nolint:staticcheck
	require.NoError(t, m.Unlock())
	require.True(t, m.TryLock())
}

// Goroutines in a bubble may wait for tasks of a loop outside, and one bubble leaves
// nothing behind that another must not touch.
func TestInBubbles(t *testing.T) {
	l := startLoop(t)
	for range 3 {
		synctest.Test(t, func(t *testing.T) {
			f, err := iosync.Start(l, func(task *ioloop.Task) (int, error) { return 5, task.Sleep(time.Millisecond) })
			require.NoError(t, err)
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			v, err := f.Wait(ctx)
			require.NoError(t, err)
			require.Equal(t, 5, v)
		})
	}
}

func Example() {
	l, err := ioloop.New(ioloop.Config{})
	if err != nil {
		panic(err)
	}
	defer l.Close()
	squares, _ := iosync.NewQueue[int](1)
	var g iosync.Group
	_ = g.Go(l, func(t *ioloop.Task) error {
		defer squares.Close()
		for i := range 3 {
			if err := squares.Put(t, i*i); err != nil {
				return err
			}
		}
		return nil
	})
	_ = g.Go(l, func(t *ioloop.Task) error {
		for {
			n, err := squares.Get(t)
			if errors.Is(err, iosync.ErrClosed) {
				l.Stop()
				return nil
			}
			fmt.Println(n)
		}
	})
	_ = l.Run(context.Background())
	// Output:
	// 0
	// 1
	// 4
}
