package iostream

import (
	"testing"

	"github.com/eddyloop/eddy/ioloop"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// The end of the peer's stream is nothing that somebody has left unread.
func TestSocketHasUnread(t *testing.T) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK, 0)
	require.NoError(t, err)
	defer unix.Close(fds[0])
	s := &socketTransport{registration: ioloop.Unregistered(fds[0])}
	require.False(t, s.hasUnread())
	_, err = unix.Write(fds[1], []byte("x"))
	require.NoError(t, err)
	require.NoError(t, unix.Close(fds[1]))
	require.True(t, s.hasUnread())
	_, err = unix.Read(fds[0], make([]byte, 10))
	require.NoError(t, err)
	require.False(t, s.hasUnread())
}
