package ioloop_test

import (
	"context"
	"errors"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/eddyloop/eddy/internal/leaktest"
	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/poller"
	"github.com/stretchr/testify/require"
)

func newGroup(t testing.TB, n int) *ioloop.Group {
	t.Helper()
	leaktest.Check(t)
	g, err := ioloop.NewGroup(n, ioloop.Config{})
	require.NoError(t, err)
	t.Cleanup(func() { _ = g.Close() })
	return g
}

func TestGroupSize(t *testing.T) {
	require.Len(t, newGroup(t, 3).Loops(), 3)
	require.Len(t, newGroup(t, 0).Loops(), runtime.GOMAXPROCS(0))
	_, err := ioloop.NewGroup(-1, ioloop.Config{})
	require.ErrorIs(t, err, ioloop.ErrInvalid)
	_, err = ioloop.NewGroup(2, ioloop.Config{MaxOffload: -1})
	require.ErrorIs(t, err, ioloop.ErrInvalid)
}

func TestGroupWithPoller(t *testing.T) {
	leaktest.Check(t)
	p, err := poller.New()
	require.NoError(t, err)
	_, err = ioloop.NewGroup(2, ioloop.Config{Poller: p})
	require.ErrorIs(t, err, ioloop.ErrInvalid)
	g, err := ioloop.NewGroup(1, ioloop.Config{Poller: p})
	require.NoError(t, err)
	require.NoError(t, g.Close())
}

func TestGroupRunsAllLoops(t *testing.T) {
	g := newGroup(t, 3)
	done := make(chan error, 1)
	go func() { done <- g.Run(context.Background()) }()
	for _, l := range g.Loops() {
		on(t, l, func() {})
	}
	g.Stop()
	require.NoError(t, receive(t, done))

	cause := errors.New("enough")
	ctx, cancel := context.WithCancelCause(context.Background())
	go func() { done <- g.Run(ctx) }()
	for _, l := range g.Loops() {
		on(t, l, func() {})
	}
	cancel(cause)
	require.Equal(t, cause, receive(t, done))

	go func() { done <- g.Run(context.Background()) }()
	for _, l := range g.Loops() {
		on(t, l, func() {})
	}
	require.NoError(t, g.Close())
	require.NoError(t, receive(t, done))
	require.ErrorIs(t, g.Close(), ioloop.ErrClosed)
	require.ErrorIs(t, g.Run(context.Background()), ioloop.ErrClosed)
}

// registry is a context that counts what waits for its end.
type registry struct {
	context.Context
	waiting atomic.Int64
}

func (r *registry) Done() <-chan struct{} { return make(chan struct{}) }

func (r *registry) AfterFunc(func()) (stop func() bool) {
	r.waiting.Add(1)
	return func() bool {
		r.waiting.Add(-1)
		return true
	}
}

// Run leaves nothing behind in its context, which may last for longer.
func TestGroupLeavesItsContext(t *testing.T) {
	g := newGroup(t, 2)
	g.Stop()
	ctx := &registry{Context: context.Background()}
	require.NoError(t, g.Run(ctx))
	require.Zero(t, ctx.waiting.Load())
}

// One that fails stops the others.
func TestGroupFailure(t *testing.T) {
	g := newGroup(t, 3)
	loops := g.Loops()
	start(t, loops[1])
	require.ErrorIs(t, g.Run(context.Background()), ioloop.ErrRunning)
	require.False(t, loops[0].Running())
	require.False(t, loops[2].Running())
	require.True(t, loops[1].Running())
}

func TestGroupNext(t *testing.T) {
	g := newGroup(t, 3)
	count := map[*ioloop.Loop]int{}
	for range 9 {
		count[g.Next()]++
	}
	for _, l := range g.Loops() {
		require.Equal(t, 3, count[l], "equals take turns")
	}
	for i, l := range g.Loops() {
		require.NoError(t, l.Close())
		for range 6 {
			require.Equal(t, i < 2, g.Next() != nil)
			require.NotContains(t, g.Loops()[:i+1], g.Next(), "not one that is closed")
		}
	}
	loops := g.Loops()
	loops[0] = nil // the slice is the caller's
	require.NotNil(t, g.Loops()[0])
}
