//go:build linux && !race && !eddy_plain

package socket

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// Accept takes the next connection of a listener that nobody else has. It does
// not block, so the scheduler need not hear of it, and nobody asks for the peer's
// address yet.
func Accept(fd int) (int, error) {
	for {
		conn, _, errno := syscall.RawSyscall6(unix.SYS_ACCEPT4, uintptr(fd), 0, 0, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0, 0)
		switch errno {
		case 0:
			return int(conn), nil
		case unix.EINTR:
		default:
			return -1, errno
		}
	}
}
