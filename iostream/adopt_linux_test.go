package iostream_test

import (
	"runtime"
	"runtime/debug"
	"testing"

	"github.com/eddyloop/eddy/ioloop"
	"github.com/stretchr/testify/require"
)

// TestDetachLeavesNoDescriptors but the connection's, whenever memory is collected.
func TestDetachLeavesNoDescriptors(t *testing.T) {
	l := startLoop(t, ioloop.Config{})
	s, _ := pair(t, l, "tcp", nil)
	quiet(t, l)
	runtime.GC()
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	before := openFiles(t)
	conn, _, err := s.Detach()
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, s.WaitClosed(patient(t)))
	require.Equal(t, before, openFiles(t))
}
