//go:build unix || windows

package iosync_test

import (
	"context"
	"fmt"
	"time"

	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iosync"
)

// runTask runs a function as a task of a new loop.
func runTask(fn func(t *ioloop.Task) error) {
	loop, err := ioloop.New(ioloop.Config{})
	if err != nil {
		panic(err)
	}
	defer loop.Close()
	if err := loop.RunTask(context.Background(), fn); err != nil {
		fmt.Println(err)
	}
}

// A task starts others and waits for all of them.
func ExampleGroup() {
	runTask(func(t *ioloop.Task) error {
		var group iosync.Group
		sums := make([]int, 3)
		for i := range sums {
			_ = group.Go(t.Loop(), func(t *ioloop.Task) error {
				sums[i] = i * i
				return t.Sleep(time.Millisecond)
			})
		}
		err := group.Wait(t)
		fmt.Println(sums, err)
		return nil
	})
	// Output:
	// [0 1 4] <nil>
}

// Results that come later are waited for in the order in which they are wanted.
func ExampleStart() {
	runTask(func(t *ioloop.Task) error {
		slow, err := iosync.Start(t.Loop(), func(t *ioloop.Task) (string, error) {
			return "slow", t.Sleep(2 * time.Millisecond)
		})
		if err != nil {
			return err
		}
		quick, err := iosync.Start(t.Loop(), func(*ioloop.Task) (string, error) { return "quick", nil })
		if err != nil {
			return err
		}
		both, err := iosync.All(t, slow, quick)
		fmt.Println(both, err)
		return nil
	})
	// Output:
	// [slow quick] <nil>
}

// A task gives work to another; the queue makes it wait while that is behind.
func ExampleQueue() {
	runTask(func(t *ioloop.Task) error {
		queue, err := iosync.NewQueue[int](2)
		if err != nil {
			return err
		}
		_ = t.Loop().Go(func(t *ioloop.Task) {
			for i := range 4 {
				if queue.Put(t, i) != nil {
					return
				}
			}
			queue.Close()
		})
		for {
			i, err := queue.Get(t)
			if err != nil {
				fmt.Println(err)
				return nil
			}
			fmt.Println(i)
		}
	})
	// Output:
	// 0
	// 1
	// 2
	// 3
	// iosync: queue file already closed
}

// A timed wait is one with a context that has a limit.
func ExampleEvent_Wait() {
	runTask(func(t *ioloop.Task) error {
		var ready iosync.Event
		limited, cancel := t.WithTimeout(time.Millisecond)
		defer cancel()
		fmt.Println(ready.Wait(limited))
		ready.Set()
		fmt.Println(ready.Wait(t))
		return nil
	})
	// Output:
	// context deadline exceeded
	// <nil>
}

// No more than two tasks at a time ask a server that bears no more.
func ExampleSemaphore() {
	runTask(func(t *ioloop.Task) error {
		limit, err := iosync.NewSemaphore(2)
		if err != nil {
			return err
		}
		var group iosync.Group
		at, most := 0, 0
		for range 10 {
			_ = group.Go(t.Loop(), func(t *ioloop.Task) error {
				if err := limit.Acquire(t); err != nil {
					return err
				}
				at++
				most = max(most, at)
				err := t.Sleep(time.Millisecond)
				at--
				_ = limit.Release()
				return err
			})
		}
		err = group.Wait(t)
		fmt.Println(most, err)
		return nil
	})
	// Output:
	// 2 <nil>
}
