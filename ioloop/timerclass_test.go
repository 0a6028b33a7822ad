package ioloop

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestClassOfTimer(t *testing.T) {
	const ms = time.Millisecond
	for d, want := range map[time.Duration]uint8{
		math.MinInt64: 0, -1: 0, 0: 0,
		1: 1, 8*ms - 1: 1,
		8 * ms: 2, 512*ms - 1: 2,
		512 * ms: 3, never: 3,
	} {
		require.Equal(t, want, classOf(d), "%v", d)
	}
}

// A timer of Every is of the class of its period, however long it was set back.
func TestClassOfPeriodicTimer(t *testing.T) {
	l, err := New(Config{Clock: new(ManualClock)})
	require.NoError(t, err)
	defer l.Close()
	once := l.AfterFunc(time.Hour, func() {})
	require.EqualValues(t, 3, once.class)
	once.Reset(time.Millisecond)
	require.EqualValues(t, 1, once.class)
	every, err := l.Every(time.Millisecond, func() {})
	require.NoError(t, err)
	every.Reset(time.Hour)
	require.EqualValues(t, 1, every.class)
}

// A turn that came to all that were due calls timers in the order of their times. One
// that did not has the classes take turns from then on, until it has caught up.
func TestClassesTakeTurns(t *testing.T) {
	var q timerQueue
	q.init()
	names := make(map[*Timer]string)
	add := func(class uint8, when time.Duration, name string) {
		timer := &Timer{index: -1, class: class}
		names[timer] = name
		q.add(timer, when)
	}
	pops := func(n int) (popped []string) {
		q.mark(10)
		for range n {
			popped = append(popped, names[q.pop()])
		}
		return popped
	}
	add(3, 1, "3a")
	add(3, 2, "3b")
	add(3, 6, "3c")
	add(3, 7, "3d")
	add(1, 3, "1a")
	add(1, 4, "1b")
	add(1, 10, "1c")
	add(2, 5, "2a")
	add(0, 11, "not due")
	require.Equal(t, []string{"3a", "3b", "1a"}, pops(3))
	q.behind = true
	require.Equal(t, []string{"2a", "3c", "1b", "3d", "1c"}, pops(5))
	require.Equal(t, []string{""}, pops(1))
	require.False(t, q.behind)
	add(3, 2, "3e")
	add(1, 1, "1d")
	add(1, 3, "1e")
	require.Equal(t, []string{"1d", "3e", "1e", ""}, pops(4))
}
