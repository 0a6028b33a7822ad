package ioloop_test

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/eddyloop/eddy/ioloop"
	"github.com/stretchr/testify/require"
)

// afterFuncer is what package context looks for in the context of a task.
type afterFuncer interface{ AfterFunc(fn func()) func() bool }

// Whatever goroutines ask of a task while it ends, each is told of the end once. Tasks
// begun by RunJob and by Go end in different ways.
func TestEndIsToldToAllWhoAsk(t *testing.T) {
	l := startNew(t)
	asked := make(chan struct{}, 64) // bounds how many ask at the same time
	var askers, afters sync.WaitGroup
	var wrong atomic.Int64
	ask := func(tk *ioloop.Task, how int) {
		defer askers.Done()
		defer func() { <-asked }()
		switch how {
		case 0:
			<-tk.Done()
		case 1:
			ctx, cancel := context.WithCancel(tk.Detach())
			<-ctx.Done()
			cancel()
		case 2:
			var calls atomic.Int64
			afters.Add(1)
			stop := tk.Detach().(afterFuncer).AfterFunc(func() {
				if calls.Add(1) == 1 {
					afters.Done()
				}
			})
			<-tk.Done()
			if stop() { // it was not called, and never is
				afters.Done()
				wrong.Add(1)
			}
		case 3:
			afters.Add(1)
			if tk.Detach().(afterFuncer).AfterFunc(afters.Done)() {
				afters.Done()
			}
			<-tk.Done()
		case 4:
			view, cancel := tk.WithTimeout(time.Hour)
			<-view.Done()
			cancel()
			if view.Err() != context.Canceled {
				wrong.Add(1)
			}
		case 5:
			view, cancel := tk.WithTimeout(time.Nanosecond)
			<-view.Done()
			cancel()
			<-tk.Done()
		case 6:
			tk.Cancel()
			<-tk.Done()
		}
		if tk.Err() != context.Canceled {
			wrong.Add(1)
		}
	}
	r := rand.New(rand.NewPCG(1, 2))
	for range scaled(20_000) {
		n, waits, later := r.IntN(4), r.IntN(4) == 0, r.IntN(2) == 0
		hows := make([]int, n)
		for i := range hows {
			hows[i] = r.IntN(7)
			asked <- struct{}{}
		}
		askers.Add(n)
		work := func(tk *ioloop.Task) {
			for _, how := range hows {
				go ask(tk, how)
			}
			if waits {
				_ = tk.Yield()
			}
		}
		if later {
			require.NoError(t, l.Go(work))
		} else {
			require.NoError(t, l.Post(func() { runJob(l, work, func() {}) }))
		}
	}
	over := make(chan struct{})
	go func() {
		askers.Wait()
		afters.Wait()
		close(over)
	}()
	receive(t, over)
	require.Zero(t, wrong.Load())
	on(t, l, func() {})
	require.Zero(t, l.Stats().Tasks)
}
