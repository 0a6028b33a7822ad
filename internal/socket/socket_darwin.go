package socket

import "golang.org/x/sys/unix"

// sendFlags is nothing: not every release knows MSG_NOSIGNAL.
const sendFlags = 0

// noSigpipe stands in for MSG_NOSIGNAL. A connection that is broken already
// refuses the option with EINVAL; the next read tells what became of it.
func noSigpipe(fd int) error {
	err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_NOSIGPIPE, 1)
	if err == unix.EINVAL {
		return nil
	}
	return err
}

func (o *Options) setKeepAlive(fd int) error {
	return o.setTimes(fd, unix.TCP_KEEPALIVE, unix.TCP_KEEPINTVL, unix.TCP_KEEPCNT)
}

// Queued returns how many bytes that were sent have not reached the peer; 0 if the
// system does not tell.
func Queued(fd int) int {
	n, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_NWRITE)
	if err != nil {
		return 0
	}
	return n
}
