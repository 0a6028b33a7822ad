//go:build unix

package ioloop_test

import (
	"context"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/poller"
)

func BenchmarkPost(b *testing.B) {
	l := newLoop(b, ioloop.Config{})
	n := 0
	var next func()
	next = func() {
		if n++; n < b.N {
			_ = l.Post(next)
		} else {
			l.Stop()
		}
	}
	_ = l.Post(next)
	b.ReportAllocs()
	b.ResetTimer()
	run(b, l)
}

// Many are queued for one step.
func BenchmarkPostBatch(b *testing.B) {
	l := newLoop(b, ioloop.Config{})
	nop := func() {}
	n := 0
	var next func()
	next = func() {
		for range 100 {
			_ = l.Post(nop)
		}
		if n += 100; n < b.N {
			_ = l.Post(next)
		} else {
			l.Stop()
		}
	}
	_ = l.Post(next)
	b.ReportAllocs()
	b.ResetTimer()
	run(b, l)
}

// A goroutine posts to a loop that may be asleep, and waits for the call.
func BenchmarkPostFromGoroutine(b *testing.B) {
	l := startNew(b)
	called := make(chan struct{}, 1)
	fn := func() { called <- struct{}{} }
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		_ = l.Post(fn)
		<-called
	}
	b.StopTimer()
}

// A goroutine posts without waiting.
func BenchmarkPostFromGoroutineStream(b *testing.B) {
	l := startNew(b)
	n := 0
	fn := func() { n++ }
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		_ = l.Post(fn)
	}
	on(b, l, func() {})
	b.StopTimer()
}

// Two tasks wake each other in the same step: what is measured is the await.
func BenchmarkTaskSwitch(b *testing.B) {
	l := newLoop(b, ioloop.Config{})
	const tasks = 100 // resumed in each step, so that the turn itself does not count
	var waiters [tasks]ioloop.Waiter
	n := 0
	for i := range waiters {
		w := &waiters[i]
		_ = l.Go(func(t *ioloop.Task) {
			for w.Begin(t) == nil && w.Wait() == nil {
				n++
			}
		})
	}
	var wake runnerFunc
	wake = func() {
		for i := range waiters {
			l.Kit().WakeWaiter(&waiters[i])
		}
		if n < b.N {
			_ = l.Kit().Schedule(wake)
		} else {
			l.Stop()
		}
	}
	_ = l.Kit().Schedule(wake)
	b.ReportAllocs()
	b.ResetTimer()
	run(b, l)
}

// A goroutine is woken by the loop and has it wake itself again.
func BenchmarkGoroutineSwitch(b *testing.B) {
	l := startNew(b)
	var w ioloop.Waiter
	wake := runnerFunc(func() { l.Kit().WakeWaiter(&w) })
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		_ = w.Begin(context.Background())
		_ = l.Kit().Schedule(wake)
		_ = w.Wait()
	}
	b.StopTimer()
}

func BenchmarkTask(b *testing.B) {
	l := newLoop(b, ioloop.Config{})
	n := 0
	task := func(*ioloop.Task) { n++ }
	var next runnerFunc
	next = func() {
		for range 100 {
			_ = l.Go(task)
		}
		if n < b.N {
			_ = l.Kit().Schedule(next)
		} else {
			l.Stop()
		}
	}
	_ = l.Kit().Schedule(next)
	b.ReportAllocs()
	b.ResetTimer()
	run(b, l)
}

// What a suspended task costs.
func BenchmarkTaskMemory(b *testing.B) {
	const tasks = 10_000
	for range b.N {
		l := newLoop(b, ioloop.Config{})
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		for range tasks {
			_ = l.Go(func(t *ioloop.Task) { _ = new(op).wait(t) })
		}
		_ = l.Post(func() {
			runtime.GC()
			runtime.ReadMemStats(&after)
			l.Stop()
		})
		run(b, l)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/tasks, "heap-B/task")
		b.ReportMetric(float64(after.StackInuse-before.StackInuse)/tasks, "stack-B/task")
	}
}

func BenchmarkTimerSetStop(b *testing.B) {
	l := newLoop(b, ioloop.Config{})
	nop := func() {}
	b.ReportAllocs()
	for range b.N {
		l.AfterFunc(time.Hour, nop).Stop()
	}
}

// One of a million timers is moved.
func BenchmarkTimerResetAmongMillion(b *testing.B) {
	l := newLoop(b, ioloop.Config{Clock: new(ioloop.ManualClock)})
	timers := make([]*ioloop.Timer, 1_000_000)
	for i := range timers {
		timers[i] = l.AfterFunc(time.Hour+time.Duration(i*7919%len(timers)), func() {})
	}
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		timers[i*7919%len(timers)].Reset(time.Hour + time.Duration(i*104729%len(timers)))
	}
	b.StopTimer()
}

// A million timers are set, and fire.
func BenchmarkTimerMillion(b *testing.B) {
	clock := new(ioloop.ManualClock)
	l := newLoop(b, ioloop.Config{Clock: clock})
	fired := 0
	fire := func() { fired++ }
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		for i := range 1_000_000 {
			l.AfterFunc(time.Duration(i*7919%1_000_000), fire)
		}
		clock.Advance(time.Second)
		for l.Stats().Timers > 0 {
			turn(b, l)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(fired), "ns/timer")
}

// A byte goes through a pipe that is watched: two system calls of the handler, and
// a turn.
func BenchmarkDispatch(b *testing.B) {
	l := newLoop(b, ioloop.Config{})
	r, w := pipe(b)
	buf := []byte{'x'}
	n := 0
	handle(b, l, r, poller.Readable, ioloop.HandlerFunc(func(poller.Interest, poller.Hint) {
		_, _ = syscall.Read(r, buf)
		if n++; n < b.N {
			_, _ = syscall.Write(w, buf)
		} else {
			l.Stop()
		}
	}))
	_, _ = syscall.Write(w, buf)
	b.ReportAllocs()
	b.ResetTimer()
	run(b, l)
}

// A hundred descriptors are always ready: what a handler costs without a turn.
func BenchmarkDispatchBatch(b *testing.B) {
	l := newLoop(b, ioloop.Config{})
	n := 0
	for range 100 {
		r, w := pipe(b)
		write(b, w, "x")
		handle(b, l, r, poller.Readable, ioloop.HandlerFunc(func(poller.Interest, poller.Hint) {
			if n++; n == b.N {
				l.Stop()
			}
		}))
	}
	b.ReportAllocs()
	b.ResetTimer()
	run(b, l)
}
