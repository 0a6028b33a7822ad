package ioloop

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Random operations against a sorted list.
func TestTimerHeapModel(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 10 {
		var q timerQueue
		q.init()
		var model []timerEntry
		timers := make([]*Timer, 200)
		for i := range timers {
			timers[i] = &Timer{index: -1}
		}
		for range 2000 {
			timer := timers[random.IntN(len(timers))]
			at := slices.IndexFunc(model, func(e timerEntry) bool { return e.timer == timer })
			require.Equal(t, at >= 0, timer.index >= 0)
			switch {
			case at >= 0:
				require.True(t, q.remove(timer))
				model = slices.Delete(model, at, at+1)
			case random.IntN(4) > 0:
				when := time.Duration(random.IntN(50))
				entry := timerEntry{when, q.sequence, timer}
				q.add(timer, when)
				place := slices.IndexFunc(model, entry.before)
				if place < 0 {
					place = len(model)
				}
				model = slices.Insert(model, place, entry)
			default:
				require.False(t, q.remove(timer))
				q.now, q.limit = time.Duration(random.IntN(50)), random.Uint64N(q.sequence+1)
				var want *Timer
				if len(model) > 0 && model[0].when <= q.now && model[0].sequence < q.limit {
					want, model = model[0].timer, model[1:]
				}
				require.Same(t, want, q.pop())
			}
			checkHeap(t, &q, model)
		}
	}
}

// A timer that was removed is not held.
func TestTimerHeapHoldsNone(t *testing.T) {
	var q timerQueue
	q.init()
	timers := [3]Timer{{index: -1}, {index: -1}, {index: -1}}
	for i := range timers {
		q.add(&timers[i], time.Duration(i))
	}
	for _, i := range []int{1, 0, 2} {
		require.True(t, q.remove(&timers[i]))
		h := q.heaps[0]
		require.Zero(t, h[:len(h)+1][len(h)])
	}
}

func checkHeap(t *testing.T, q *timerQueue, model []timerEntry) {
	t.Helper()
	earliest := never
	if len(model) > 0 {
		earliest = model[0].when
		require.Equal(t, model[0], q.heaps[0][0])
	}
	require.Equal(t, int64(earliest), q.earliest.Load())
	require.Len(t, q.heaps[0], len(model))
	for i, e := range q.heaps[0] {
		if e.timer.index != i || i > 0 && e.before(q.heaps[0][(i-1)/4]) {
			require.FailNow(t, "not a heap", "at %d: %v", i, q.heaps[0])
		}
	}
}
