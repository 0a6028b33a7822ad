//go:build unix || windows

package iostream_test

import (
	"context"
	"testing"
	"time"

	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
	"github.com/stretchr/testify/require"
)

func TestTotal(t *testing.T) {
	first, second := startLoop(t, ioloop.Config{}), startLoop(t, ioloop.Config{})
	var want iostream.Totals
	var streams []*iostream.Stream
	open := func(l *ioloop.Loop, written, arrived int) {
		s, peer := pair(t, l, "tcp", nil)
		_, err := s.Write(make([]byte, written))
		require.NoError(t, err)
		send(t, peer, string(make([]byte, arrived)))
		_, err = s.Read(patient(t), iostream.Peek(arrived))
		require.NoError(t, err)
		quiet(t, l)
		want.Streams++
		want.Buffered += int64(arrived)
		streams = append(streams, s)
	}
	backlog := func(of []*iostream.Stream) (sum int64) {
		for _, s := range of {
			sum += int64(s.Backlog())
		}
		return sum
	}
	// The kernel may take a little more at any time.
	requireTotal := func(want iostream.Totals, of []*iostream.Stream, loops ...*ioloop.Loop) {
		t.Helper()
		most := backlog(of)
		totals, err := iostream.Total(patient(t), loops...)
		require.NoError(t, err)
		require.LessOrEqual(t, totals.Backlog, most)
		require.GreaterOrEqual(t, totals.Backlog, backlog(of))
		want.Backlog = totals.Backlog
		require.Equal(t, want, totals)
	}
	open(second, 15<<20, 1)
	ofSecond := want
	open(first, 15<<20, 7)
	open(first, 20, 3)
	require.NotZero(t, backlog(streams), "the peers read nothing")
	requireTotal(want, streams, first, second)

	closed := newLoop(t, ioloop.Config{})
	require.NoError(t, closed.Close())
	requireTotal(ofSecond, streams[:1], closed, second)

	var none context.Context
	_, err := iostream.Total(none, first)
	require.ErrorIs(t, err, ioloop.ErrInvalid)
	onLoop(t, first, func() { _, err = iostream.Total(context.Background(), first) })
	require.ErrorIs(t, err, ioloop.ErrOnLoop)

	still := newLoop(t, ioloop.Config{})
	defer still.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	totals, err := iostream.Total(ctx, second, still)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.LessOrEqual(t, totals.Streams, 1)
}
