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
	open := func(l *ioloop.Loop, written, arrived int) {
		s, peer := pair(t, l, "tcp", nil)
		_, err := s.Write(make([]byte, written))
		require.NoError(t, err)
		send(t, peer, string(make([]byte, arrived)))
		_, err = s.Read(patient(t), iostream.Peek(arrived))
		require.NoError(t, err)
		quiet(t, l)
		want.Streams++
		want.Backlog += int64(s.Backlog())
		want.Buffered += int64(arrived)
	}
	open(second, 15<<20, 1)
	ofSecond := want
	open(first, 15<<20, 7)
	open(first, 20, 3)
	require.NotZero(t, want.Backlog, "the peers read nothing")
	totals, err := iostream.Total(patient(t), first, second)
	require.NoError(t, err)
	require.Equal(t, want, totals)

	closed := newLoop(t, ioloop.Config{})
	require.NoError(t, closed.Close())
	totals, err = iostream.Total(patient(t), closed, second)
	require.NoError(t, err)
	require.Equal(t, ofSecond, totals)

	var none context.Context
	_, err = iostream.Total(none, first)
	require.ErrorIs(t, err, ioloop.ErrInvalid)
	onLoop(t, first, func() { _, err = iostream.Total(context.Background(), first) })
	require.ErrorIs(t, err, ioloop.ErrOnLoop)

	still := newLoop(t, ioloop.Config{})
	defer still.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	totals, err = iostream.Total(ctx, second, still)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.LessOrEqual(t, totals.Streams, 1)
}
