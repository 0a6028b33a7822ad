package iostream

import (
	"strconv"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
)

// TestSizes holds what a quiet connection costs: a stream of a socket, and what a task
// waits with. A field more may put them into the next of the runtime's size classes.
func TestSizes(t *testing.T) {
	if strconv.IntSize != 64 {
		t.Skip("the sizes are those of 64-bit systems")
	}
	require.LessOrEqual(t, unsafe.Sizeof(*newSocketStream(0)), uintptr(192), "stream of a socket")
	require.EqualValues(t, 64, unsafe.Sizeof(waitOp{}), "a waiting call, one cache line")
}
