package iostream

import (
	"testing"
	"time"

	"github.com/eddyloop/eddy/ioloop"
	"github.com/stretchr/testify/require"
)

// Who was told to go and has not gone yet counts as gone, and only somebody's loop is asked
// to send them away.
func TestBudgetSendsEachAwayOnce(t *testing.T) {
	b, err := NewBudget(100)
	require.NoError(t, err)
	hold := func(bytes int64) (*Stream, *holding) {
		s, h := stillStream(t), new(holding)
		b.take(s, h, bytes)
		return s, h
	}
	hold(10)
	large, h := hold(80)
	require.Nil(t, b.asked)
	require.Empty(t, b.worst())
	hold(20)
	require.NotNil(t, b.asked)
	require.Equal(t, []*Stream{large}, b.worst())
	require.Nil(t, b.asked)
	require.Empty(t, b.worst(), "it is on its way")
	b.take(large, h, 0)
	require.Len(t, b.held, 2)
	require.EqualValues(t, 30, b.Used())

	s := stillStream(t)
	require.NoError(t, s.loop.Close())
	b.take(s, new(holding), 100)
	require.Nil(t, b.asked, "a closed loop does nothing")
}

// Who waits for room is told once.
func TestBudgetTellsOfRoom(t *testing.T) {
	b, err := NewBudget(100)
	require.NoError(t, err)
	s, h, told := stillStream(t), new(holding), 0
	tell := func() { told++ }
	b.take(s, h, 99)
	require.False(t, b.whenRoom(tell))
	b.take(s, h, 100)
	require.True(t, b.whenRoom(tell))
	require.True(t, b.whenRoom(tell))
	b.take(s, h, 101)
	require.Zero(t, told)
	for range 2 {
		b.take(s, h, 99)
		require.Equal(t, 2, told)
	}
}

// Progress is that a sixteenth of what is held has moved, in all.
func TestBudgetProgress(t *testing.T) {
	clock := new(ioloop.ManualClock)
	l, err := ioloop.New(ioloop.Config{Clock: clock})
	require.NoError(t, err)
	defer l.Close()
	s, err := New(l, source{}, nil)
	require.NoError(t, err)
	h := &holding{bytes: 1600}
	since := func() time.Duration { return time.Duration(h.since.Load()) }
	for i, unread := range []int{99, 100, 1, 1, 100, 0} { // moved: 99, 1, 99, 0, 99, 100
		clock.Advance(time.Second)
		s.in.data = make([]byte, unread)
		h.look(s, 1600)
		want := []int{0, 2, 2, 2, 5, 6}[i]
		require.Equal(t, time.Duration(want)*time.Second, since(), i)
	}
}
