package socket

import "golang.org/x/sys/unix"

const sendFlags = 0

// noSigpipe stands in for MSG_NOSIGNAL.
func noSigpipe(fd int) error {
	return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_NOSIGPIPE, 1)
}

// sendError: a write may find the interface's queue full, which passes.
func sendError(err error) error {
	if err == unix.ENOBUFS {
		return unix.EAGAIN
	}
	return err
}
