package socket

import "golang.org/x/sys/unix"

func peerProcess(fd int) int {
	pid, err := unix.GetsockoptInt(fd, 0, unix.LOCAL_PEERPID)
	if err != nil {
		return 0
	}
	return pid
}
