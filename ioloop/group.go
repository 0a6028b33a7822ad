package ioloop

import (
	"context"
	"errors"
	"runtime"
	"sync"
)

// Group is several loops, each on a goroutine of its own. Its methods may be
// called from any goroutine.
type Group struct {
	loops []*Loop
	next  int
	mu    sync.Mutex
}

// NewGroup opens n loops with the same config. With n = 0 it opens one for each
// processor that the program may use (runtime.GOMAXPROCS, which respects
// container limits). It returns ErrInvalid for n < 0, for a config with a
// Poller unless n is 1, since loops cannot share one, or the error of New.
func NewGroup(n int, config Config) (*Group, error) {
	if n == 0 {
		n = runtime.GOMAXPROCS(0)
	}
	if n < 0 || config.Poller != nil && n != 1 {
		return nil, ErrInvalid
	}
	g := &Group{}
	for range n {
		l, err := New(config)
		if err != nil {
			return nil, errors.Join(err, g.Close())
		}
		g.loops = append(g.loops, l)
	}
	return g, nil
}

// Loops returns the group's loops. The slice is the caller's.
func (g *Group) Loops() []*Loop { return append([]*Loop(nil), g.loops...) }

// Next returns the loops that have not been closed in turn, or nil if none is
// left. Use it to spread work evenly.
func (g *Group) Next() *Loop {
	g.mu.Lock()
	defer g.mu.Unlock()
	for range g.loops {
		l := g.loops[g.next]
		g.next = (g.next + 1) % len(g.loops)
		if !l.isClosing() {
			return l
		}
	}
	return nil
}

// Run runs all loops until ctx is done, Stop or Close is called, or a loop
// fails, which stops the others. It returns the error of Loop.Run, joined if
// several failed. In a callback or task it returns ErrOnLoop, and for a nil ctx
// ErrInvalid.
func (g *Group) Run(ctx context.Context) error {
	if ctx == nil {
		return ErrInvalid
	}
	if err := MayBlock(); err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	results := make([]error, len(g.loops))
	var wg sync.WaitGroup
	for i, l := range g.loops {
		wg.Go(func() {
			err := l.Run(ctx)
			if err != nil && !errors.Is(err, context.Cause(ctx)) {
				results[i] = err
				cancel(err)
			}
		})
	}
	wg.Wait()
	if err := errors.Join(results...); err != nil {
		return err
	}
	return context.Cause(ctx)
}

// Stop stops all loops. See Loop.Stop.
func (g *Group) Stop() {
	for _, l := range g.loops {
		l.Stop()
	}
}

// Close closes all loops. See Loop.Close.
func (g *Group) Close() error {
	var errs []error
	for _, l := range g.loops {
		errs = append(errs, l.Close())
	}
	return errors.Join(errs...)
}
