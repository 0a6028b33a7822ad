//go:build darwin || dragonfly || freebsd

package socket

import (
	"io"

	"golang.org/x/sys/unix"
)

// CanSendFile tells whether there is SendFile.
const CanSendFile = true

// SendFile sends up to n > 0 bytes of a file from its offset on, which moves. 0 is its end.
// The call may wait for the disk, not for the socket: EAGAIN is the socket's. These kernels
// are told the offset, leave the file's alone, and say how much is sent beside an error.
func SendFile(fd, file, n int) (int, error) {
	at, err := unix.Seek(file, 0, io.SeekCurrent)
	if err != nil {
		return 0, err
	}
	for {
		offset := at
		sent, err := unix.Sendfile(fd, file, &offset, n)
		if sent > 0 {
			_, err = unix.Seek(file, at+int64(sent), io.SeekStart)
			return sent, err
		}
		if err != unix.EINTR {
			return 0, err
		}
	}
}
