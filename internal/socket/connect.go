//go:build unix

package socket

import (
	"net"

	"golang.org/x/sys/unix"
)

// New returns a socket that fits addr, to be bound or connected.
func New(addr net.Addr) (int, error) {
	_, domain, err := Sockaddr(addr)
	if err != nil {
		return -1, err
	}
	return Stream(domain)
}

// Bind gives a socket that will connect its own address. A port of 0 is left to
// Connect, which can share one between connections to different peers.
func Bind(fd int, local net.Addr) error {
	sa, _, err := Sockaddr(local)
	if err != nil {
		return err
	}
	if a, ok := local.(*net.TCPAddr); ok && a.Port == 0 {
		bindWithoutPort(fd)
	}
	return unix.Bind(fd, sa)
}

// Connect starts to connect a socket. If done is false, the socket becomes
// writable when the outcome is there; see Connected.
func Connect(fd int, addr net.Addr) (done bool, err error) {
	sa, _, err := Sockaddr(addr)
	if err != nil {
		return false, err
	}
	switch err = unix.Connect(fd, sa); err {
	case nil, unix.EISCONN:
		return true, Connected(fd)
	case unix.EINPROGRESS, unix.EALREADY, unix.EINTR: // an interrupted connect goes on by itself
		return false, nil
	}
	return false, err
}

// Connected returns the outcome of a connect whose socket has become writable,
// or EINPROGRESS if there is none yet: the event may have been spurious.
func Connected(fd int) error {
	if err := TakeError(fd); err != nil {
		return err
	}
	peer, err := unix.Getpeername(fd)
	switch {
	case err == unix.ENOTCONN:
		return unix.EINPROGRESS
	case err == nil && isSelf(fd, peer):
		return unix.ECONNREFUSED
	}
	return err
}

// isSelf reports whether a TCP socket has connected to itself: the port that
// nobody listens on happened to be the one that it was given.
func isSelf(fd int, peer unix.Sockaddr) bool {
	self, err := unix.Getsockname(fd)
	return err == nil && address(peer).family == familyIP && address(self) == address(peer)
}
