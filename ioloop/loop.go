// Package ioloop is an event loop: one goroutine that waits on a poller.Poller
// and runs callbacks and tasks, one at a time. A callback is a handler of a
// ready descriptor, a posted function or the function of a timer. A task is a
// function that can wait without holding the loop.
//
//	loop, err := ioloop.New(ioloop.Config{})
//	if err != nil {
//		return err
//	}
//	defer loop.Close()
//	err = loop.Go(func(t *ioloop.Task) {
//		fmt.Println("one")
//		t.Sleep(time.Second) // other tasks and callbacks run
//		fmt.Println("two")
//		loop.Stop()
//	})
//	if err != nil {
//		return err
//	}
//	return loop.Run(ctx)
//
// [Loop.Post], [Loop.AfterFunc] and [Loop.Every] run a function on the loop.
// [NewGroup] opens several loops. Streams are in package iostream, servers and
// dialers in package tcp, locks and queues for tasks in package iosync.
//
// # What must not block
//
// Callbacks and tasks run on the loop's goroutine, and everything else on the
// loop waits for them. Work that blocks belongs in [Offload] or, in a task, in
// [Await]. A task waits with the methods of this module, which take it as their
// context; a callback must not wait at all, and a waiting method returns
// [ErrOnLoop] there. Do not leave the goroutine locked to its thread
// (runtime.LockOSThread): the next task would end the program.
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

// Config sets up a Loop. The zero value stands for the defaults.
type Config struct {
	// Logger gets the contained panics, at most 10 a second with "left_out"
	// counting the others, and the reports of Watchdog. It is called on other
	// goroutines. Nil is slog.Default().
	Logger *slog.Logger

	// Watchdog is how long a turn, or Close, may take before the callback or
	// task that runs is logged with its stack, once a turn. The report comes up
	// to a quarter of that time late, at least 1 ms. 0 is 1 s, below 0 is off.
	// A report takes the profile of all goroutines, which costs processor time
	// and does not stop the program. After it, no loop of the process makes
	// another one for 20 times as long as it took.
	Watchdog time.Duration

	// Clock is the time of timers. Nil is the system's monotonic clock.
	Clock Clock

	// MaxOffload is how many pieces of work of Offload and Await run at once;
	// others wait in order. 0 is 256, below 0 is ErrInvalid. Work that blocks
	// in a system call takes a thread, and a Go program may have 10,000.
	MaxOffload int

	// Poller is what the Loop waits on. The Loop closes it. Nil is
	// poller.New().
	Poller poller.Poller
}

// Loop is an event loop. Its methods may be called from any goroutine, unless
// they say otherwise.
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
	endBatch   []Runner // of the turn's end; [endPos:] are to be run
	endPos     int
	endRounds  int // of the turn's end that are over
	phase      phase
	once       bool          // one turn is all that is to be run
	due        Job           // to be run before anything else; see lead.go
	rest       Runner        // to be run after that, or when a task that a callback runs waits
	within     bool          // the task that runs does so within a callback
	offered    time.Duration // when other goroutines were last offered the processor
	share      turnShare
	handlers   handlerTable
	tasks      taskList
	labels     context.Context // whose profile labels tasks begin with
	coroutines coroutinePool
	number     uint // of the loop, in the stacks of its coroutines; 0: none yet
	scratch    scratch
	current    *Task // the task that runs, nil: none
	stopping   bool  // tasks are being told to end
	fault      error // of the poller, which ends Run

	// wokeGoroutine: a goroutine was made runnable; let it run before the loop
	// blocks in the kernel and keeps the processor.
	wokeGoroutine atomic.Bool

	// What is queued, read without the lock, which a turn with nothing to take need not
	// have. What comes a moment too late for that is found before the loop blocks.
	hasQueue, hasLate atomic.Bool

	mu           sync.Mutex
	queue        []Runner    // for the next step
	late         []Runner    // for the end of this turn
	awake        bool        // the loop looks at queue and late before it blocks
	stopped      atomic.Bool // Stop was called and Run has not ended since
	running      bool
	unsent       int            // what has bytes to send before it is closed
	stopWhenSent bool           // Stop is due when that is 0
	awaited      bool           // see expectRun
	closing      bool           // Close was called: no more posts
	releasing    bool           // nothing is put off any more
	closed       bool           // everything is released
	burials      sync.WaitGroup // of tasks that ended with Goexit
}

// New opens a Loop. It returns ErrInvalid for a negative MaxOffload, or the
// error of poller.New.
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
		phase:  turnOver,
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

