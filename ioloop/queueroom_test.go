package ioloop

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// An empty queue keeps room for maxSpare entries, and not that of a burst.
func TestRoomOfEmptiedQueue(t *testing.T) {
	for room, want := range map[int]int{0: 0, 1: 1, maxSpare: maxSpare, maxSpare + 1: 0} {
		q := emptied(make([]Runner, room))
		require.Empty(t, q)
		require.Equal(t, want, cap(q))
	}
}
