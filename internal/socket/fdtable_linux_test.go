package socket

import (
	"net"
	"os"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/eddyloop/eddy/internal/testtime"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// Long before it is full, the table of descriptors is made larger: not by who accepts, who
// would wait for that.
func TestTableGrowsAhead(t *testing.T) {
	before := fdSize(t)
	if before > 1<<16 || 2*before > fdLimit(t) {
		t.Skip("the table is large already")
	}
	expectMore(before / 2)
	require.Eventually(t, func() bool { return fdSize(t) >= 2*before }, testtime.Patience(10*time.Second), time.Millisecond)
	size := tableSize.Load()
	require.GreaterOrEqual(t, size, int64(max(minTable, 4*before)))
	expectMore(before / 4)
	require.Equal(t, size, tableSize.Load(), "it was made large enough")
}

func TestListenMakesTable(t *testing.T) {
	fd, err := Listen(&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}, 1, nil)
	require.NoError(t, err)
	defer Close(fd)
	want := min(minTable, fdLimit(t))
	require.Eventually(t, func() bool { return fdSize(t) >= want }, testtime.Patience(10*time.Second), time.Millisecond)
}

// fdLimit returns how many descriptors the process may have.
func fdLimit(t *testing.T) int {
	var limit unix.Rlimit
	require.NoError(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &limit))
	return int(min(limit.Cur, 1<<30))
}

// fdSize returns for how many descriptors the kernel has a table.
func fdSize(t *testing.T) int {
	status, err := os.ReadFile("/proc/self/status")
	require.NoError(t, err)
	found := regexp.MustCompile(`FDSize:\s+(\d+)`).FindSubmatch(status)
	require.NotNil(t, found)
	n, err := strconv.Atoi(string(found[1]))
	require.NoError(t, err)
	return n
}
