package socket

import (
	"errors"
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"
)

// Inherits: what an accepted socket has of its listener differs, so options are
// set on each.
const Inherits = false

// Set sets the options of a socket that is not connected yet. A TCP socket also
// gets TCP_NODELAY. What only TCP has is not set on others.
func (o *Options) Set(fd int, isTCP bool) error {
	if o.ReadBuffer > 0 {
		if err := set(fd, windows.SOL_SOCKET, windows.SO_RCVBUF, o.ReadBuffer); err != nil {
			return err
		}
	}
	if o.WriteBuffer > 0 {
		if err := set(fd, windows.SOL_SOCKET, windows.SO_SNDBUF, o.WriteBuffer); err != nil {
			return err
		}
	}
	if !isTCP {
		return nil
	}
	return o.SetTCP(fd)
}

// SetListening is Set for a socket that is going to listen.
func (o *Options) SetListening(fd int, isTCP bool) error { return o.Set(fd, isTCP) }

// SetTCP sets what only TCP has.
func (o *Options) SetTCP(fd int) error {
	if err := SetNoDelay(fd, true); err != nil {
		return os.NewSyscallError("setsockopt", err)
	}
	if o.UserTimeout > 0 {
		return os.NewSyscallError("TCP_USER_TIMEOUT", errors.ErrUnsupported)
	}
	if !o.KeepAlive {
		return nil
	}
	if err := set(fd, windows.SOL_SOCKET, windows.SO_KEEPALIVE, 1); err != nil {
		return err
	}
	return o.setKeepAlive(fd)
}

// setKeepAlive sets the times one by one, which Windows 10 can from 1709 on, or
// both with a control, which does not know a count.
func (o *Options) setKeepAlive(fd int) error {
	err := setPositive(fd, windows.TCP_KEEPIDLE, seconds(o.Idle))
	if err == nil {
		err = setPositive(fd, windows.TCP_KEEPINTVL, seconds(o.Interval))
	}
	if err == nil {
		err = setPositive(fd, windows.TCP_KEEPCNT, o.Count)
	}
	if !errors.Is(err, windows.WSAENOPROTOOPT) {
		return err
	}
	times := windows.TCPKeepalive{OnOff: 1, Time: 2 * 3600 * 1000, Interval: 1000} // the system's own
	if o.Idle > 0 {
		times.Time = uint32(o.Idle / time.Millisecond)
	}
	if o.Interval > 0 {
		times.Interval = uint32(o.Interval / time.Millisecond)
	}
	var n uint32
	err = windows.WSAIoctl(windows.Handle(fd), windows.SIO_KEEPALIVE_VALS, (*byte)(unsafe.Pointer(&times)),
		uint32(unsafe.Sizeof(times)), nil, 0, &n, nil, 0)
	return os.NewSyscallError("SIO_KEEPALIVE_VALS", fault(err))
}

func set(fd, level, option, value int) error {
	return os.NewSyscallError("setsockopt", setInt(fd, level, option, value))
}

// setPositive sets an option unless its value is one that stands for the
// system's own.
func setPositive(fd, option, value int) error {
	if value <= 0 {
		return nil
	}
	return set(fd, windows.IPPROTO_TCP, option, value)
}

// seconds rounds up, so that no duration becomes 0.
func seconds(d time.Duration) int { return int((d + time.Second - 1) / time.Second) }

// ReusePort is an error: the system would give all connections to one socket.
func ReusePort(int) error { return os.NewSyscallError("SO_REUSEPORT", errors.ErrUnsupported) }
