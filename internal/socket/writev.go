//go:build linux || darwin || openbsd

package socket

import "golang.org/x/sys/unix"

func writev(fd int, bufs [][]byte) (int, error) {
	if len(bufs) == 1 {
		return unix.Write(fd, bufs[0])
	}
	return unix.Writev(fd, bufs)
}
