//go:build unix && !((linux && !eddy_plain) || freebsd || netbsd || openbsd || dragonfly)

package socket

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// Stream returns a new stream socket of domain. The system has no flags to do
// it in one step; the fork lock keeps a child from inheriting the socket
// in between.
func Stream(domain int) (int, error) {
	syscall.ForkLock.RLock()
	fd, err := unix.Socket(domain, unix.SOCK_STREAM, 0)
	if err == nil {
		unix.CloseOnExec(fd)
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return -1, err
	}
	if err := prepare(fd); err != nil {
		_ = unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// accept does not hold the fork lock: it might block if somebody has made the
// listener blocking. Whether the connection inherits the listener's flags
// differs, so all are set.
func accept(fd int) (int, Address, error) {
	conn, peer, err := syscall.Accept(fd)
	if err != nil {
		return -1, Address{}, err
	}
	unix.CloseOnExec(conn)
	if err := prepare(conn); err != nil {
		_ = unix.Close(conn)
		return -1, Address{}, err
	}
	return conn, address(peer), nil
}
