//go:build (linux && !eddy_plain) || freebsd || netbsd || openbsd || dragonfly

package socket

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// accept goes through package syscall, as x/sys has no accept4 for NetBSD and
// OpenBSD.
func accept(fd int) (int, Address, error) {
	conn, sa, err := syscall.Accept4(fd, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
	if err != nil {
		return -1, Address{}, err
	}
	switch sa := sa.(type) {
	case *syscall.SockaddrInet4:
		return conn, ip4Address(sa.Addr, sa.Port), nil
	case *syscall.SockaddrInet6:
		return conn, ipAddress(sa.Addr, sa.Port, sa.ZoneId), nil
	case *syscall.SockaddrUnix:
		return conn, unixAddress(sa.Name), nil
	}
	return conn, Address{}, nil
}
