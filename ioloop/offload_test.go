package ioloop_test

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/eddyloop/eddy/ioloop"
	"github.com/stretchr/testify/require"
)

var errWork = errors.New("work failed")

// outcomes are all ways in which work can end.
var outcomes = map[string]struct {
	work  func() (int, error)
	value int
	err   error
	panic bool
}{
	"value":  {func() (int, error) { return 7, nil }, 7, nil, false},
	"error":  {func() (int, error) { return 8, errWork }, 8, errWork, false},
	"panic":  {func() (int, error) { panic(errWork) }, 0, errWork, true},
	"goexit": {func() (int, error) { runtime.Goexit(); return 9, nil }, 0, ioloop.ErrGoexit, false},
	"panic in goexit": {func() (int, error) {
		defer func() { panic(errWork) }()
		runtime.Goexit()
		return 9, nil
	}, 0, errWork, true},
}

func TestOffload(t *testing.T) {
	for name, c := range outcomes {
		t.Run(name, func(t *testing.T) {
			l := newLoop(t, ioloop.Config{Logger: quiet})
			var value int
			var err error
			require.NoError(t, l.Post(func() {
				_ = ioloop.Offload(l, c.work, func(v int, e error) {
					value, err = v, e
					l.Stop()
				})
			}))
			run(t, l)
			require.Equal(t, c.value, value)
			require.ErrorIs(t, err, c.err)
			var panicked *ioloop.PanicError
			require.Equal(t, c.panic, errors.As(err, &panicked))
		})
	}
}

func TestOffloadRefused(t *testing.T) {
	l := newLoop(t, ioloop.Config{})
	work := func() (int, error) { t.Error("worked"); return 0, nil }
	done := func(int, error) { t.Error("done") }
	require.ErrorIs(t, ioloop.Offload(l, nil, done), ioloop.ErrInvalid)
	require.ErrorIs(t, ioloop.Offload(l, work, nil), ioloop.ErrInvalid)
	require.NoError(t, l.Close())
	require.ErrorIs(t, ioloop.Offload(l, work, done), ioloop.ErrClosed)
}

func TestOffloadCloseDuringWork(t *testing.T) {
	l := newLoop(t, ioloop.Config{})
	release := make(chan struct{})
	returned := make(chan struct{})
	require.NoError(t, ioloop.Offload(l, func() (int, error) {
		defer close(returned)
		<-release
		return 0, nil
	}, func(int, error) { t.Error("done") }))
	require.NoError(t, l.Close())
	close(release)
	receive(t, returned)
}

func TestAwait(t *testing.T) {
	for name, c := range outcomes {
		t.Run(name, func(t *testing.T) {
			l := newLoop(t, ioloop.Config{Logger: quiet})
			start(t, l)
			task(t, l, func(tk *ioloop.Task) {
				value, err := ioloop.Await(tk, c.work)
				require.Equal(t, c.value, value)
				require.ErrorIs(t, err, c.err)
				var panicked *ioloop.PanicError
				require.Equal(t, c.panic, errors.As(err, &panicked))
			})
		})
	}
}

func TestAwaitLetsLoopGoOn(t *testing.T) {
	l := startNew(t)
	release := make(chan struct{})
	task(t, l, func(tk *ioloop.Task) {
		require.NoError(t, l.Post(func() { close(release) }))
		_, err := ioloop.Await(tk, func() (int, error) { <-release; return 0, nil })
		require.NoError(t, err)
		_, err = ioloop.Await[int](tk, nil)
		require.ErrorIs(t, err, ioloop.ErrInvalid)
	})
}

// Work runs before the loop sleeps, even if they share a processor.
func TestWorkBeginsAtOnce(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	for name, begin := range map[string]func(tk *ioloop.Task, work func() (int, error)){
		"Await": func(tk *ioloop.Task, work func() (int, error)) { _, _ = ioloop.Await(tk, work) },
		"Offload": func(tk *ioloop.Task, work func() (int, error)) {
			var w ioloop.Waiter
			_ = w.Begin(tk)
			_ = ioloop.Offload(tk.Loop(), work, func(int, error) { w.Wake() })
			_ = w.Wait()
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := startNew(t)
			var early atomic.Int64
			task(t, l, func(tk *ioloop.Task) {
				for range 200 {
					begin(tk, func() (int, error) {
						if !l.Asleep() {
							early.Add(1)
						}
						return 0, nil
					})
				}
			})
			require.Greater(t, early.Load(), int64(100), "the scheduler may decide otherwise at times")
		})
	}
}

func TestAwaitCancelledDuringWork(t *testing.T) {
	l := startNew(t)
	release := make(chan struct{})
	defer close(release)
	task(t, l, func(tk *ioloop.Task) {
		view, cancel := tk.WithTimeout(time.Hour)
		require.NoError(t, l.Post(cancel))
		value, err := ioloop.Await(view, func() (int, error) { <-release; return 1, nil })
		require.ErrorIs(t, err, context.Canceled)
		require.Zero(t, value)
		value, err = ioloop.Await(tk, func() (int, error) { return 2, nil })
		require.NoError(t, err)
		require.Equal(t, 2, value)
	})
}

func TestAwaitStopDuringWork(t *testing.T) {
	l := newLoop(t, ioloop.Config{})
	release := make(chan struct{})
	defer close(release)
	var err error
	require.NoError(t, l.Go(func(tk *ioloop.Task) {
		_ = l.Post(l.Stop)
		_, err = ioloop.Await(tk, func() (int, error) { <-release; return 1, nil })
	}))
	run(t, l)
	require.ErrorIs(t, err, ioloop.ErrTaskStopped)
}

func TestOffloadIsBounded(t *testing.T) {
	l := newLoop(t, ioloop.Config{MaxOffload: 2, Logger: quiet})
	start(t, l)
	var running, most atomic.Int64
	var wg sync.WaitGroup
	release := make(chan struct{})
	for i := range 20 {
		wg.Add(1)
		require.NoError(t, ioloop.Offload(l, func() (int, error) {
			defer running.Add(-1)
			now := running.Add(1)
			for m := most.Load(); now > m && !most.CompareAndSwap(m, now); m = most.Load() {
			}
			<-release
			time.Sleep(time.Millisecond)
			if i%5 == 0 {
				runtime.Goexit()
			}
			return i, nil
		}, func(int, error) { wg.Done() }))
	}
	until(t, func() bool { return running.Load() >= 2 })
	close(release)
	all := make(chan struct{})
	go func() { wg.Wait(); close(all) }()
	receive(t, all)
	require.EqualValues(t, 2, most.Load())
}

type closing chan struct{}

func (c closing) Close() error { close(c); return nil }

// TestResultsNobodyTakesAreClosed: a connection that was dialled for a task which
// does not wait any more, or for a loop that has closed.
func TestResultsNobodyTakesAreClosed(t *testing.T) {
	l := newLoop(t, ioloop.Config{})
	start(t, l)
	awaited, offloaded := make(closing), make(closing)
	begun, release := make(chan struct{}), make(chan struct{})
	task(t, l, func(task *ioloop.Task) {
		view, cancel := task.WithTimeout(time.Hour)
		go func() { <-begun; cancel() }()
		_, err := ioloop.Await(view, func() (closing, error) { close(begun); <-release; return awaited, nil })
		require.ErrorIs(t, err, context.Canceled)
	})
	require.NoError(t, ioloop.Offload(l, func() (closing, error) { <-release; return offloaded, nil },
		func(closing, error) { t.Error("called") }))
	require.NoError(t, l.Close())
	receive(t, l.Done())
	close(release)
	receive(t, awaited)
	receive(t, offloaded)
}
