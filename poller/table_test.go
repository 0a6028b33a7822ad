//go:build unix || windows

package poller

import (
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

// burst takes and releases n slots, and returns what they were in between.
func burst(t *table, n int) (seen []slot) {
	for fd := range n {
		i := t.take(100 + fd)
		seen = append(seen, t.slots[i])
	}
	for fd := range n {
		i, _ := t.lookup(100 + fd)
		t.release(i)
	}
	return seen
}

// The memory of a burst comes back, that of the map too.
func TestTableShrinks(t *testing.T) {
	heap := func() int {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int(m.HeapAlloc)
	}
	table := newTable()
	stays := table.take(5)
	before := heap()
	burst(table, 100_000)
	require.LessOrEqual(t, cap(table.slots), 2*maxSpare)
	require.Less(t, heap()-before, 500_000)
	i, ok := table.lookup(5)
	require.True(t, ok)
	require.Equal(t, stays, i)
}

// Slots behind which one is in use can't go. The next registrations take the first
// places, so that they can when that one is released.
func TestTableShrinksBehindTheLast(t *testing.T) {
	table := newTable()
	for fd := range 100_000 {
		table.take(fd)
	}
	for fd := range 99_999 {
		i, _ := table.lookup(fd)
		table.release(i)
	}
	require.Equal(t, 100_000, len(table.slots))
	for fd := range 1000 {
		require.Less(t, table.take(fd), uint32(30_000))
	}
	i, _ := table.lookup(99_999)
	table.release(i)
	for fd := range 20_000 { // others come and go
		table.release(table.take(200_000 + fd))
	}
	require.Less(t, cap(table.slots), 60_000)
	for fd := range 1000 {
		i, ok := table.lookup(fd)
		require.True(t, ok)
		require.Equal(t, int32(fd), table.slots[i].fd)
	}
}

// What was found of a slot that has been dropped is never taken for a later one's.
func TestTableDropsNoGeneration(t *testing.T) {
	const n = 5000
	for _, first := range []uint32{0, 1<<31 - n, -n + 1<<32 - 1, 1<<32 - 10} {
		table := newTable()
		table.changes = first
		seen := burst(table, n)
		require.Less(t, len(table.slots), n)
		for range 3 {
			for fd := range n {
				table.take(fd)
			}
			for i, old := range seen {
				require.Nil(t, table.at(uint32(i), old.gen))
			}
			for fd := range n {
				i, _ := table.lookup(fd)
				table.release(i)
			}
		}
	}
}

func BenchmarkTableBurst(b *testing.B) {
	table := newTable()
	for b.Loop() {
		burst(table, 10_000)
	}
}
