package socket

import "golang.org/x/sys/unix"

// Queued returns how many bytes that were sent have not reached the peer; 0 if the
// system does not tell.
func Queued(fd int) int {
	n, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_NWRITE)
	if err != nil {
		return 0
	}
	return n
}
