//go:build unix && (!linux || race)

package socket

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// Read reads up to len(p) and at most maxReceived bytes from a socket; 0 is the end
// of the stream.
func Read(fd int, p []byte) (int, error) {
	p = p[:min(len(p), maxReceived)]
	for {
		n, err := unix.Read(fd, p)
		if err != unix.EINTR {
			afterReceive()
			return max(n, 0), err
		}
	}
}

// Send writes some of p to a socket, without SIGPIPE.
func Send(fd int, p []byte) (int, error) {
	p = p[:min(len(p), MaxBytes)]
	beforeSend()
	for {
		n, err := unix.SendmsgN(fd, p, nil, nil, sendFlags)
		if err != unix.EINTR {
			return max(n, 0), sendError(runtime.GOOS, fd, err)
		}
	}
}

// SendVector writes some of bufs, in order, to a socket, without SIGPIPE.
func SendVector(fd int, bufs [][]byte) (int, error) {
	bufs = clip(bufs)
	beforeSend()
	for {
		n, err := unix.SendmsgBuffers(fd, bufs, nil, nil, sendFlags)
		if err != unix.EINTR {
			return max(n, 0), sendError(runtime.GOOS, fd, err)
		}
	}
}

// ClosePromptly is Close for a socket whose SO_LINGER is off, which does not
// block.
func ClosePromptly(fd int) error { return Close(fd) }
