package ioloop

import (
	"strconv"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
)

// TestSizes holds what a task costs, and a message, for which there is a new one: a
// field more may put them into the next of the runtime's size classes.
func TestSizes(t *testing.T) {
	if strconv.IntSize != 64 {
		t.Skip("the sizes are those of 64-bit systems")
	}
	require.LessOrEqual(t, unsafe.Sizeof(Task{}), uintptr(24), "a task")
	require.LessOrEqual(t, unsafe.Offsetof(coroutine{}.job), uintptr(64), "what a switch needs is one cache line")
	require.LessOrEqual(t, unsafe.Sizeof(coroutine{}), uintptr(96), "a coroutine")
}
