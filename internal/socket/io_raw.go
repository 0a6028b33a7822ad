//go:build linux && !race

package socket

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The calls of every message bypass the scheduler's bookkeeping, which costs
// more than the calls themselves. Each says MSG_DONTWAIT: O_NONBLOCK belongs to
// the open file, and whoever shares that may take it away. A call that may move more
// than rawBytes does enter the scheduler: it takes so long that the processor must not
// be held, and the entry no longer counts. The race detector's build uses
// io_plain.go, whose calls tell the detector of the memory they touch.
const rawBytes = 64 << 10

// Read reads up to len(p) and at most maxReceived bytes from a socket; 0 is the
// end of the stream. It is recvfrom, which passes fewer layers than read.
func Read(fd int, p []byte) (int, error) {
	n := min(len(p), maxReceived)
	for {
		var r uintptr
		var errno unix.Errno
		if viaSocketcall {
			r, errno = moveVia(callRecvfrom, fd, unsafe.SliceData(p), n, unix.MSG_DONTWAIT)
		} else if n <= rawBytes {
			r, _, errno = syscall.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd),
				uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(n), unix.MSG_DONTWAIT, 0, 0)
		} else {
			r, _, errno = syscall.Syscall6(unix.SYS_RECVFROM, uintptr(fd),
				uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(n), unix.MSG_DONTWAIT, 0, 0)
		}
		if errno != unix.EINTR {
			return outcome(r, errno)
		}
	}
}

// Send writes some of p to a socket, without SIGPIPE.
func Send(fd int, p []byte) (int, error) {
	n := min(len(p), MaxBytes)
	for {
		var r uintptr
		var errno unix.Errno
		if viaSocketcall {
			r, errno = moveVia(callSendto, fd, unsafe.SliceData(p), n, sendFlags|unix.MSG_DONTWAIT)
		} else if n <= rawBytes {
			r, _, errno = syscall.RawSyscall6(unix.SYS_SENDTO, uintptr(fd),
				uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(n), sendFlags|unix.MSG_DONTWAIT, 0, 0)
		} else {
			r, _, errno = syscall.Syscall6(unix.SYS_SENDTO, uintptr(fd),
				uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(n), sendFlags|unix.MSG_DONTWAIT, 0, 0)
		}
		if errno != unix.EINTR {
			return outcome(r, errno)
		}
	}
}

// SendVector writes some of bufs, in order, to a socket, without SIGPIPE.
func SendVector(fd int, bufs [][]byte) (int, error) {
	var vector [maxVector]unix.Iovec
	var header unix.Msghdr
	left := MaxBytes
	bufs = bufs[:min(len(bufs), maxVector)]
	for i, b := range bufs {
		n := min(len(b), left)
		vector[i].Base = unsafe.SliceData(b)
		vector[i].SetLen(n)
		left -= n
	}
	header.Iov = &vector[0]
	header.SetIovlen(len(bufs))
	for {
		var r uintptr
		var errno unix.Errno
		if viaSocketcall {
			r, errno = sendmsgVia(fd, &header, sendFlags|unix.MSG_DONTWAIT, MaxBytes-left <= rawBytes)
		} else if MaxBytes-left <= rawBytes {
			r, _, errno = syscall.RawSyscall(unix.SYS_SENDMSG, uintptr(fd),
				uintptr(unsafe.Pointer(&header)), sendFlags|unix.MSG_DONTWAIT)
		} else {
			r, _, errno = syscall.Syscall(unix.SYS_SENDMSG, uintptr(fd),
				uintptr(unsafe.Pointer(&header)), sendFlags|unix.MSG_DONTWAIT)
		}
		if errno != unix.EINTR {
			return outcome(r, errno)
		}
	}
}

// ClosePromptly is Close for a socket whose SO_LINGER is off, which does not
// block.
func ClosePromptly(fd int) error {
	if _, _, errno := syscall.RawSyscall(unix.SYS_CLOSE, uintptr(fd), 0, 0); errno != 0 {
		return errno
	}
	return nil
}

func outcome(r uintptr, errno unix.Errno) (int, error) {
	switch errno {
	case 0:
		return int(r), nil
	case unix.EAGAIN:
		return 0, errAgain
	}
	return 0, errno
}
