package ioloop

import (
	"context"
	"errors"
	"runtime"
	"sync"
)

// Group is several loops that share work, each on a goroutine of its own.
type Group struct {
	loops []*Loop
	next  int
	mu    sync.Mutex
}

// NewGroup opens n loops, or with n = 0 one for each processor that the
// program may use (runtime.GOMAXPROCS, which knows of container limits). It
// returns ErrInvalid for n < 0, and for a config with a Poller if n is not 1:
// loops cannot share one.
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

// Next returns a loop that has not been closed, each in turn, or nil if none is
// left. Whoever hands out work at once deals it out evenly with it, as the work
// need not have reached the loop for its next call.
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

// Run runs all loops until ctx is done, Stop or Close is called, or one of them
// fails, which stops the others. It returns what Loop.Run returned, joined if
// several failed, or ErrOnLoop in a callback or task, which it would block.
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

// Stop stops all loops.
func (g *Group) Stop() {
	for _, l := range g.loops {
		l.Stop()
	}
}

// Close closes all loops.
func (g *Group) Close() error {
	var errs []error
	for _, l := range g.loops {
		errs = append(errs, l.Close())
	}
	return errors.Join(errs...)
}
