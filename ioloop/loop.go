// Package ioloop is an event loop: one goroutine that waits on a
// [poller.Poller] and runs everything that follows from it, one thing at a
// time: handlers of ready descriptors, posted functions, timers, and tasks,
// which are functions that wait without holding the loop.
//
// Handlers, posted functions and timer functions are called callbacks here.
// They run on the loop's goroutine and must not block; work that blocks goes to
// [Offload]. They must not keep that goroutine locked to its thread either, which
// is fatal to the program when the next task runs.
package ioloop

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/eddyloop/eddy/poller"
)

// Errors of a Loop. To errors.Is, ErrClosed is also fs.ErrClosed, and ErrInvalid
// fs.ErrInvalid.
var (
	ErrClosed  = fmt.Errorf("ioloop: loop %w", fs.ErrClosed)
	ErrRunning = errors.New("ioloop: loop is running already")
	ErrInvalid = fmt.Errorf("ioloop: %w", fs.ErrInvalid)
)

// ScratchSize is the length of [Loop.Scratch] in bytes.
const ScratchSize = 64 << 10

// Config sets up a Loop. The zero value is a good one.
type Config struct {
	// Logger hears of contained panics and of callbacks that hold the loop.
	// Nil is slog.Default().
	Logger *slog.Logger

	// Watchdog, if above 0, is how long a callback may hold the loop before it
	// is reported with its stack. The report may come a quarter of that later.
	Watchdog time.Duration

	// Clock is what timers go by. Nil is the system's monotonic clock.
	Clock Clock

	// Poller is what the Loop waits on; the Loop closes it. Nil is poller.New().
	Poller poller.Poller
}

// Loop is an event loop. Its methods may be called from any goroutine, except
// those that say otherwise.
type Loop struct {
	poller   poller.Poller
	clock    Clock
	log      *slog.Logger
	watchdog watchdog
	timers   timerQueue
	counters counters

	// Of the loop's goroutine alone. What a turn has still to do stands here
	// and not in local variables, so that the turn goes on when a callback
	// ends the goroutine (runtime.Goexit).
	events   []poller.Event // of this turn; [eventPos:eventEnd] are to be dispatched
	eventPos int
	eventEnd int
	stepped  bool          // this turn has taken its batch
	seen     time.Duration // when the loop was last in the scheduler
	batch    []Runner      // of this step; [batchPos:] are to be run
	batchPos int
	ends     []Runner // of this turn's end; [endPos:] are to be run
	endPos   int
	handlers handlerTable
	tasks    taskList
	scratch  []byte
	inTask   bool  // a task runs
	stopping bool  // tasks are being told to end
	fault    error // of the poller, which ends Run

	// wokeGoroutine: a goroutine was made runnable; let it run before the loop
	// blocks in the kernel and keeps the processor.
	wokeGoroutine atomic.Bool

	mu      sync.Mutex
	queue   []Runner // for the next step
	dirty   []Runner // for the end of this turn
	awake   bool     // the loop looks at queue and dirty before it blocks
	stopped bool     // Stop was called and Run has not ended since
	running bool
	closing bool           // Close was called: no more posts
	closed  bool           // everything is released
	burials sync.WaitGroup // of tasks that ended with Goexit
}

// Runner is work for the loop. A pointer that has Run costs no allocation to
// schedule.
type Runner interface{ Run() }

type runnerFunc func()

func (f runnerFunc) Run() { f() }

// New opens a Loop. It returns the error of poller.New, if any.
func New(config Config) (*Loop, error) {
	if config.Watchdog < 0 {
		return nil, fmt.Errorf("%w: negative watchdog time", ErrInvalid)
	}
	p := config.Poller
	if p == nil {
		var err error
		if p, err = poller.New(); err != nil {
			return nil, err
		}
	}
	l := &Loop{
		poller: p,
		clock:  config.Clock,
		log:    config.Logger,
		events: make([]poller.Event, minEvents),
	}
	if l.clock == nil {
		l.clock = newSystemClock()
	}
	if l.log == nil {
		l.log = slog.Default()
	}
	l.watchdog.limit = config.Watchdog
	l.timers.init()
	l.clock.OnAdvance(func() { _ = l.poller.Wake() })
	return l, nil
}

// Run runs the loop until Stop or Close is called or ctx is done. It returns nil
// if Stop or Close ended it, context.Cause(ctx) if ctx did, or the error that the
// Poller failed with. It returns ErrRunning if the loop runs already, and
// ErrClosed if Close was called before.
//
// When Run ends, every task that has begun is ended: its first wait returns
// ErrTaskStopped, a second one unwinds it. Handlers, timers and what is queued
// stay, and Run may be called again. The callbacks run on a goroutine of Run's
// own.
func (l *Loop) Run(ctx context.Context) error {
	if err := l.begin(); err != nil {
		return err
	}
	cancelled := make(chan struct{})
	unregister := context.AfterFunc(ctx, func() {
		l.Stop()
		close(cancelled)
	})
	l.startTurn(0)
	onGoroutine(func() {
		defer l.watchdog.watch(l)()
		l.turns()
		l.stopTasks()
		l.rest()
	})
	if !unregister() {
		<-cancelled // a Stop that came later would be for the next Run
	}
	err := l.fault
	l.end()
	if err == nil {
		err = context.Cause(ctx)
	}
	return err
}

