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
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/eddyloop/eddy/internal/firstcount"
	"github.com/eddyloop/eddy/poller"
)

// Errors of a Loop. To errors.Is, ErrClosed is also fs.ErrClosed, and ErrInvalid
// fs.ErrInvalid.
var (
	ErrClosed  = fmt.Errorf("ioloop: loop %w", fs.ErrClosed)
	ErrRunning = errors.New("ioloop: loop is running already")
	ErrInvalid = fmt.Errorf("ioloop: %w", fs.ErrInvalid)
)

// Config sets up a Loop. The zero value is a good one.
type Config struct {
	// Logger hears of contained panics and of callbacks that hold the loop. It is written
	// to on other goroutines; of panics it hears at most 10 a second, with "left_out"
	// counting the others.
	// Nil is slog.Default().
	Logger *slog.Logger

	// Watchdog is how long a turn may take, and Close, before the callback or task
	// that runs is reported with its stack, once a turn. The report comes up to a
	// quarter of that later (at least 1 ms). 0 is 1 s, negative is off. A report
	// takes the profile of all goroutines: some processor time, but the program
	// is not stopped meanwhile. For 20 times as long as it took no loop of the
	// process makes another one.
	Watchdog time.Duration

	// Clock is what timers go by. Nil is the system's monotonic clock.
	Clock Clock

	// MaxOffload is how many pieces of work of Offload and Await run at once;
	// others wait for their turn. 0 is 256. Each that blocks in a system call is a
	// thread, of which Go permits a program 10,000.
	MaxOffload int

	// Poller is what the Loop waits on; the Loop closes it. Nil is poller.New().
	Poller poller.Poller
}

// Loop is an event loop. Its methods may be called from any goroutine, except
// those that say otherwise.
type Loop struct {
	poller      poller.Poller
	clock       Clock
	log         *slog.Logger
	bounded     *slog.Logger // see reportLater
	boundOnce   sync.Once
	done        chan struct{} // closed when everything is released
	forgetClock func()
	watchdog    watchdog
	timers      timerQueue
	counters    counters

	offloads offloads

	// Of the loop's goroutine alone. What a turn has still to do stands here
	// and not in local variables, so that the turn goes on when a callback
	// ends the goroutine (runtime.Goexit).
	events     []poller.Event // [eventPos:eventCount] are to be dispatched
	eventPos   int
	eventCount int
	batch      []Runner // of this step; [batchPos:] are to be run
	batchPos   int
	stepped    bool     // this turn has had its step
	timersRun  bool     // this turn has begun with timers
	endBatch   []Runner // of the turn's end; [endPos:] are to be run
	endPos     int
	endRounds  int           // of the turn's end that are over
	offered    time.Duration // when other goroutines were last offered the processor
	share      turnShare
	handlers   handlerTable
	tasks      taskList
	labels     context.Context // whose profile labels tasks begin with
	coroutines coroutinePool
	number     uint // of the loop, in the stacks of its coroutines; 0: none yet
	scratch    []byte
	current    *job  // the task that runs, nil: none
	stopping   bool  // tasks are being told to end
	fault      error // of the poller, which ends Run

	// wokeGoroutine: a goroutine was made runnable; let it run before the loop
	// blocks in the kernel and keeps the processor.
	wokeGoroutine atomic.Bool

	mu        sync.Mutex
	queue     []Runner // for the next step
	late      []Runner // for the end of this turn
	awake     bool     // the loop looks at queue and late before it blocks
	stopped   bool     // Stop was called and Run has not ended since
	running   bool
	awaited   bool           // see expectRun
	closing   bool           // Close was called: no more posts
	releasing bool           // nothing is put off any more
	closed    bool           // everything is released
	burials   sync.WaitGroup // of tasks that ended with Goexit
}

// New opens a Loop. It returns the error of poller.New, if any.
func New(config Config) (*Loop, error) {
	if config.MaxOffload < 0 {
		return nil, fmt.Errorf("%w: negative MaxOffload", ErrInvalid)
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
		done:   make(chan struct{}),
		events: make([]poller.Event, minEvents),
		labels: context.Background(),
	}
	if l.clock == nil {
		l.clock = newSystemClock()
	}
	if l.log == nil {
		l.log = slog.Default()
	}
	l.watchdog.limit = cmp.Or(config.Watchdog, time.Second)
	l.number = loopNumbers.add(l)
	l.timers.init()
	l.offloads.most = cmp.Or(config.MaxOffload, 256)
	l.share.init()
	l.handlers.generation = firstcount.Count
	l.forgetClock = l.clock.onAdvance(func() { _ = l.poller.Wake() })
	return l, nil
}

