//go:build unix

package ioloop_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/eddyloop/eddy/ioloop"
	"github.com/stretchr/testify/require"
)

// A goroutine in a bubble waits for a loop outside, with a pooled Waiter.
func TestBubbleWaitsForLoopOutside(t *testing.T) {
	l := startNew(t)
	var w ioloop.Waiter // used by one bubble after the other, and outside
	wait := func(t *testing.T) {
		ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
		defer cancel()
		for range 3 {
			require.NoError(t, w.Begin(ctx))
			l.AfterFunc(time.Millisecond, func() { l.Kit().WakeWaiter(&w) })
			require.NoError(t, w.Wait())
		}
	}
	synctest.Test(t, wait)
	wait(t)
	synctest.Test(t, wait)
}

// A context that ends in a bubble ends the wait.
func TestBubbleCancels(t *testing.T) {
	var w ioloop.Waiter
	for range 2 {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(context.Background())
			require.NoError(t, w.Begin(ctx))
			go cancel()
			require.ErrorIs(t, w.Wait(), context.Canceled)
		})
	}
}

// A loop and all that uses it live in a bubble. Its timers go by real time, as those of
// package net do, since a bubble's time stands still while the loop is in the kernel.
func TestLoopInBubble(t *testing.T) {
	for range 2 {
		synctest.Test(t, func(t *testing.T) {
			l, err := ioloop.New(ioloop.Config{})
			require.NoError(t, err)
			done := goRun(l, context.Background())
			slept := make(chan error, 1)
			require.NoError(t, l.Go(func(tk *ioloop.Task) { slept <- tk.Sleep(2 * time.Millisecond) }))
			require.NoError(t, <-slept)
			var o op
			l.AfterFunc(time.Millisecond, o.complete)
			require.NoError(t, o.wait(context.Background()))
			require.NoError(t, l.Close())
			require.NoError(t, <-done)
		})
	}
}