// Run runs the loop until Stop or Close is called or ctx is done. It returns
// nil after Stop or Close, context.Cause(ctx) after ctx, or the error of the
// Poller. It returns ErrInvalid for a nil ctx, ErrRunning if the loop runs
// already, ErrClosed after Close, and ErrOnLoop in a callback or task.
// Callbacks run one at a time, on goroutines that Run starts.
//
// At the end of Run every task that has begun is ended: its first wait returns
// ErrTaskStopped, and a second one unwinds it. Handlers, timers and posted
// functions stay, and Run may be called again.
func (l *Loop) Run(ctx context.Context) error {
	if ctx == nil {
		return ErrInvalid
	}
	if err := l.beginBlocking(); err != nil {
		return err
	}
	return l.run(ctx)
}

// beginBlocking is begin for what blocks the calling goroutine. What is refused does not
// begin: work that another goroutine put off meanwhile would have no turn to end with.
func (l *Loop) beginBlocking() error {
	if err := MayBlock(); err != nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		return cmp.Or(l.mayBegin(), err)
	}
	return l.begin()
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

// RunTask runs fn as a task, and the loop until fn has returned. If streams of
// the loop have been closed and still have bytes to send, RunTask waits for
// them too, within their Config.CloseTimeout. It returns the error of fn, a
// *PanicError if fn panicked, or ErrGoexit. If something else
// would end Run first, the waits of fn return ErrTaskStopped, and RunTask
// returns what fn then returns; if fn has not begun, it never does, and RunTask
// returns the error of Run or ErrTaskStopped. A nil fn or ctx is ErrInvalid;
// other errors are those of Run.
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
	_ = l.enqueue(&starting{l, jobFunc(func(t *Task) {
		if over.Load() {
			return
		}
		begun = true
		returned := false
		defer func() {
			if !returned && t.co.stopping != unwinding {
				err = l.failure(recover())
			}
			l.stopOnceSent()
		}()
		err = fn(t)
		returned = true
	})}, true)
	runErr := l.run(ctx)
	if over.Store(true); !begun && runErr != nil {
		return runErr
	}
	return err
}

// RunOnce runs one turn without blocking, and reports whether there was
// anything to do: events, posted functions, tasks or due timers. It is for
// tests: with a ManualClock everything happens in one order. Do not embed a
// loop in another one with it, as nothing says how long the other may block.
//
// RunOnce takes the place of Run and returns its errors. It does not end tasks
// when it returns; Close does. Stop has no effect on it.
func (l *Loop) RunOnce() (worked bool, err error) {
	if err := l.begin(); err != nil {
		return false, err
	}
	before := l.counters.callbacks + l.counters.events
	polled := false
	l.once = true
	l.onGoroutine(func() {
		if !polled {
			polled = true
			l.poll()
		}
		l.turns()
		l.runAllPutOff()
	})
	l.once = false
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

// mayBegin is called with l.mu held.
func (l *Loop) mayBegin() error {
	switch {
	case l.closing:
		return ErrClosed
	case l.running:
		return ErrRunning
	}
	return nil
}

func (l *Loop) begin() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.mayBegin(); err != nil {
		return err
	}
	l.running = true
	l.awake = true
	l.fault = nil
	return nil
}

// leave leaves the running state, and releases the loop if Close came meanwhile.
func (l *Loop) leave() {
	l.mu.Lock()
	l.running, l.stopWhenSent = false, false
	l.stopped.Store(false)
	release := l.closing
	l.mu.Unlock()
	if release {
		_ = l.release()
	}
}

// Stop makes Run return after the turn in progress. If Run is not in progress,
// the next Run returns after one turn.
func (l *Loop) Stop() {
	l.mu.Lock()
	l.stopped.Store(true)
	wake := !l.awake && !l.closed
	l.mu.Unlock()
	if wake {
		_ = l.poller.Wake()
	}
}

// stopOnceSent is Stop as soon as nothing is left to send of what was closed.
func (l *Loop) stopOnceSent() {
	l.mu.Lock()
	l.stopWhenSent = true
	l.mu.Unlock()
	l.countUnsent(0)
}

func (l *Loop) countUnsent(n int) {
	l.mu.Lock()
	l.unsent += n
	stop := l.unsent == 0 && l.stopWhenSent
	if stop {
		l.stopWhenSent = false
	}
	l.mu.Unlock()
	if stop {
		l.Stop()
	}
}

// Now returns the time on the loop's clock since some fixed moment.
func (l *Loop) Now() time.Duration { return l.clock.Now() }
