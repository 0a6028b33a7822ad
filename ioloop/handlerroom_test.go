//go:build unix

package ioloop_test

import (
	"slices"
	"testing"

	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/poller"
	"github.com/stretchr/testify/require"
)

func TestHandlersGiveMemoryBack(t *testing.T) {
	l := newLoop(t, ioloop.Config{Poller: new(stillPoller)})
	const n = 20_000
	var all []ioloop.Registration
	for i := range n {
		all = append(all, handle(t, l, i, 0, new(listener)))
	}
	for _, r := range all[10:] {
		require.NoError(t, l.Remove(r))
	}
	for range n { // those that come and go
		require.NoError(t, l.Remove(handle(t, l, n, 0, new(listener))))
	}
	require.Less(t, l.HandlerRoom(), n/2)
	for _, r := range all[10:] {
		require.ErrorIs(t, l.Remove(r), poller.ErrNotExist)
	}
	again := handle(t, l, n, 0, new(listener))
	require.NotContains(t, all, again)
	for _, r := range append(all[:10:10], again) {
		require.NoError(t, l.Remove(r))
	}
}

// Slots of handlers that were removed are used again, and those at the end are given back
// when they are half of all. That is looked at whenever an eighth was removed, and not for
// a few.
func TestHandlerRoom(t *testing.T) {
	fill := func(n int) (*ioloop.Loop, []ioloop.Registration) {
		l := newLoop(t, ioloop.Config{Poller: new(stillPoller)})
		var all []ioloop.Registration
		for i := range n {
			all = append(all, handle(t, l, i, 0, new(listener)))
		}
		return l, all
	}
	remove := func(l *ioloop.Loop, all ...ioloop.Registration) {
		for _, r := range all {
			require.NoError(t, l.Remove(r))
		}
	}
	const kept = 4096

	l, _ := fill(1)
	for range 100 {
		remove(l, handle(t, l, 1, 0, new(listener)))
	}
	require.Less(t, l.HandlerRoom(), 10)

	l, all := fill(kept)
	remove(l, all...)
	require.GreaterOrEqual(t, l.HandlerRoom(), kept)

	l, all = fill(2 * kept)
	slices.Reverse(all)
	remove(l, all[:kept]...) // seen after 1025, 2050, 3075
	require.GreaterOrEqual(t, l.HandlerRoom(), 2*kept)
	remove(l, all[kept:kept+4]...)
	require.Equal(t, kept-4, l.HandlerRoom())

	l, all = fill(2 * kept)
	slices.Reverse(all)
	remove(l, all[len(all)-4:]...)
	remove(l, all[:kept]...) // half of the slots, when it is looked at
	require.Equal(t, kept, l.HandlerRoom())
	for i := range 4 { // there are still places for them
		handle(t, l, i, 0, new(listener))
	}
	require.Equal(t, kept, l.HandlerRoom())
}
