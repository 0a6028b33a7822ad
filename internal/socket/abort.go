//go:build unix

package socket

import "golang.org/x/sys/unix"

// ResetOnClose has the close of a TCP socket break the connection: nothing more is
// sent, and the peer sees a reset. Closing does not block. On a Unix socket it has
// no effect.
func ResetOnClose(fd int) {
	_ = unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1, Linger: 0})
}
