package socket

import "golang.org/x/sys/unix"

// CanSendFile tells whether there is SendFile.
const CanSendFile = true

// SendFile sends up to n > 0 bytes of a file from its offset on, which moves. 0 is its end.
// The call may wait for the disk, not for the socket: EAGAIN is the socket's.
func SendFile(fd, file, n int) (int, error) {
	for {
		sent, err := unix.Sendfile(fd, file, nil, n)
		if err != unix.EINTR {
			return max(sent, 0), err
		}
	}
}
