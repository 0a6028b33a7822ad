//go:build unix

package socket

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// SetReadBuffer sets the size of the kernel's buffer for input (SO_RCVBUF).
func SetReadBuffer(fd, bytes int) error { return set(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, bytes) }

// SetWriteBuffer sets the size of the kernel's buffer for output (SO_SNDBUF).
func SetWriteBuffer(fd, bytes int) error { return set(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, bytes) }

// SetLinger sets SO_LINGER; below 0 it is switched off.
func SetLinger(fd, seconds int) error {
	l := unix.Linger{}
	if seconds >= 0 {
		l.Onoff, l.Linger = 1, int32(seconds)
	}
	return os.NewSyscallError("setsockopt", unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &l))
}

// SetKeepAlive switches keep-alive off or on (SO_KEEPALIVE).
func SetKeepAlive(fd int, on bool) error {
	value := 0
	if on {
		value = 1
	}
	return set(fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE, value)
}

// SetKeepAliveTimes sets those of the times that are above 0.
func SetKeepAliveTimes(fd int, idle, interval time.Duration, count int) error {
	return (&Options{Idle: idle, Interval: interval, Count: count}).setKeepAlive(fd)
}

// CloseRead has the socket receive no more (shutdown(SHUT_RD)).
func CloseRead(fd int) error {
	return os.NewSyscallError("shutdown", unix.Shutdown(fd, unix.SHUT_RD))
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