// Run runs the loop until Stop or Close is called or ctx is done. It returns nil
// if Stop or Close ended it, context.Cause(ctx) if ctx did, or the error that the
// Poller failed with. It returns ErrInvalid for a nil ctx, ErrRunning if the loop runs already,
// ErrClosed if Close was called before, and ErrOnLoop in a callback or task of
// another loop, which it would block.
//
// When Run ends, every task that has begun is ended: its first wait returns
// ErrTaskStopped, a second one unwinds it. Handlers, timers and what is queued
// stay, and Run may be called again. The callbacks run on a goroutine of Run's
// own.
func (l *Loop) Run(ctx context.Context) error {
	if ctx == nil {
		return ErrInvalid
	}
	if err := l.beginBlocking(); err != nil {
		return err
	}
	return l.run(ctx)
}

// beginBlocking is begin for what blocks the calling goroutine.
func (l *Loop) beginBlocking() error {
	if err := l.begin(); err != nil {
		return err
	}
	if err := MayBlock(); err != nil {
		l.leave()
		return err
	}
	return nil
}

// run is Run after begin.
func (l *Loop) run(ctx context.Context) error {
	cancelled := make(chan struct{})
	unregister := context.AfterFunc(ctx, func() {
		l.Stop()
		close(cancelled)
	})
	l.labels = profileLabels(ctx)
	l.startTurn()
	l.onGoroutine(func() {
		l.turns()
		l.stopTasks()
		l.runAllPutOff()
	})
	if !unregister() {
		<-cancelled // a Stop that came later would be for the next Run
	}
	err := l.fault
	l.leave()
	if err == nil {
		err = context.Cause(ctx)
	}
	return err
}

// RunTask runs the loop until fn, as a task, has ended, and returns fn's error,
// a *PanicError if it panicked or ErrGoexit. If Run would have ended before, fn's
// waits return ErrTaskStopped, and RunTask returns what fn returns then; if fn
// had not begun, it never does, and RunTask returns Run's error or
// ErrTaskStopped. A nil fn or ctx returns ErrInvalid; the other errors are those of
// Run.
func (l *Loop) RunTask(ctx context.Context, fn func(*Task) error) error {
	if ctx == nil || fn == nil {
		return ErrInvalid
	}
	if err := l.beginBlocking(); err != nil {
		return err
	}
	err := ErrTaskStopped
	begun := false
	var over atomic.Bool
	_ = l.enqueue(newJob(l, jobFunc(func(t *Task) {
		if over.Load() {
			return
		}
		begun = true
		returned := false
		defer func() {
			if !returned && t.job.stopping != unwinding {
				err = l.failure(recover())
			}
			l.Stop()
		}()
		err = fn(t)
		returned = true
	})), true)
	runErr := l.run(ctx)
	if over.Store(true); !begun && runErr != nil {
		return runErr
	}
	return err
}

// RunOnce runs one turn without blocking, and reports whether there was anything
// to do: events, what was queued, timers that were due. It is for tests, which
// with it and a ManualClock see everything happen in one order. It is not for
// embedding a loop in another one: nothing tells how long that may block.
//
// RunOnce takes the place of Run. Unlike the end of Run, its end leaves
// tasks as they are; Close ends them. Stop has no meaning for it. The errors are
// those of Run.
func (l *Loop) RunOnce() (worked bool, err error) {
	if err := l.begin(); err != nil {
		return false, err
	}
	before := l.counters.callbacks + l.counters.events
	polled := false
	l.onGoroutine(func() {
		if !polled {
			polled = true
			l.poll()
		}
		l.turn()
		l.runAllPutOff()
	})
	worked, err = l.counters.callbacks+l.counters.events != before, l.fault
	l.leave()
	return worked, err
}

// poll begins a turn with the events that are there.
func (l *Loop) poll() {
	if l.eventPos == l.eventCount {
		n, err := l.poller.Wait(l.events, 0)
		l.fault = err
		l.found(n)
	}
	l.startTurn()
}

// onGoroutine calls work on a goroutine of its own and waits for it. If a
// callback ends that goroutine with runtime.Goexit, as testify's require does,
// another one calls work again; the loop's fields know how far it had come.
func (l *Loop) onGoroutine(work func()) {
	defer l.watchdog.watch(l)()
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
		asTaskOf(l.number, work)
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

// leave leaves the running state, and releases the loop if Close came meanwhile.
func (l *Loop) leave() {
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

// Now returns the time on the loop's clock, as the time since some fixed
// moment before New.
func (l *Loop) Now() time.Duration { return l.clock.Now() }
