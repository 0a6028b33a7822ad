//go:build unix

package socket

import "golang.org/x/sys/unix"

// The calls for pipes and terminals do not bypass the scheduler as those of
// sockets may: the flag O_NONBLOCK belongs to all who share the open file, and
// one of them may have cleared it.

// Is reports whether fd is a socket, of whatever kind.
func Is(fd int) bool {
	err := IsStream(fd)
	return err != unix.ENOTSOCK && err != unix.EBADF
}

// ReadPipe reads up to len(p) and at most maxReceived bytes; 0 is the end of the
// stream. A terminal whose other side has gone is at its end too: Linux says
// EIO there, other systems 0.
func ReadPipe(fd int, p []byte) (int, error) {
	p = p[:min(len(p), maxReceived)]
	for {
		n, err := unix.Read(fd, p)
		switch {
		case err == unix.EIO && hungUp(fd):
			return 0, nil
		case err != unix.EINTR:
			return max(n, 0), err
		}
	}
}

// WritePipe writes some of bufs, in order. To a pipe without a reader it is
// EPIPE and no signal, as the Go runtime ignores SIGPIPE.
func WritePipe(fd int, bufs [][]byte) (int, error) {
	bufs = clip(bufs)
	for {
		n, err := writev(fd, bufs)
		if err != unix.EINTR {
			return max(n, 0), err
		}
	}
}

// PeekPipe is Peek for the reading end of a pipe, and for a terminal.
func PeekPipe(fd int) (int, error) {
	end := hungUp(fd) // before the bytes are counted: none come after the end
	n, err := unix.IoctlGetInt(fd, fionread)
	switch {
	case err == nil && n != 0: // the count itself may be in the wrong half of n
		return 1, nil
	case !end:
		return 0, errAgain
	}
	return 0, nil
}

// ReaderGone returns EPIPE if fd is the writing end of a pipe that nobody reads
// any more.
func ReaderGone(fd int) error {
	if pollNow(fd, true)&(unix.POLLERR|unix.POLLHUP) != 0 {
		return unix.EPIPE
	}
	return nil
}

func hungUp(fd int) bool { return pollNow(fd, false)&unix.POLLHUP != 0 }

// pollNow returns what poll(2) tells of a descriptor, asked whether it is readable or
// writable. The type of its bits differs between systems.
func pollNow(fd int, write bool) int {
	list := [1]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	if write {
		list[0].Events = unix.POLLOUT
	}
	for {
		_, err := unix.Poll(list[:], 0)
		if err != unix.EINTR {
			return int(list[0].Revents)
		}
	}
}

// atomicWrite is how many bytes a pipe that is ready for writing takes without
// blocking: PIPE_BUF, at least as POSIX has it. A socket takes more.
const atomicWrite = 512

// ReadShared is ReadPipe for a descriptor, of a socket too, whose flag
// O_NONBLOCK is left as it is: it looks first whether a read would block.
func ReadShared(fd int, p []byte) (int, error) {
	if pollNow(fd, false) == 0 {
		return 0, errAgain
	}
	return ReadPipe(fd, p)
}

// WriteShared is WritePipe for such a descriptor. It is short also where more
// may be taken.
func WriteShared(fd int, bufs [][]byte) (int, error) {
	if pollNow(fd, true) == 0 {
		return 0, errAgain
	}
	p := first(bufs)
	p = p[:min(len(p), atomicWrite)]
	for {
		n, err := unix.Write(fd, p)
		if err != unix.EINTR {
			return max(n, 0), err
		}
	}
}

// first returns the first of bufs that has bytes.
func first(bufs [][]byte) []byte {
	for _, b := range bufs {
		if len(b) > 0 {
			return b
		}
	}
	return nil
}
