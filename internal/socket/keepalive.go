//go:build linux || darwin || freebsd || netbsd || dragonfly || windows

package socket

import (
	"syscall"
	"time"
)

// setTimes sets those of the keep-alive times that are above 0, by options of TCP that
// take whole seconds.
func (o *Options) setTimes(fd, idle, interval, count int) error {
	if err := setPositive(fd, idle, seconds(o.Idle)); err != nil {
		return err
	}
	if err := setPositive(fd, interval, seconds(o.Interval)); err != nil {
		return err
	}
	return setPositive(fd, count, o.Count)
}

// setPositive sets an option unless its value is one that stands for the
// system's own.
func setPositive(fd, option, value int) error {
	if value <= 0 {
		return nil
	}
	return set(fd, syscall.IPPROTO_TCP, option, value)
}

// seconds rounds up, so that no duration becomes 0.
func seconds(d time.Duration) int { return int((d + time.Second - 1) / time.Second) }
