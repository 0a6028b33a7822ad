//go:build unix || windows

package iostream_test

import (
	"context"
	"strings"
	"testing"

	"github.com/eddyloop/eddy/internal/testtime"
	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
	"github.com/stretchr/testify/require"
)

func newBudget(t testing.TB, limit int64) *iostream.Budget {
	t.Helper()
	b, err := iostream.NewBudget(limit)
	require.NoError(t, err)
	return b
}

func TestBudgetInvalid(t *testing.T) {
	for _, limit := range []int64{0, -1} {
		_, err := iostream.NewBudget(limit)
		requireIs(t, err, iostream.ErrInvalid)
	}
	require.False(t, (*iostream.Budget)(nil).Full())
}

// A budget counts what a stream holds at the end of its turns, and forgets it
// when it is read, sent or dropped.
func TestBudgetCounts(t *testing.T) {
	eachFace(t, func(t *testing.T, f face) {
		l := startLoop(t, ioloop.Config{})
		b := newBudget(t, 1<<20)
		s, peer := pair(t, l, "tcp", &iostream.Config{Budget: b})
		read := f.read(t, s, until("\n", 0))
		awaitRead(t, s)
		send(t, peer, "begun")
		require.Eventually(t, func() bool { return b.Used() > 0 }, patience, 1)
		require.LessOrEqual(t, b.Used(), int64(512)) // the smallest buffer
		send(t, peer, " and ended\nnext\nhalf")
		require.Equal(t, "begun and ended\n", receive(t, read).data)
		require.Equal(t, "next\n", receive(t, f.read(t, s, until("\n", 0))).data)
		require.Positive(t, b.Used())
		require.Equal(t, "half", receive(t, f.read(t, s, some(0))).data)
		read = f.read(t, s, some(0)) // the last result is no longer held
		awaitRead(t, s)
		quiet(t, l)
		require.Zero(t, b.Used())

		big := strings.Repeat("x", 8<<20)
		_, err := s.Write([]byte(big[:4<<20]))
		require.NoError(t, err)
		quiet(t, l)
		if !s.Closed() { // the kernel took nearly all of it
			require.EqualValues(t, s.Backlog(), b.Used())
		}
		require.NoError(t, s.Close())
		quiet(t, l)
		require.Zero(t, b.Used())
		receive(t, read)
	})
}

// A stream that keeps up with its messages holds nothing at the end of a turn.
func TestBudgetSteadyState(t *testing.T) {
	testtime.WholeTurns(t)
	l := startLoop(t, ioloop.Config{})
	b := newBudget(t, 1) // whoever holds a byte twice over is closed
	s, peer := pair(t, l, "tcp", &iostream.Config{Budget: b})
	require.NoError(t, l.Go(func(task *ioloop.Task) {
		for {
			line, err := s.Read(task, iostream.Until("\n"))
			if err != nil {
				return
			}
			_, _ = s.Write(line)
		}
	}))
	for range 100 {
		send(t, peer, "hello\n")
		expect(t, peer, "hello\n")
	}
	require.Zero(t, b.Used())
	require.NoError(t, s.WaitClosed(closing(s)))
}

func closing(s *iostream.Stream) context.Context {
	_ = s.Close()
	return context.Background()
}
