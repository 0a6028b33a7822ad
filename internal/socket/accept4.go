//go:build (linux && !eddy_plain) || freebsd || netbsd || openbsd || dragonfly

package socket

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// accept goes through package syscall, as x/sys has no accept4 for NetBSD and
// OpenBSD.
func accept(fd int) (int, error) {
	conn, _, err := syscall.Accept4(fd, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
	return conn, err
}
