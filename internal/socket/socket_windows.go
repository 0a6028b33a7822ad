// Package socket is the one place that knows how each system makes, uses and
// names stream sockets: every descriptor that it returns is non-blocking and not
// inherited by children.
package socket

import (
	"errors"
	"os"

	"golang.org/x/sys/windows"
)

var errAgain = winsockErrors[windows.WSAEWOULDBLOCK]

// Stream returns a new stream socket of domain.
func Stream(domain int) (int, error) {
	if err := startWinsock(); err != nil {
		return -1, err
	}
	s, err := windows.WSASocket(int32(domain), windows.SOCK_STREAM, 0, nil, 0, noInheritance)
	if err != nil {
		return -1, fault(err)
	}
	if err := setNonblock(int(s)); err != nil {
		_ = windows.Closesocket(s)
		return -1, err
	}
	return int(s), nil
}

// Read reads up to len(p) and at most MaxBytes bytes from a socket; 0 is the end
// of the stream.
func Read(fd int, p []byte) (int, error) {
	return transfer(procRecv, fd, p[:min(len(p), MaxBytes)], 0)
}

// Peek looks at the next byte of a socket without taking it: 1 if there is one,
// 0 at the end of the stream, or an error.
func Peek(fd int) (int, error) {
	var b [1]byte
	return transfer(procRecv, fd, b[:], windows.MSG_PEEK)
}

// Send writes some of p to a socket. One that has room takes all.
func Send(fd int, p []byte) (int, error) {
	return transfer(procSend, fd, p[:min(len(p), MaxBytes)], 0)
}

// SendVector writes some of bufs, in order, to a socket.
func SendVector(fd int, bufs [][]byte) (int, error) {
	var vector [maxVector]windows.WSABuf
	count, left := 0, MaxBytes
	for _, b := range bufs[:min(len(bufs), maxVector)] {
		if n := min(len(b), left); n > 0 {
			vector[count] = windows.WSABuf{Len: uint32(n), Buf: &b[0]}
			count, left = count+1, left-n
		}
	}
	var n uint32
	err := windows.WSASend(windows.Handle(fd), &vector[0], uint32(max(count, 1)), &n, 0, nil, nil)
	if err != nil {
		return 0, fault(err)
	}
	return int(n), nil
}

// CloseWrite sends a FIN behind what was written.
func CloseWrite(fd int) error {
	return fault(windows.Shutdown(windows.Handle(fd), windows.SHUT_WR))
}

// Close closes fd, which may be the handle of a pipe that there is to be no stream of.
func Close(fd int) error {
	err := fault(windows.Closesocket(windows.Handle(fd)))
	if is(err, windows.WSAENOTSOCK) || is(err, windows.WSAEOPNOTSUPP) { // as wine says
		return windows.CloseHandle(windows.Handle(fd))
	}
	return err
}

// ClosePromptly is Close.
func ClosePromptly(fd int) error { return Close(fd) }

// TakeError returns the socket's pending error (SO_ERROR).
func TakeError(fd int) error {
	code, err := getInt(fd, windows.SOL_SOCKET, soError)
	if err != nil || code == 0 {
		return err
	}
	return fault(windows.Errno(code))
}

// Adopt makes a stream socket of somebody else's non-blocking and keeps children
// from inheriting it. It returns an *os.SyscallError: of ENOTSOCK, or of
// ESOCKTNOSUPPORT for a socket that is not a byte stream.
func Adopt(fd int) error {
	if err := IsStream(fd); err != nil {
		return os.NewSyscallError("getsockopt", err)
	}
	if err := windows.SetHandleInformation(windows.Handle(fd), windows.HANDLE_FLAG_INHERIT, 0); err != nil {
		return os.NewSyscallError("SetHandleInformation", err)
	}
	return os.NewSyscallError("ioctlsocket", setNonblock(fd))
}

// IsStream returns ENOTSOCK, or ESOCKTNOSUPPORT for a socket that is not a byte
// stream.
func IsStream(fd int) error {
	if err := startWinsock(); err != nil {
		return err
	}
	kind, err := getInt(fd, windows.SOL_SOCKET, soType)
	if err == nil && kind != windows.SOCK_STREAM {
		err = winsockErrors[windows.WSAESOCKTNOSUPPORT]
	}
	return err
}

// SetNoDelay switches Nagle's algorithm off or on. On sockets that are not TCP
// it does nothing.
func SetNoDelay(fd int, on bool) error {
	value := 0
	if on {
		value = 1
	}
	switch err := setInt(fd, windows.IPPROTO_TCP, windows.TCP_NODELAY, value); {
	case is(err, windows.WSAENOPROTOOPT), is(err, windows.WSAEOPNOTSUPP), is(err, windows.WSAEINVAL): // a Unix socket
		return nil
	default:
		return err
	}
}

// InProgress reports whether err is Connected's for "no outcome yet".
func InProgress(err error) bool { return is(err, windows.WSAEINPROGRESS) }

// WouldBlock reports whether err means that there is nothing to do yet.
func WouldBlock(err error) bool { return err == errAgain }

// ConnectionLost reports whether accept failed for a reason of that one
// connection, which ended before it was accepted.
func ConnectionLost(err error) bool {
	return is(err, windows.WSAECONNRESET) || is(err, windows.WSAECONNABORTED)
}

// Duplicate returns another handle of the same socket, or of what else it is, which
// children do not inherit.
func Duplicate(fd int) (int, error) {
	if err := startWinsock(); err != nil {
		return -1, err
	}
	var info windows.WSAProtocolInfo
	err := windows.WSADuplicateSocket(windows.Handle(fd), windows.GetCurrentProcessId(), &info)
	if err == windows.WSAENOTSOCK || err == windows.WSAEOPNOTSUPP { // as wine says
		var other windows.Handle
		self := windows.CurrentProcess()
		err = windows.DuplicateHandle(self, windows.Handle(fd), self, &other, 0, false, windows.DUPLICATE_SAME_ACCESS)
		return int(other), err
	}
	if err != nil {
		return -1, fault(err)
	}
	s, err := windows.WSASocket(-1, -1, -1, &info, 0, noInheritance)
	if err != nil {
		return -1, fault(err)
	}
	return int(s), nil
}

// Vacate closes what fd stands for and keeps the number, which from then on is
// an unconnected socket's, for whoever may still use it. Nothing puts a socket under
// a given handle, but one that is free is given out again soon.
func Vacate(fd int) error {
	if err := Close(fd); err != nil {
		return err
	}
	var others []int
	defer func() {
		for _, other := range others {
			_ = Close(other)
		}
	}()
	for range 1000 {
		s, err := Stream(windows.AF_INET)
		if err != nil || s == fd {
			return err
		}
		others = append(others, s)
	}
	return errors.ErrUnsupported // somebody else was quicker
}

// Peer is not there yet on this system.
func Peer(int) (pid, uid, gid int, err error) { return 0, 0, 0, errors.ErrUnsupported }
