//go:build (linux && !eddy_plain) || freebsd || netbsd || openbsd || dragonfly

package socket

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// Stream returns a new stream socket of domain.
func Stream(domain int) (int, error) {
	return unix.Socket(domain, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
}

// accept goes through package syscall, as x/sys has no accept4 for NetBSD and
// OpenBSD.
func accept(fd int) (int, Address, error) {
	conn, sa, err := syscall.Accept4(fd, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
	if err != nil {
		return -1, Address{}, err
	}
	return conn, address(sa), nil
}
