package socket

import (
	"errors"
	"os"
	"time"

	"golang.org/x/sys/windows"
)

func SetReadBuffer(fd, bytes int) error { return set(fd, windows.SOL_SOCKET, windows.SO_RCVBUF, bytes) }

func SetWriteBuffer(fd, bytes int) error {
	return set(fd, windows.SOL_SOCKET, windows.SO_SNDBUF, bytes)
}

func SetLinger(fd, seconds int) error {
	l := windows.Linger{}
	if seconds >= 0 {
		l.Onoff, l.Linger = 1, int32(seconds)
	}
	err := windows.SetsockoptLinger(windows.Handle(fd), windows.SOL_SOCKET, windows.SO_LINGER, &l)
	return os.NewSyscallError("setsockopt", err)
}

func SetKeepAlive(fd int, on bool) error {
	value := 0
	if on {
		value = 1
	}
	return set(fd, windows.SOL_SOCKET, windows.SO_KEEPALIVE, value)
}

func SetKeepAliveTimes(fd int, idle, interval time.Duration, count int) error {
	return (&Options{Idle: idle, Interval: interval, Count: count}).setKeepAlive(fd)
}

func CloseRead(fd int) error {
	return os.NewSyscallError("shutdown", windows.Shutdown(windows.Handle(fd), windows.SHUT_RD))
}

func AwaitReady(int, bool, time.Duration) error { return errors.ErrUnsupported }
