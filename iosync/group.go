package iosync

import (
	"context"
	"sync"

	"github.com/eddyloop/eddy/ioloop"
)

// Group starts tasks and goroutines that work together, and waits for them.
// When one returns an error, the others are cancelled. The zero value is ready.
type Group struct {
	mu      sync.Mutex
	running int
	err     error // the first
	line    line
	tasks   map[*ioloop.Task]struct{}
	ctx     context.Context // of goroutines, made when there is one
	cancel  context.CancelFunc
}

// Go starts fn as a task of l. It returns ioloop.ErrClosed once l is closed,
// and ErrInvalid for a nil l or fn; then nothing was started. If fn panics or
// calls runtime.Goexit, its error is ErrNoReturn.
func (g *Group) Go(l *ioloop.Loop, fn func(t *ioloop.Task) error) error {
	if l == nil || fn == nil {
		return ErrInvalid
	}
	g.begin()
	err := l.Go(func(t *ioloop.Task) {
		err := ErrNoReturn
		defer func() { g.end(t, err) }()
		g.add(t)
		err = fn(t)
	})
	if err != nil {
		g.end(nil, nil)
	}
	return err
}

// GoBlocking starts fn on a goroutine of its own, for work that blocks. The
// context of fn is done when the Group is cancelled. It returns ErrInvalid for
// a nil fn. As with any goroutine, a panic of fn ends the program.
func (g *Group) GoBlocking(fn func(ctx context.Context) error) error {
	if fn == nil {
		return ErrInvalid
	}
	g.begin()
	ctx := g.context()
	go func() {
		err := ErrNoReturn
		defer func() { g.end(nil, err) }()
		err = fn(ctx)
	}()
	return nil
}

// Cancel cancels all tasks and goroutines that run, and those that are started
// later.
func (g *Group) Cancel() { g.fail(context.Canceled) }

// Wait waits until all have ended, and returns the first error. If ctx is done
// first, Wait returns its error and cancels nothing.
func (g *Group) Wait(ctx context.Context) error {
	if err := ioloop.CheckContext(ctx); err != nil {
		return err
	}
	g.mu.Lock()
	if g.running > 0 {
		if err := g.line.wait(ctx, &g.mu, nil); err != nil {
			return err
		}
		g.mu.Lock()
	}
	defer g.mu.Unlock()
	return g.err
}

func (g *Group) begin() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.running++
}

// add notes a task that has begun, to cancel it.
func (g *Group) add(t *ioloop.Task) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.err != nil {
		t.Cancel()
		return
	}
	if g.tasks == nil {
		g.tasks = make(map[*ioloop.Task]struct{})
	}
	g.tasks[t] = struct{}{}
}

func (g *Group) context() context.Context {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.ctx == nil {
		g.ctx, g.cancel = context.WithCancel(context.Background())
		if g.err != nil {
			g.cancel()
		}
	}
	return g.ctx
}

// end notes the end of a task or, if t is nil, of a goroutine.
func (g *Group) end(t *ioloop.Task, err error) {
	if err != nil {
		g.fail(err)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.tasks, t)
	g.running--
	if g.running > 0 {
		return
	}
	for g.line.serve(nil) {
	}
	if g.cancel != nil {
		g.cancel() // a later goroutine gets a context of its own
		g.ctx, g.cancel = nil, nil
	}
}

func (g *Group) fail(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.err != nil {
		return
	}
	g.err = err
	for t := range g.tasks {
		t.Cancel()
	}
	if g.cancel != nil {
		g.cancel()
	}
}
