package ioloop

import (
	"bytes"
	"log/slog"
	"runtime/pprof"
	"strings"
	"sync"
	"time"
)

// watchdog reports a turn that takes too long, whether one callback or task
// holds the loop or many short ones do. It looks now and then whether turns come to
// their end; that costs the loop nothing.
//
// The stack is found in the profile of all goroutines. Other than runtime.Stack
// for all of them, it does not stop the world while it is made, but twice for a
// moment, however many there are. The loop's goroutine and its coroutines are told
// by the loop's number, which stands in their stacks.
type watchdog struct {
	limit time.Duration // negative: off

	mu       sync.Mutex
	timer    *time.Timer // nil: nothing is watched
	turns    uint64      // that had ended at the last look
	since    time.Time   // of the first look that saw as many
	reported bool
}

// watch begins to watch the goroutine that runs l, until the returned function is
// called.
func (w *watchdog) watch(l *Loop) (end func()) {
	if w.limit < 0 {
		return func() {}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.turns, w.since, w.reported = l.counters.published.turns.Load(), time.Now(), false
	w.timer = time.AfterFunc(w.interval(), func() { w.look(l) })
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.timer.Stop()
		w.timer = nil
	}
}

func (w *watchdog) interval() time.Duration { return max(w.limit/4, time.Millisecond) }

func (w *watchdog) look(l *Loop) {
	l.mu.Lock()
	asleep := !l.awake
	l.mu.Unlock()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.timer == nil {
		return
	}
	turns := l.counters.published.turns.Load()
	if turns != w.turns || asleep {
		w.turns, w.since, w.reported = turns, time.Now(), false
	} else if !w.reported && time.Since(w.since) >= w.limit && reports.begin(time.Now()) {
		w.reported = true
		w.mu.Unlock()
		stack := l.runningStack()
		reports.end(time.Now())
		l.report(slog.LevelWarn, "callback or task holds the loop: give what blocks or computes for long to ioloop.Await or Offload",
			slog.Duration("longer_than", w.limit), slog.String("stack", stack))
		w.mu.Lock()
	}
	if w.timer != nil {
		w.timer.Reset(w.interval())
	}
}

// reportTimes bounds what finding stacks costs. With 100,000 goroutines in the program
// that is a good part of a second of a processor.
type reportTimes struct {
	mu    sync.Mutex
	busy  bool
	began time.Time
	next  time.Time // no report before
}

// reports is one for the process, since its goroutines are what a report is dear by.
var reports reportTimes

// reportPause is how many times what a report took no other is made: reports cost at
// most 5 % of a processor.
const reportPause = 20

// begin tells whether a report may be made now. If so, end must follow.
func (r *reportTimes) begin(now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.busy || now.Before(r.next) {
		return false
	}
	r.busy, r.began = true, now
	return true
}

func (r *reportTimes) end(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.busy, r.next = false, now.Add(reportPause*now.Sub(r.began))
}

// runningStack returns the stack of what the loop runs, or "" if it is not found.
func (l *Loop) runningStack() string {
	var all bytes.Buffer
	if pprof.Lookup("goroutine").WriteTo(&all, 1) != nil {
		return ""
	}
	for entry := range strings.SplitSeq(all.String(), "\n\n") {
		if frames := profiledFrames(entry); numberIn(frames) == l.number && !switched(frames) {
			return strings.Join(frames, "\n")
		}
	}
	return ""
}

// profiledFrames returns the calls of an entry of the profile, the innermost first,
// without their addresses.
func profiledFrames(entry string) (frames []string) {
	for line := range strings.SplitSeq(entry, "\n") {
		if rest, ok := strings.CutPrefix(line, "#\t0x"); ok {
			_, frame, _ := strings.Cut(rest, "\t")
			frames = append(frames, frame)
		}
	}
	return frames
}

// numberIn returns the number of the loop whose goroutine has these frames, 0 if
// it is no loop's. See asTaskOf.
func numberIn(frames []string) (number uint) {
	loop := false
	for _, frame := range frames {
		name, _, _ := strings.Cut(frame, "+0x")
		switch name {
		case asLoopName:
			loop = true
		case digit0Name:
			number <<= 1
		case digit1Name:
			number = number<<1 | 1
		}
	}
	if !loop {
		return 0
	}
	return number
}

// switched reports whether a goroutine of a loop has switched to another one: a
// task that waits, or the loop's own while a task runs.
func switched(frames []string) bool { return strings.HasPrefix(frames[0], "iter.") }
