//go:build unix

package poller

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// again makes a system call as often as signals interrupt it.
func again(call func() error) error {
	for {
		if err := call(); err != syscall.EINTR {
			return err
		}
	}
}

func writeAgain(fd int, p []byte) error {
	return again(func() error {
		_, err := unix.Write(fd, p)
		return err
	})
}
