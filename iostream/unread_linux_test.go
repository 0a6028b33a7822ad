package iostream

import (
	"context"
	"io"
	"runtime"
	"testing"
	"time"

	"github.com/eddyloop/eddy/internal/socket"
	"github.com/eddyloop/eddy/internal/testtime"
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

// A connection of which nothing has come, and that has not ended, is left alone.
func TestProbeOfAQuietSocket(t *testing.T) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK, 0)
	require.NoError(t, err)
	defer unix.Close(fds[0])
	s := &socketTransport{registration: ioloop.Unregistered(fds[0])}
	require.NoError(t, s.Probe())
	require.NoError(t, unix.Close(fds[1]))
	require.Equal(t, io.EOF, s.Probe())
}

// Several slices leave in one call.
func TestSocketWritesSeveralAtOnce(t *testing.T) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK, 0)
	require.NoError(t, err)
	defer unix.Close(fds[0])
	defer unix.Close(fds[1])
	s := &socketTransport{registration: ioloop.Unregistered(fds[0])}
	n, err := s.Write([][]byte{[]byte("ab"), []byte("cde")})
	require.NoError(t, err)
	require.Equal(t, 5, n)
}

// A stream over a socket whose peer has a short address is one allocation.
func TestSocketOfAShortAddressIsInItsStream(t *testing.T) {
	l, err := ioloop.New(ioloop.Config{})
	require.NoError(t, err)
	defer l.Close()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK, 0)
	require.NoError(t, err)
	s, err := NewSocket(l, fds[0], nil)
	require.NoError(t, err)
	require.Same(t, &s.socket.socketTransport, s.transport)
	s, err = newPrepared(l, fds[1], socket.PeerAddress(fds[1]), nil)
	require.NoError(t, err)
	require.Same(t, &s.socket, s.transport)
}

// Whoever waits until a file is sent, which another goroutine sends, is told by that: the loop
// has nothing to do with it.
func TestFlushHearsOfAFileThatIsSent(t *testing.T) {
	l, err := ioloop.New(ioloop.Config{})
	require.NoError(t, err)
	defer l.Close()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK, 0)
	require.NoError(t, err)
	defer unix.Close(fds[1])
	s, err := NewSocket(l, fds[0], nil)
	require.NoError(t, err)
	rest(t, l)
	_, mark, err := s.reserve(10)
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), testtime.Patience(5*time.Second))
	defer cancel()
	sent := make(chan error, 1)
	go func() { sent <- s.Flush(ctx) }()
	for Waiting(s) == 0 {
		runtime.Gosched()
	}
	require.False(t, s.unreserve(10, 10, mark))
	s.letGo()
	require.NoError(t, <-sent)
}
