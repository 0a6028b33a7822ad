//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package poller_test

import (
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/eddyloop/eddy/poller"
	"golang.org/x/sys/unix"
)

func newBench(b *testing.B) poller.Poller {
	p, err := poller.New()
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { p.Close() })
	b.ReportAllocs()
	return p
}

func benchPipe(b *testing.B) (rd, wr int) {
	var fds [2]int
	if err := unix.Pipe(fds[:]); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		unix.Close(fds[0])
		unix.Close(fds[1])
	})
	return fds[0], fds[1]
}

func BenchmarkWaitNothing(b *testing.B) {
	p := newBench(b)
	events := make([]poller.Event, 64)
	for b.Loop() {
		p.Wait(events, 0)
	}
}

// BenchmarkDispatch has a number of descriptors ready in every wait. Divided
// by the number, the difference is the cost of one event.
func BenchmarkDispatch(b *testing.B) {
	for name, count := range map[string]int{"1": 1, "64": 64} {
		b.Run(name, func(b *testing.B) {
			p := newBench(b)
			for i := range count {
				_, wr := benchPipe(b)
				if err := p.Add(wr, poller.Token(i), poller.Writable, poller.Level); err != nil {
					b.Fatal(err)
				}
			}
			events := make([]poller.Event, count)
			for b.Loop() {
				if n, err := p.Wait(events, 0); n != count {
					b.Fatal(n, err)
				}
			}
		})
	}
}

func BenchmarkAddRemove(b *testing.B) {
	p := newBench(b)
	rd, _ := benchPipe(b)
	for b.Loop() {
		p.Add(rd, 1, poller.Readable, poller.Level)
		p.Remove(rd)
	}
}

func BenchmarkModify(b *testing.B) {
	p := newBench(b)
	rd, _ := benchPipe(b)
	if err := p.Add(rd, 1, poller.Readable, poller.Level); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		p.Modify(rd, 1, poller.Readable, poller.Level)
	}
}

// BenchmarkWakeCoalesced is a wake-up when one is pending already.
func BenchmarkWakeCoalesced(b *testing.B) {
	p := newBench(b)
	for b.Loop() {
		p.Wake()
	}
}

// BenchmarkWakeAndWait is a wake-up and the wait that consumes it.
func BenchmarkWakeAndWait(b *testing.B) {
	p := newBench(b)
	events := make([]poller.Event, 64)
	for b.Loop() {
		p.Wake()
		p.Wait(events, 0)
	}
}

// BenchmarkWakeOther wakes a goroutine that sleeps, and waits for its answer.
func BenchmarkWakeOther(b *testing.B) {
	p := newBench(b)
	var asked, answered atomic.Int64
	done := make(chan struct{})
	go func() {
		defer close(done)
		events := make([]poller.Event, 64)
		for {
			if _, err := p.Wait(events, -1); err != nil {
				return
			}
			answered.Store(asked.Load())
		}
	}()
	for b.Loop() {
		n := asked.Add(1)
		p.Wake()
		for answered.Load() < n {
			runtime.Gosched()
		}
	}
	p.Close()
	<-done
}

// BenchmarkRegistrationMemory reports what a registration occupies.
func BenchmarkRegistrationMemory(b *testing.B) {
	const count = 4000
	p := newBench(b)
	fds := make([]int, 0, count)
	for range count / 2 {
		rd, wr := benchPipe(b)
		fds = append(fds, rd, wr)
	}
	var before, after runtime.MemStats
	for b.Loop() {
		runtime.GC()
		runtime.ReadMemStats(&before)
		for i, fd := range fds {
			if err := p.Add(fd, poller.Token(i), poller.Readable, poller.Level); err != nil {
				b.Fatal(err)
			}
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.StopTimer()
		p.Close()
		p = newBench(b)
		b.StartTimer()
	}
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/count, "B/fd")
}
