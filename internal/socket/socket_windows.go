package socket

import (
	"errors"
	"os"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"
)

type handle = syscall.Handle

// reuseAddress is not what Windows means by SO_REUSEADDR.
const reuseAddress = false

var errAgain = fault(windows.WSAEWOULDBLOCK)

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

// WouldBlock reports whether err means that there is nothing to do yet.
func WouldBlock(err error) bool { return err == errAgain }

// ConnectionLost reports whether accept failed for a reason of that one
// connection, which ended before it was accepted.
func ConnectionLost(err error) bool {
	return is(err, windows.WSAECONNRESET) || is(err, windows.WSAECONNABORTED)
}

// accept takes the next connection of a listener.
func accept(fd int) (int, Address, error) {
	var raw syscall.RawSockaddrAny
	size := int32(unsafe.Sizeof(raw))
	conn, _, errno := syscall.SyscallN(procAccept.Addr(), uintptr(fd), uintptr(unsafe.Pointer(&raw)), uintptr(unsafe.Pointer(&size)))
	if conn == failed {
		return -1, Address{}, fault(errno)
	}
	// Whoever starts a process must name what it inherits (package os does), or
	// it has to hold the fork lock.
	_ = windows.SetHandleInformation(windows.Handle(conn), windows.HANDLE_FLAG_INHERIT, 0)
	if err := setNonblock(int(conn)); err != nil {
		_ = Close(int(conn))
		return -1, Address{}, err
	}
	var peer Address
	if sa, err := raw.Sockaddr(); err == nil {
		peer = address(sa)
	}
	return int(conn), peer, nil
}

// connect starts to connect a socket. Winsock says that it would block where others
// say that it is in progress.
func connect(fd int, sa syscall.Sockaddr) error {
	err := syscall.Connect(handle(fd), sa)
	if err == windows.WSAEWOULDBLOCK {
		return errInProgress
	}
	return fault(err)
}

// refuseSoon keeps the system from knocking again for two seconds where nobody
// listens, as package net does for this machine's own addresses.
func refuseSoon(fd int) {
	const sioTCPInitialRTO = 0x98000011
	parameters := struct {
		rtt     uint16
		retries uint8
	}{0xffff, 1}
	var n uint32
	_ = windows.WSAIoctl(windows.Handle(fd), sioTCPInitialRTO, (*byte)(unsafe.Pointer(&parameters)),
		uint32(unsafe.Sizeof(parameters)), nil, 0, &n, nil, 0)
}

// setKeepAlive sets the times one by one, which Windows 10 can from 1709 on, or
// both with a control, which does not know a count.
func (o *Options) setKeepAlive(fd int) error {
	err := o.setTimes(fd, windows.TCP_KEEPIDLE, windows.TCP_KEEPINTVL, windows.TCP_KEEPCNT)
	if !errors.Is(err, windows.WSAENOPROTOOPT) {
		return err
	}
	times := windows.TCPKeepalive{OnOff: 1, Time: 2 * 3600 * 1000, Interval: 1000} // the system's own
	if o.Idle > 0 {
		times.Time = uint32(o.Idle / time.Millisecond)
	}
	if o.Interval > 0 {
		times.Interval = uint32(o.Interval / time.Millisecond)
	}
	var n uint32
	err = windows.WSAIoctl(windows.Handle(fd), windows.SIO_KEEPALIVE_VALS, (*byte)(unsafe.Pointer(&times)),
		uint32(unsafe.Sizeof(times)), nil, 0, &n, nil, 0)
	return os.NewSyscallError("SIO_KEEPALIVE_VALS", fault(err))
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
// a given handle, but one that is free is given out again soon. If somebody else was
// quicker, the number is theirs, perhaps an event of Go's runtime: not kept, and not to
// be closed.
func Vacate(fd int) (kept bool, err error) {
	if err := Close(fd); err != nil {
		return true, err
	}
	var others []int
	defer func() {
		for _, other := range others {
			_ = Close(other)
		}
	}()
	for range 1000 {
		s, err := Stream(windows.AF_INET)
		if err != nil {
			return false, nil
		}
		if s == fd {
			return true, nil
		}
		others = append(others, s)
	}
	return false, nil
}

// AwaitReady is not there yet on this system.
func AwaitReady(int, bool, time.Duration) error { return errors.ErrUnsupported }
