//go:build unix || windows

package socket

import (
	"errors"
	"os"
	"syscall"
	"time"
)

// SetReadBuffer sets the size of the kernel's buffer for input (SO_RCVBUF).
func SetReadBuffer(fd, bytes int) error { return set(fd, syscall.SOL_SOCKET, syscall.SO_RCVBUF, bytes) }

// SetWriteBuffer sets the size of the kernel's buffer for output (SO_SNDBUF).
func SetWriteBuffer(fd, bytes int) error {
	return set(fd, syscall.SOL_SOCKET, syscall.SO_SNDBUF, bytes)
}

// SetLinger sets SO_LINGER; below 0 it is switched off.
func SetLinger(fd, seconds int) error {
	l := syscall.Linger{}
	if seconds >= 0 {
		l.Onoff, l.Linger = 1, int32(seconds)
	}
	return os.NewSyscallError("setsockopt", fault(syscall.SetsockoptLinger(handle(fd), syscall.SOL_SOCKET, syscall.SO_LINGER, &l)))
}

// SetKeepAlive switches keep-alive off or on (SO_KEEPALIVE).
func SetKeepAlive(fd int, on bool) error {
	return set(fd, syscall.SOL_SOCKET, syscall.SO_KEEPALIVE, flag(on))
}

// SetKeepAliveTimes sets those of the times that are above 0.
func SetKeepAliveTimes(fd int, idle, interval time.Duration, count int) error {
	return (&Options{Idle: idle, Interval: interval, Count: count}).setKeepAlive(fd)
}

// SetNoDelay switches Nagle's algorithm off or on. On sockets that are not TCP
// it does nothing.
func SetNoDelay(fd int, on bool) error {
	err := setInt(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, flag(on))
	if errors.Is(err, syscall.ENOPROTOOPT) || errors.Is(err, syscall.EOPNOTSUPP) || errors.Is(err, syscall.EINVAL) {
		return nil // a Unix socket; macOS: the peer has gone
	}
	return err
}

func flag(on bool) int {
	if on {
		return 1
	}
	return 0
}

// CloseRead has the socket receive no more (shutdown(SHUT_RD)).
func CloseRead(fd int) error {
	return os.NewSyscallError("shutdown", fault(syscall.Shutdown(handle(fd), syscall.SHUT_RD)))
}

// ResetOnClose has the close of a TCP socket break the connection: nothing more is
// sent, and the peer sees a reset. Closing does not block. On a Unix socket it has
// no effect.
func ResetOnClose(fd int) { _ = SetLinger(fd, 0) }
