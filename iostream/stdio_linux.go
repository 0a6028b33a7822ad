package iostream

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// reopen opens a pipe, FIFO or terminal once more: another descriptor would
// have the flag O_NONBLOCK in common with the first, another open file has one
// of its own. It fails for sockets, and for what the program may not open.
func reopen(fd, access int) (int, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return -1, err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFIFO && !isTerminal(fd) {
		return -1, unix.ENOTTY // opening a device could do anything
	}
	again, err := unix.Open(fmt.Sprintf("/proc/self/fd/%d", fd),
		access|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err == nil && access == unix.O_RDONLY && hungUp(fd) {
		_ = unix.Close(again)
		return -1, unix.EPIPE
	}
	return again, err
}

func hungUp(fd int) bool {
	polled := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	_, err := unix.Poll(polled, 0)
	return err == nil && polled[0].Revents&unix.POLLHUP != 0
}

// isTerminal leaves out the master of a pseudo-terminal: opening that makes a
// new one.
func isTerminal(fd int) bool {
	_, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	_, master := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	return err == nil && master != nil
}
