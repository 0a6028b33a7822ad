//go:build freebsd || netbsd || dragonfly

package socket

import "golang.org/x/sys/unix"

func (o *Options) setKeepAlive(fd int) error {
	return o.setTimes(fd, unix.TCP_KEEPIDLE, unix.TCP_KEEPINTVL, unix.TCP_KEEPCNT)
}
