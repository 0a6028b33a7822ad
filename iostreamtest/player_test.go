package iostreamtest_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/eddyloop/eddy/internal/streamhook"
	"github.com/eddyloop/eddy/internal/testtime"
	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
	"github.com/eddyloop/eddy/iostreamtest"
)

// style is how an operation is done.
type style uint8

const (
	callback style = iota
	task
	goroutine
)

// player does what a schedule says to a stream, and has the model judge what
// comes of it.
type player struct {
	world   *iostreamtest.World
	wire    *iostreamtest.Wire
	options iostreamtest.Options
	stream  *iostream.Stream
	model   *model
	trace   func(event string) // nil: nobody listens
	failed  error

	shared   *shared // nil: there is no Budget
	strict   bool    // the loop comes to rest after each operation
	settled  bool    // it is at rest
	depth    int     // of operations in callbacks of operations
	calls    int
	kept     []byte // what a waiting read returned last, which stays as it is
	keptWas  string
	closes   []*closeWatch
	releases []func() // what the calls of Hold have returned
	ends     int      // calls of WaitReadClosedFunc's function
}

// closeWatch is a function given to WaitClosedFunc.
type closeWatch struct{ called int }

var (
	errPeer   = errors.New("played by the wire")
	errOwn    = errors.New("played by the program")
	errPanic  = errors.New("panic played by a callback")
	patience  = testtime.Patience(2 * time.Second) // never waited for when all is well
	maxTurns  = 50_000                             // far more than any schedule needs
	errSpins  = errors.New("the loop does not come to rest")
	errHalted = errors.New("operation did not end")
)

func (p *player) note(format string, args ...any) {
	if p.trace != nil {
		p.trace(fmt.Sprintf(format, args...))
	}
}

func (p *player) fail(format string, args ...any) {
	if p.failed == nil {
		p.failed = fmt.Errorf(format, args...)
		p.note("FAILED: %v", p.failed)
	}
}

// observe brings the model up to date before anything is done or judged.
func (p *player) observe() {
	p.observeBudget()
	var view slot
	if c := p.model.pending(); c != nil && c.task && p.model.handling == nil {
		view = slot{free: !isPending(p.stream), buffered: p.stream.Buffered()}
	}
	p.model.observe(p.wire.State(), p.world.Clock.Now(), view)
	if p.model.wrong != nil {
		p.fail("%v", p.model.wrong)
	}
}

// settle runs the loop until it is at rest and looks whether all is done.
func (p *player) settle() {
	for range maxTurns {
		worked, err := p.world.RunOnce()
		if err != nil {
			p.fail("%v", err)
		}
		if !worked {
			p.settled = true
			p.observe()
			if p.stream.Err() != nil && p.failed == nil {
				if err := p.model.atRestClosed(p.stream); err != nil {
					p.fail("at rest: %v", err)
				}
			}
			p.collect()
			p.look()
			p.restBudget()
			return
		}
	}
	p.fail("%v", errSpins)
}

// look has the model judge the state at rest.
func (p *player) look() {
	if p.failed != nil {
		return
	}
	if err := p.model.atRest(p.stream); err != nil {
		p.fail("at rest: %v", err)
	}
	if want := streamhook.ReadClosed(p.stream); p.ends > 1 || (p.ends == 1) != want {
		p.fail("the end of the input was told %d times, is there: %v", p.ends, want)
	}
	if p.stream.Err() != nil {
		for i, c := range p.closes {
			if c.called != 1 {
				p.fail("function %d for the close was called %d times", i, c.called)
			}
		}
	}
}

// collect takes the outcomes of goroutines that have ended.
func (p *player) collect() {
	for _, c := range p.open() {
		if c.came == nil || c.noticed {
			continue
		}
		if p.model.due(c) {
			p.await(c)
			continue
		}
		select {
		case o := <-c.came:
			p.finish(c, o)
		default:
		}
	}
}

// await takes the outcome of a goroutine that must end now.
func (p *player) await(c *call) {
	select {
	case o := <-c.came:
		p.finish(c, o)
	case <-time.After(patience):
		c.noticed = true
		p.fail("%s: %v", c.name, errHalted)
	}
}

// open returns the operations that are in progress.
func (p *player) open() []*call {
	return append(append([]*call(nil), p.model.reads...), p.model.others...)
}

// begin enters an operation that was accepted.
func (p *player) begin(c *call) {
	if c.isRead() {
		c.behind = c.task && p.model.handling != nil
		c.heldBack = c.task && p.model.paused(c)
		p.model.reads = append(p.model.reads, c)
		p.model.hadRead, p.model.taken = true, true
		p.model.over = p.model.over || c.repeats() && !c.task
		p.model.abandoned = false
	} else {
		p.model.others = append(p.model.others, c)
	}
}

// finish takes in what an operation has come to.
func (p *player) finish(c *call, o outcome) {
	p.observe()
	if p.trace != nil {
		p.note("  %s: %s, %d, %v", c.name, brief(string(o.data)), o.n, o.err)
	}
	if c.isRead() && c.style != callback {
		p.kept, p.keptWas = o.data, string(o.data) // good until the next read
	}
	if c.noticed {
		p.fail("%s has ended twice", c.name)
		return
	}
	c.noticed = o.last
	c.results = append(c.results, o)
	p.judge()
}

