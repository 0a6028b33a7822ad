//go:build unix || windows

package socket

import (
	"errors"
	"net"
	"syscall"
)

// New returns a socket that fits addr, to be bound or connected.
func New(addr net.Addr) (int, error) {
	_, domain, err := Sockaddr(addr)
	if err != nil {
		return -1, err
	}
	fd, err := Stream(domain)
	if err == nil {
		expectMore(fd)
	}
	return fd, err
}

// Bind gives a socket that will connect its own address. On Linux a port of 0 is left
// to Connect, which can share one between connections to different peers.
func Bind(fd int, local net.Addr) error {
	sa, _, err := Sockaddr(local)
	if err != nil {
		return err
	}
	if a, ok := local.(*net.TCPAddr); ok && a.Port == 0 {
		bindWithoutPort(fd)
	}
	return fault(syscall.Bind(handle(fd), sa))
}

// Connect starts to connect a socket. If done is false, the socket becomes
// writable when the outcome is there; see Connected.
func Connect(fd int, addr net.Addr) (done bool, err error) {
	sa, _, err := Sockaddr(addr)
	if err != nil {
		return false, err
	}
	if a, ok := addr.(*net.TCPAddr); ok && a.IP.IsLoopback() {
		refuseSoon(fd)
	}
	switch err = connect(fd, sa); {
	case InProgress(err), errors.Is(err, syscall.EALREADY), errors.Is(err, syscall.EINTR): // an interrupted connect goes on by itself
		return false, nil
	case err == nil, errors.Is(err, syscall.EISCONN):
		return true, Connected(fd)
	}
	return false, err
}

var errInProgress = fault(syscall.EINPROGRESS)

// InProgress reports whether err is Connected's for "no outcome yet".
func InProgress(err error) bool { return err == errInProgress }

// Connected returns the outcome of a connect whose socket has become writable,
// or EINPROGRESS if there is none yet: the event may have been spurious.
func Connected(fd int) error {
	if err := TakeError(fd); err != nil {
		return err
	}
	peer, err := syscall.Getpeername(handle(fd))
	switch err = fault(err); {
	case errors.Is(err, syscall.ENOTCONN):
		return errInProgress
	case err == nil && isSelf(fd, peer):
		return fault(syscall.ECONNREFUSED)
	}
	return err
}

// isSelf reports whether a TCP socket has connected to itself: the port that
// nobody listens on happened to be the one that it was given.
func isSelf(fd int, peer syscall.Sockaddr) bool {
	self, err := syscall.Getsockname(handle(fd))
	return err == nil && address(peer).family == familyIP && address(self) == address(peer)
}
