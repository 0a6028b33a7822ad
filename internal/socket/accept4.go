//go:build (linux && race) || freebsd || netbsd || openbsd || dragonfly

package socket

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// Accept takes the next connection of a listener. It goes through package
// syscall, as x/sys has no accept4 for NetBSD and OpenBSD.
func Accept(fd int) (int, error) {
	conn, _, err := syscall.Accept4(fd, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
	return conn, err
}
