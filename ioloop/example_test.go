//go:build unix

package ioloop_test

import (
	"context"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/poller"
)

// A task waits without holding the loop: the other one goes on meanwhile.
func Example() {
	loop, err := ioloop.New(ioloop.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer loop.Close()

	_ = loop.Go(func(t *ioloop.Task) {
		fmt.Println("first begins")
		_ = t.Sleep(10 * time.Millisecond)
		fmt.Println("first ends")
		loop.Stop()
	})
	_ = loop.Go(func(t *ioloop.Task) {
		fmt.Println("second begins and ends")
	})
	fmt.Println(loop.Run(context.Background()))
	// Output:
	// first begins
	// second begins and ends
	// first ends
	// <nil>
}

func ExampleLoop_AfterFunc() {
	loop, _ := ioloop.New(ioloop.Config{})
	defer loop.Close()

	loop.AfterFunc(2*time.Millisecond, func() {
		fmt.Println("time is up")
		loop.Stop()
	})
	late := loop.AfterFunc(time.Hour, func() { fmt.Println("never seen") })
	fmt.Println(late.Stop())
	_ = loop.Run(context.Background())
	// Output:
	// true
	// time is up
}

func ExampleOffload() {
	loop, _ := ioloop.New(ioloop.Config{})
	defer loop.Close()

	_ = ioloop.Offload(loop, os.Getwd, func(dir string, err error) {
		fmt.Println(dir != "", err)
		loop.Stop()
	})
	_ = loop.Run(context.Background())
	// Output: true <nil>
}

func ExampleAwait() {
	loop, _ := ioloop.New(ioloop.Config{})
	defer loop.Close()

	_ = loop.Go(func(t *ioloop.Task) {
		dir, err := ioloop.Await(t, os.Getwd) // may block; the loop goes on
		fmt.Println(dir != "", err)
		loop.Stop()
	})
	_ = loop.Run(context.Background())
	// Output: true <nil>
}

func ExampleTask_WithTimeout() {
	loop, _ := ioloop.New(ioloop.Config{})
	defer loop.Close()

	_ = loop.Go(func(t *ioloop.Task) {
		short, cancel := t.WithTimeout(time.Millisecond)
		defer cancel()
		fmt.Println(short.Sleep(time.Hour))
		fmt.Println(t.Err()) // the task itself goes on
		loop.Stop()
	})
	_ = loop.Run(context.Background())
	// Output:
	// context deadline exceeded
	// <nil>
}

func ExampleLoop_Handle() {
	loop, _ := ioloop.New(ioloop.Config{})
	defer loop.Close()

	var pipe [2]int
	if err := syscall.Pipe(pipe[:]); err != nil {
		fmt.Println(err)
		return
	}
	defer syscall.Close(pipe[0])
	defer syscall.Close(pipe[1])

	var registration ioloop.Registration
	registration, err := loop.Handle(pipe[0], poller.Readable, ioloop.HandlerFunc(
		func(ready poller.Interest, hints poller.Hint) {
			n, _ := syscall.Read(pipe[0], loop.Kit().Scratch())
			fmt.Printf("%s\n", loop.Kit().Scratch()[:n])
			_ = loop.Remove(registration)
			loop.Stop()
		}))
	if err != nil {
		fmt.Println(err)
		return
	}
	_, _ = syscall.Write(pipe[1], []byte("hello"))
	_ = loop.Run(context.Background())
	// Output: hello
}
