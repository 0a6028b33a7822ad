//go:build unix

package socket

import (
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestSendError(t *testing.T) {
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
		require.Equal(t, c.want, sendError(c.goos, c.got), "%s: %v", c.goos, c.got)
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
