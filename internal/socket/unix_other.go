//go:build unix && !linux

package socket

import "golang.org/x/sys/unix"

// fionread is FIONREAD, the same on every BSD and macOS.
const fionread = 0x4004667f

func replace(fd, number int) error {
	err := unix.Dup2(fd, number)
	unix.CloseOnExec(number)
	return err
}
