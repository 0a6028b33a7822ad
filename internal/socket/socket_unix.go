//go:build unix

package socket

import (
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Peek looks at the next byte of a socket without taking it: 1 if there is one,
// 0 at the end of the stream, or an error.
func Peek(fd int) (int, error) {
	var b [1]byte
	for {
		n, _, err := unix.Recvfrom(fd, b[:], unix.MSG_PEEK)
		if err != unix.EINTR {
			return n, err
		}
	}
}

// clip cuts bufs to what one call moves.
func clip(bufs [][]byte) [][]byte {
	left := MaxBytes
	for i, b := range bufs[:min(len(bufs), maxVector)] {
		if len(b) >= left {
			clipped := append([][]byte(nil), bufs[:i+1]...)
			clipped[i] = b[:left]
			return clipped
		}
		left -= len(b)
	}
	return bufs[:min(len(bufs), maxVector)]
}

var errAgain error = unix.EAGAIN

// Close closes fd. It is not tried again on EINTR: the descriptor is gone
// either way.
func Close(fd int) error { return unix.Close(fd) }

// Adopt makes a stream socket of somebody else's non-blocking and closed on
// exec. It returns an *os.SyscallError: of ENOTSOCK, or of ESOCKTNOSUPPORT for a
// socket that is not a byte stream.
func Adopt(fd int) error {
	if err := IsStream(fd); err != nil {
		return os.NewSyscallError("getsockopt", err)
	}
	unix.CloseOnExec(fd)
	return os.NewSyscallError("fcntl", prepare(fd))
}

// prepare makes a socket what Stream could not make it at once.
func prepare(fd int) error {
	if err := unix.SetNonblock(fd, true); err != nil {
		return err
	}
	return noSigpipe(fd)
}

// sendError gives an errno of sending to fd on the system goos the meaning that the
// callers know.
func sendError(goos string, fd int, err error) error {
	switch {
	case err == unix.EPIPE:
		// Linux says why, if the connection has broken. The BSDs look whether
		// anything can be sent (CANTSENDMORE) before the reason (so_error), and leave
		// that pending.
		if reason := TakeError(fd); reason != nil {
			return reason
		}
	case goos == "darwin" && err == unix.ENOBUFS: // the interface's queue is full, which passes
		return unix.EAGAIN
	case goos == "darwin" && err == unix.EPROTOTYPE: // the socket is just being torn down
		return unix.ECONNRESET
	}
	return err
}

// WouldBlock reports whether err means that there is nothing to do yet.
func WouldBlock(err error) bool { return err == unix.EAGAIN || err == unix.EWOULDBLOCK }

// ConnectionLost reports whether accept failed for a reason of that one
// connection, which ended before it was accepted. On Linux accept also passes
// on pending network errors of the new socket.
func ConnectionLost(err error) bool {
	switch err {
	case unix.ECONNABORTED, unix.EPROTO, unix.EINTR, unix.ENETDOWN, unix.ENOPROTOOPT, unix.EHOSTDOWN,
		unix.EHOSTUNREACH, unix.EOPNOTSUPP, unix.ENETUNREACH, unix.EPERM:
		return true
	}
	return false
}

// Duplicate returns another descriptor of the same open file, closed on exec.
func Duplicate(fd int) (int, error) {
	syscall.ForkLock.RLock() // AIX has no F_DUPFD_CLOEXEC
	defer syscall.ForkLock.RUnlock()
	d, err := unix.Dup(fd)
	if err == nil {
		unix.CloseOnExec(d)
	}
	return d, err
}

// Vacate closes what fd stands for and keeps the number, which from then on is
// an unconnected socket's, for whoever may still use it. Here it is always kept.
func Vacate(fd int) (kept bool, err error) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	other, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		return true, err
	}
	defer unix.Close(other)
	return true, replace(other, fd)
}

// AwaitReady waits until the socket is readable, or writable, or the time is over.
func AwaitReady(fd int, write bool, limit time.Duration) error {
	list := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	if write {
		list[0].Events = unix.POLLOUT
	}
	if _, err := unix.Poll(list, int(limit.Milliseconds())); err != nil && err != unix.EINTR {
		return os.NewSyscallError("poll", err)
	}
	return nil
}

// What the files for every system call by one name. Windows, where a socket is a
// handle and errors are Winsock's, has more to say here.

type handle = int

const (
	soAcceptConn = unix.SO_ACCEPTCONN
	soError      = unix.SO_ERROR
	soType       = unix.SO_TYPE

	reuseAddress = true
)

// fault gives err the meaning that other systems know.
func fault(err error) error { return err }

func getInt(fd, level, option int) (int, error) { return unix.GetsockoptInt(fd, level, option) }

func setInt(fd, level, option, value int) error { return unix.SetsockoptInt(fd, level, option, value) }

func setNonblock(fd int) error { return unix.SetNonblock(fd, true) }

func connect(fd int, sa syscall.Sockaddr) error { return syscall.Connect(fd, sa) }

func refuseSoon(int) {}
