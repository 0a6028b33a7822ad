//go:build unix

package socket

import (
	"net"
	"runtime"
	"testing"
	"time"

	"github.com/eddyloop/eddy/internal/testtime"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestSendError(t *testing.T) {
	fd, err := Stream(unix.AF_INET)
	require.NoError(t, err)
	defer Close(fd)
	for _, c := range []struct {
		goos      string
		got, want error
	}{
		{"darwin", unix.ENOBUFS, unix.EAGAIN},
		{"freebsd", unix.ENOBUFS, unix.ENOBUFS},
		{"darwin", unix.EPROTOTYPE, unix.ECONNRESET},
		{"linux", unix.EPROTOTYPE, unix.EPROTOTYPE},
		{"darwin", unix.EPIPE, unix.EPIPE},
		{"darwin", nil, nil},
	} {
		require.Equal(t, c.want, sendError(c.goos, fd, c.got), "%s: %v", c.goos, c.got)
	}
}

// broken returns a socket whose peer has reset the connection.
func broken(t *testing.T) int {
	listener, err := Listen(&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}, 1, nil)
	require.NoError(t, err)
	defer Close(listener)
	fd, err := New(LocalAddr(listener))
	require.NoError(t, err)
	t.Cleanup(func() { Close(fd) })
	_, err = Connect(fd, LocalAddr(listener))
	require.NoError(t, err)
	await := func(fd int, write bool) {
		require.NoError(t, AwaitReady(fd, write, testtime.Patience(10*time.Second)))
	}
	await(fd, true)
	require.NoError(t, Connected(fd))
	await(listener, false)
	peer, _, err := Accept(listener)
	require.NoError(t, err)
	require.NoError(t, SetLinger(peer, 0))
	require.NoError(t, Close(peer))
	await(fd, false)
	return fd
}

// Sending to a peer that has reset the connection is an error, which tells that,
// and no signal.
func TestSendToBrokenPeer(t *testing.T) {
	fd := broken(t)
	_, err := Send(fd, make([]byte, 100))
	require.Equal(t, unix.ECONNRESET, err)
	_, err = Send(fd, make([]byte, 100))
	require.Equal(t, unix.EPIPE, err)
	_, err = SendVector(broken(t), [][]byte{make([]byte, 100), make([]byte, 100)})
	require.Equal(t, unix.ECONNRESET, err)
}

// On a BSD the call itself says EPIPE, and the reset is pending.
func TestSendErrorTellsOfReset(t *testing.T) {
	fd := broken(t)
	require.Equal(t, unix.ECONNRESET, sendError("netbsd", fd, unix.EPIPE))
	require.Equal(t, unix.EPIPE, sendError("netbsd", fd, unix.EPIPE), "it was taken")
}

// On systems where accepted sockets do not inherit them, a listener goes without
// keep-alive, and what it has else is the same.
func TestListenerHasNoKeepAlive(t *testing.T) {
	get := func(fd, level, option int) int {
		value, err := unix.GetsockoptInt(fd, level, option)
		require.NoError(t, err)
		return value
	}
	for _, inherits := range []bool{false, true} {
		fd, err := Stream(unix.AF_INET)
		require.NoError(t, err)
		defer Close(fd)
		o := Options{KeepAlive: true, Idle: time.Second, Interval: time.Second, Count: 3, ReadBuffer: 50_000}
		before := get(fd, unix.SOL_SOCKET, unix.SO_RCVBUF)
		require.NoError(t, o.setListening(fd, true, inherits))
		require.Equal(t, inherits, get(fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE) != 0)
		require.NotEqual(t, before, get(fd, unix.SOL_SOCKET, unix.SO_RCVBUF))
		require.NotZero(t, get(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY))
		if runtime.GOOS == "linux" {
			o.Count = 1000
			require.ErrorIs(t, o.setListening(fd, true, inherits), unix.EINVAL, "refused before it listens")
		}
	}
}

// What accept fails with for want of something is neither the fault of one
// connection nor the end of the backlog: a server has to back off.
func TestAcceptErrors(t *testing.T) {
	for _, want := range []error{unix.EMFILE, unix.ENFILE, unix.ENOBUFS, unix.ENOMEM} {
		require.False(t, ConnectionLost(want), want)
		require.False(t, WouldBlock(want), want)
	}
	for _, lost := range []error{unix.ECONNABORTED, unix.EPROTO, unix.ENETDOWN, unix.EHOSTUNREACH} {
		require.True(t, ConnectionLost(lost), lost)
	}
}

// One call is given no more bytes, and no more slices, than it moves.
func TestClip(t *testing.T) {
	sizes := func(bufs [][]byte) (sizes []int) {
		for _, b := range bufs {
			sizes = append(sizes, len(b))
		}
		return sizes
	}
	for _, c := range []struct{ in, want []int }{
		{nil, nil},
		{[]int{1, 0, 2}, []int{1, 0, 2}},
		{[]int{MaxBytes + 1, 1}, []int{MaxBytes}},
		{[]int{MaxBytes - 2, 1, 5, 1}, []int{MaxBytes - 2, 1, 1}},
		{[]int{MaxBytes - 2, 2, 5}, []int{MaxBytes - 2, 2}},
		{make([]int, maxVector+1), make([]int, maxVector)},
	} {
		var bufs [][]byte
		for _, n := range c.in {
			bufs = append(bufs, make([]byte, n))
		}
		got := clip(bufs)
		require.Equal(t, c.want, sizes(got))
		require.Equal(t, c.in, sizes(bufs), "the caller's slices are as they were")
		total := 0
		for _, n := range c.want {
			total += n
		}
		require.Equal(t, total, Attempt(bufs))
	}
}
