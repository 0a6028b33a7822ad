package socket

import "golang.org/x/sys/unix"

// Queued returns how many bytes that were sent have not reached the peer: for TCP
// what is not acknowledged, for a Unix socket what the peer has not read. 0 if the
// system does not tell.
func Queued(fd int) int {
	n, err := unix.IoctlGetInt(fd, unix.TIOCOUTQ) // SIOCOUTQ, tcp(7)
	if err != nil {
		return 0
	}
	return n
}
