package ioloop

import (
	"bytes"
	"log/slog"
	"runtime"
	"sync/atomic"
	"time"
)

// watchdog reports callbacks that hold the loop too long. The loop counts its
// callbacks, and a goroutine looks whether the count has moved.
type watchdog struct {
	limit time.Duration // 0: off

	calls atomic.Uint64             // odd while a callback runs
	task  atomic.Pointer[coroutine] // that runs, nil: none
}

// enter notes that a callback begins.
func (w *watchdog) enter() {
	if w.limit > 0 {
		w.calls.Add(1 + w.calls.Load()&1) // to the next odd number
	}
}

// leave notes that the callback, if any, has ended.
func (w *watchdog) leave() {
	if w.limit > 0 {
		w.calls.Add(w.calls.Load() & 1) // to the next even number
	}
}

// switchTo notes whose stack is the callback's: a task's has its own.
func (w *watchdog) switchTo(co *coroutine) {
	if w.limit > 0 && (co == nil || co.goroutine != nil) {
		w.task.Store(co)
	}
}

// introduce is switchTo for a task that has just begun, called by itself.
func (w *watchdog) introduce(co *coroutine) {
	if w.limit > 0 {
		co.goroutine = goroutineHeader()
		w.task.Store(co)
	}
}

// watch starts the watching goroutine for the goroutine that calls, and
// returns what ends it.
func (w *watchdog) watch(l *Loop) (disarm func()) {
	if w.limit <= 0 {
		return func() {}
	}
	header := goroutineHeader()
	stop := make(chan struct{})
	go func() {
		ticker := time.NewTicker(max(w.limit/4, time.Millisecond))
		defer ticker.Stop()
		var seen, reported uint64
		var since time.Time
		for {
			select {
			case <-stop:
				return
			case <-ticker.C:
			}
			calls := w.calls.Load()
			if calls != seen {
				seen, since = calls, time.Now()
				continue
			}
			if calls&1 == 1 && calls != reported && time.Since(since) >= w.limit {
				reported = calls
				l.report(slog.LevelWarn, "callback holds the loop",
					slog.Duration("longer_than", w.limit),
					slog.String("stack", w.stack(header, calls)))
			}
		}
	}()
	return func() { close(stop) }
}

// stack returns the stack of the callback that has the given number, or nothing
// if it has just ended.
func (w *watchdog) stack(header []byte, number uint64) string {
	if co := w.task.Load(); co != nil {
		header = co.goroutine
	}
	all := allStacks()
	if w.calls.Load() != number {
		return ""
	}
	for stack := range bytes.SplitSeq(all, []byte("\n\n")) {
		if bytes.HasPrefix(stack, header) {
			return string(stack)
		}
	}
	return ""
}

// goroutineHeader returns the start of the caller's stack trace up to its state,
// which is "goroutine N ".
func goroutineHeader() []byte {
	buf := make([]byte, 64)
	buf = buf[:runtime.Stack(buf, false)]
	return buf[:bytes.IndexByte(buf, '[')]
}

// allStacks returns the stacks of all goroutines, as far as there is sense in it.
func allStacks() []byte {
	for size := 1 << 20; ; size *= 4 {
		buf := make([]byte, size)
		if n := runtime.Stack(buf, true); n < size || size >= 64<<20 {
			return buf[:n]
		}
	}
}
