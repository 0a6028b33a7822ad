//go:build unix || windows

package socket

import (
	"os"
	"runtime"
	"syscall"
)

// Set sets the options of a socket that is not connected yet: buffers bear on
// what a connection is opened with. A TCP socket also gets TCP_NODELAY. What
// only TCP has is not set on others.
func (o *Options) Set(fd int, isTCP bool) error {
	if o.ReadBuffer > 0 {
		if err := set(fd, syscall.SOL_SOCKET, syscall.SO_RCVBUF, o.ReadBuffer); err != nil {
			return err
		}
	}
	if o.WriteBuffer > 0 {
		if err := set(fd, syscall.SOL_SOCKET, syscall.SO_SNDBUF, o.WriteBuffer); err != nil {
			return err
		}
	}
	if !isTCP {
		return nil
	}
	return o.SetTCP(fd)
}

// SetListening is Set for a socket that is going to listen. Where accepted sockets
// have the options of their listener it is Set. Elsewhere a listener has no use for
// keep-alive, which is set on each accepted socket, and the times can do harm:
// NetBSD starts the timer whatever state the socket is in, and ends one that is not
// connected when it fires (change_keepalive and tcp_timer_keep in its
// sys/netinet/tcp_usrreq.c and tcp_timer.c, 7.0 and 7.99.34). Times that the kernel
// refuses are an error here all the same. On Windows it is Set: the times do no harm
// there, and a socket without an address does not say of which kind it is.
func (o *Options) SetListening(fd int, isTCP bool) error {
	return o.setListening(fd, isTCP, Inherits || runtime.GOOS == "windows")
}

func (o *Options) setListening(fd int, isTCP, inherits bool) error {
	if inherits || !isTCP || !o.KeepAlive {
		return o.Set(fd, isTCP)
	}
	trial, err := New(LocalAddr(fd))
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	err = o.SetTCP(trial)
	_ = Close(trial)
	if err != nil {
		return err
	}
	rest := *o
	rest.KeepAlive = false
	return rest.Set(fd, isTCP)
}

// SetTCP sets what only TCP has.
func (o *Options) SetTCP(fd int) error {
	if err := SetNoDelay(fd, true); err != nil {
		return os.NewSyscallError("setsockopt", err)
	}
	if o.UserTimeout > 0 {
		if err := setUserTimeout(fd, o.UserTimeout); err != nil {
			return err
		}
	}
	if !o.KeepAlive {
		return nil
	}
	if err := set(fd, syscall.SOL_SOCKET, syscall.SO_KEEPALIVE, 1); err != nil {
		return err
	}
	return o.setKeepAlive(fd)
}

func set(fd, level, option, value int) error {
	return os.NewSyscallError("setsockopt", setInt(fd, level, option, value))
}
