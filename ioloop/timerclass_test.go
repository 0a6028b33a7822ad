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
		math.MinInt64: 0, -1: 0, 0: 0, 1: 0, 1<<18 - 1: 0,
		1 << 18:   1,
		ms:        2,
		1<<28 - 1: 10,
		1 << 28:   11, never: 11,
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
	require.EqualValues(t, timerClasses-1, once.class)
	once.Reset(time.Millisecond)
	require.EqualValues(t, 2, once.class)
	every, err := l.Every(time.Millisecond, func() {})
	require.NoError(t, err)
	every.Reset(time.Hour)
	require.EqualValues(t, 2, every.class)
}

// A turn that came to all that were due calls timers in the order of their times. One
// that did not has the classes take turns from then on, until it has caught up: the first
// every second time, the next every fourth time, and so on.
func TestClassesTakeTurns(t *testing.T) {
	var q timerQueue
	q.init()
	names := make(map[*Timer]string)
	add := func(class uint8, when time.Duration, list ...string) {
		for _, name := range list {
			timer := &Timer{index: -1, class: class}
			names[timer] = name
			q.add(timer, when)
		}
	}
	pops := func(n int) (popped []string) {
		q.mark(10)
		for range n {
			popped = append(popped, names[q.pop()])
		}
		return popped
	}
	add(11, 1, "11a", "11b")
	add(1, 3, "1a")
	add(1, 4, "1b", "1c", "1d", "1e")
	add(2, 5, "2a", "2b", "2c", "2d")
	add(4, 6, "4a", "4b", "4c", "4d")
	add(1, 10, "1f")
	add(0, 11, "not due")
	require.Equal(t, []string{"11a", "11b", "1a"}, pops(3))
	q.behind = true
	require.Equal(t, []string{"1b", "1c", "1d", "2a", "1e", "1f"}, pops(6))
	require.Equal(t, []string{"2b", "4a", "2c", "2d", "4b", "4c", "4d"}, pops(7))
	require.Equal(t, []string{""}, pops(1))
	require.False(t, q.behind)
	add(11, 2, "11c")
	add(1, 1, "1g")
	add(1, 3, "1h")
	require.Equal(t, []string{"1g", "11c", "1h", ""}, pops(4))
}

// However many timers are due together, and however long they were set for, a timer of a
// millisecond comes to its turn within the calls of a few milliseconds.
func TestShortTimerBesideManyThatAreDue(t *testing.T) {
	const many, spread = 200_000, 50 * time.Millisecond
	var q timerQueue
	q.init()
	for i := range many { // set one after the other, for one moment
		q.add(&Timer{index: -1, class: classOf(spread * time.Duration(many-i) / many)}, spread)
	}
	short := &Timer{index: -1, class: classOf(time.Millisecond)}
	q.add(short, spread+1)
	q.mark(spread + 1)
	q.behind = true
	calls := 1
	for ; q.pop() != short; calls++ {
	}
	require.Less(t, calls, 10_000)
}
