package socket

import (
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestQueued(t *testing.T) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	defer unix.Close(fds[1])
	require.Zero(t, Queued(fds[0]))
	_, err = unix.Write(fds[0], []byte("unread"))
	require.NoError(t, err)
	require.Positive(t, Queued(fds[0]))
	_, err = unix.Read(fds[1], make([]byte, 10))
	require.NoError(t, err)
	require.Zero(t, Queued(fds[0]))
	defer unix.Close(fds[0])
	require.Zero(t, Queued(-1), "not told")
}