// judge judges outcomes, those of reads in the order in which the reads began:
// that is the order in which they took their bytes.
func (p *player) judge() {
	m := p.model
	for len(m.reads) > 0 && len(m.reads[0].results) > 0 {
		c := m.reads[0]
		o := c.results[0]
		c.results = c.results[1:]
		if err := m.judgeRead(c, o); err != nil {
			p.fail("%s: %w", c.name, err)
		}
		if o.last {
			m.reads = m.reads[1:]
		}
	}
	rest := m.others[:0]
	for _, c := range m.others {
		if len(c.results) == 0 {
			rest = append(rest, c)
		} else if err := m.judgeOther(c, c.results[0]); err != nil {
			p.fail("%s: %w", c.name, err)
		}
	}
	clear(m.others[len(rest):])
	m.others = rest
}

func (p *player) checkKept() {
	if string(p.kept) != p.keptWas {
		p.fail("a result has changed from %s to %s", brief(p.keptWas), brief(string(p.kept)))
	}
	p.kept, p.keptWas = nil, ""
}

// wait does a waiting operation in one of the two waiting styles.
func (p *player) wait(c *call, do func(ctx context.Context) ([]byte, int, error), then func()) {
	if c.style == goroutine {
		p.inGoroutine(c, do)
	} else {
		p.inTask(c, do, then)
	}
}

// inTask does an operation in a task. If that yields within do, because its turn's
// share is used up, what it comes to must still be what it was at the start: with
// shares of one piece that takes a loop at rest.
func (p *player) inTask(c *call, do func(ctx context.Context) ([]byte, int, error), then func()) {
	_ = p.world.Loop.Go(func(t *ioloop.Task) {
		if c.isRead() && (!p.mayRead() || p.model.handling != nil) { // see returns
			p.note("  %s is left out", c.name)
			return
		}
		ctx := t
		c.cancel = func(error) { t.Cancel() }
		if c.deadline > 0 {
			c.deadline += p.world.Clock.Now()
			view, cancel := t.WithTimeout(c.deadline - p.world.Clock.Now())
			defer cancel()
			ctx = view
		}
		busy := p.enter(c)
		data, n, err := do(ctx)
		p.leave(c, busy, outcome{data: data, n: n, err: err, last: true})
		if then != nil && p.failed == nil {
			then()
		}
	})
}

// inGoroutine returns when the goroutine waits or has ended.
func (p *player) inGoroutine(c *call, do func(ctx context.Context) ([]byte, int, error)) {
	ctx := newManualContext()
	c.cancel = ctx.end
	c.came = make(chan outcome, 1)
	if c.deadline > 0 {
		d := c.deadline
		c.deadline += p.world.Clock.Now()
		p.world.Loop.AfterFunc(d, func() {
			if ctx.end(context.DeadlineExceeded); !c.noticed {
				p.await(c)
			}
		})
	}
	busy := p.enter(c)
	go func() {
		data, n, err := do(ctx)
		c.came <- outcome{data: data, n: n, err: err, last: true}
	}()
	select {
	case <-ctx.waits:
	case o := <-c.came:
		p.leave(c, busy, o)
	}
}

// mayRead reports whether a read may begin. Not so when the result of another
// is under way to whoever waits for it: the next read would take its bytes from
// under it.
func (p *player) mayRead() bool {
	if !p.settled {
		for _, c := range p.model.reads {
			if !c.noticed && c.style != callback {
				return false
			}
		}
	}
	p.checkKept()
	return true
}

// enter begins an operation. It reports whether it has to be refused because a
// read is pending.
func (p *player) enter(c *call) (busy bool) {
	p.observe()
	c.late = p.model.reason != nil
	if c.isRead() && p.model.running != nil {
		p.model.takeOver()
	}
	if c.isRead() && p.model.pending() != nil {
		return true
	}
	p.begin(c)
	return false
}

// leave ends an operation that was entered, maybe refused.
func (p *player) leave(c *call, busy bool, o outcome) {
	if !busy {
		p.finish(c, o)
		return
	}
	c.noticed = true
	p.note("  %s: %v", c.name, o.err)
	if !errors.Is(o.err, iostream.ErrReadPending) || o.data != nil || o.n != 0 {
		p.fail("%s beside another read: %s, %v", c.name, brief(string(o.data)), o.err)
	}
}

// manualContext is a context that a test ends, and that tells when somebody
// begins to wait for its end.
type manualContext struct {
	done, waits chan struct{}
	once        sync.Once
	mu          sync.Mutex
	err         error
}

func newManualContext() *manualContext {
	return &manualContext{done: make(chan struct{}), waits: make(chan struct{})}
}

func (c *manualContext) Deadline() (time.Time, bool) { return time.Time{}, false }
func (c *manualContext) Value(any) any               { return nil }

func (c *manualContext) Done() <-chan struct{} {
	c.once.Do(func() { close(c.waits) })
	return c.done
}

func (c *manualContext) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

func (c *manualContext) end(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil {
		c.err = err
		close(c.done)
	}
}

// crash ends a callback as user code may.
func (p *player) crash(goexit bool) {
	if p.shared != nil {
		p.shared.failed = true
	}
	if p.stream.Err() == nil {
		p.model.cut()
	}
	if goexit {
		p.model.abort(ioloop.ErrGoexit)
		runtime.Goexit()
	}
	p.model.abort(errPanic)
	panic(errPanic)
}
