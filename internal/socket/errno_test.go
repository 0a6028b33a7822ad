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
