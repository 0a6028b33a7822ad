//go:build freebsd || netbsd || dragonfly

package socket

import "golang.org/x/sys/unix"

func (o *Options) setKeepAlive(fd int) error {
	if err := setPositive(fd, unix.TCP_KEEPIDLE, seconds(o.Idle)); err != nil {
		return err
	}
	if err := setPositive(fd, unix.TCP_KEEPINTVL, seconds(o.Interval)); err != nil {
		return err
	}
	return setPositive(fd, unix.TCP_KEEPCNT, o.Count)
}