// Step runs one turn without blocking, and reports whether there was anything
// to do: events, what was queued, timers that were due. It is for tests, which
// with it and a ManualClock see everything happen in one order, and for
// programs that have a loop of their own and call this one from there.
//
// Steps take the place of Run. Unlike the end of Run, the end of a Step leaves
// tasks as they are; Close ends them. Stop has no meaning for it. The errors are
// those of Run.
func (l *Loop) Step() (worked bool, err error) {
	if err := l.begin(); err != nil {
		return false, err
	}
	before := l.counters.callbacks
	polled := false
	onGoroutine(func() {
		if !polled {
			polled = true
			l.poll()
		}
		l.turn()
		l.rest()
	})
	worked, err = l.counters.callbacks != before, l.fault
	l.end()
	return worked, err
}

// poll begins a turn with the events that are there.
func (l *Loop) poll() {
	n, err := l.poller.Wait(l.events, 0)
	l.fault = err
	l.startTurn(n)
}

// onGoroutine calls work on a goroutine of its own and waits for it. If a
// callback ends that goroutine with runtime.Goexit, as testify's require does,
// another one calls work again; the loop's fields know how far it had come.
func onGoroutine(work func()) {
	done := make(chan struct{})
	var attempt func()
	attempt = func() {
		returned := false
		defer func() {
			if returned {
				close(done)
			} else {
				go attempt()
			}
		}()
		work()
		returned = true
	}
	go attempt()
	<-done
}

func (l *Loop) begin() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.closing:
		return ErrClosed
	case l.running:
		return ErrRunning
	}
	l.running = true
	l.awake = true
	l.fault = nil
	return nil
}

// rest ends the time in which work can be put off to the end of a turn, after
// doing what has been.
func (l *Loop) rest() {
	for l.awake {
		l.settle()
		l.mu.Lock()
		l.awake = len(l.dirty) > 0
		l.mu.Unlock()
	}
}

// end leaves the running state, and releases the loop if Close came meanwhile.
func (l *Loop) end() {
	l.mu.Lock()
	l.running = false
	l.stopped = false
	release := l.closing
	l.mu.Unlock()
	if release {
		_ = l.release()
	}
}

// Stop makes Run return after the turn in progress. Called before Run, it makes
// the next Run return after one turn.
func (l *Loop) Stop() {
	l.mu.Lock()
	l.stopped = true
	wake := !l.awake && !l.closed
	l.mu.Unlock()
	if wake {
		_ = l.poller.Wake()
	}
}

// Close releases the loop. What handlers stand for is told by their Fail
// method (see [Failer]) with ErrClosed. Functions posted before are still
// called and tasks begun, but these are told to stop at once; timers are
// dropped, and what is set later never fires. While Run is in progress, Close
// ends it and returns at once, and Run releases the loop before it returns; so
// Close may be called from a callback. A second Close returns ErrClosed.
func (l *Loop) Close() error {
	l.mu.Lock()
	if l.closing {
		l.mu.Unlock()
		return ErrClosed
	}
	l.closing = true
	running := l.running
	l.mu.Unlock()
	if running {
		l.Stop()
		return nil
	}
	return l.release()
}

// release lets go of all that the loop holds. Nobody runs it any more.
func (l *Loop) release() error {
	l.wakeUp() // from here on work is queued without waking the poller
	l.timers.clear()
	onGoroutine(func() {
		l.failHandlers()
		l.tellTasks()
		for l.step() || l.tasks.first != nil || !l.shut() {
			l.settle()
		}
	})
	l.burials.Wait()
	return l.poller.Close()
}

// shut closes the queue for good, unless something has come into it.
func (l *Loop) shut() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = len(l.queue) == 0 && len(l.dirty) == 0
	return l.closed
}

// Scratch returns ScratchSize bytes that all handlers of the loop share, to
// read into. The bytes are the caller's until its callback returns or a task
// waits. Only for callbacks and tasks.
func (l *Loop) Scratch() []byte {
	if l.scratch == nil {
		l.scratch = make([]byte, ScratchSize)
	}
	return l.scratch
}

// Logger returns the logger that the loop was made with.
func (l *Loop) Logger() *slog.Logger { return l.log }

// Now returns the time on the loop's clock, as the time since some fixed
// moment before New.
func (l *Loop) Now() time.Duration { return l.clock.Now() }
