// Package posix is those calls of POSIX that tests make of the kernel, past the
// code that is tested. Windows has them over Winsock, where a descriptor is a handle.
package posix

import (
	"errors"
	"net"
	"syscall"
	"unsafe"

	"golang.org/x/sys/windows"
)

type (
	Sockaddr      = windows.Sockaddr
	SockaddrInet4 = windows.SockaddrInet4
	SockaddrUnix  = windows.SockaddrUnix
)

// PollFd is WSAPOLLFD.
type PollFd struct {
	Fd      int32
	Events  int16
	Revents int16
}

const (
	SHUT_RD     = windows.SHUT_RD
	SHUT_WR     = windows.SHUT_WR
	POLLIN      = 0x0300 // POLLRDNORM | POLLRDBAND
	POLLOUT     = 0x0010
	POLLHUP     = 0x0002
	POLLERR     = 0x0001
	SOCK_STREAM = windows.SOCK_STREAM
	SOCK_DGRAM  = windows.SOCK_DGRAM
	AF_INET     = windows.AF_INET
	AF_UNIX     = windows.AF_UNIX
	SOL_SOCKET  = windows.SOL_SOCKET
	SO_LINGER   = windows.SO_LINGER
	SO_ERROR    = 0x1007
	SO_RCVBUF   = windows.SO_RCVBUF
	SO_SNDBUF   = windows.SO_SNDBUF
	IPPROTO_TCP = windows.IPPROTO_TCP
	TCP_NODELAY = windows.TCP_NODELAY

	ESOCKTNOSUPPORT = syscall.ESOCKTNOSUPPORT
	SO_KEEPALIVE    = windows.SO_KEEPALIVE
	MSG_PEEK        = windows.MSG_PEEK
	O_RDONLY        = windows.O_RDONLY
	O_WRONLY        = windows.O_WRONLY
	O_RDWR          = windows.O_RDWR
	O_NONBLOCK      = windows.O_NONBLOCK

	EAGAIN       = windows.WSAEWOULDBLOCK
	EINTR        = windows.WSAEINTR
	EPIPE        = windows.WSAESHUTDOWN
	EBADF        = syscall.EBADF
	ECONNRESET   = windows.WSAECONNRESET
	ECONNREFUSED = windows.WSAECONNREFUSED
	EINPROGRESS  = windows.WSAEWOULDBLOCK // of connect
	ENOTSOCK     = windows.WSAENOTSOCK
)

var (
	ws2        = windows.NewLazySystemDLL("ws2_32.dll")
	procAccept = ws2.NewProc("accept")
	procPoll   = ws2.NewProc("WSAPoll")
	procSend   = ws2.NewProc("send")
	procSendto = ws2.NewProc("sendto")
	procRecv   = ws2.NewProc("recv")
	procIoctl  = ws2.NewProc("ioctlsocket")
)

func call(proc *windows.LazyProc, args ...uintptr) (int, error) {
	r, _, errno := proc.Call(args...)
	if int32(r) == -1 {
		return -1, errno
	}
	return int(r), nil
}

func pointer(p []byte) uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(p))) }

func Write(fd int, p []byte) (int, error) {
	return call(procSend, uintptr(fd), pointer(p), uintptr(len(p)), 0)
}

func Read(fd int, p []byte) (int, error) {
	return call(procRecv, uintptr(fd), pointer(p), uintptr(len(p)), 0)
}

func Recvfrom(fd int, p []byte, flags int) (int, Sockaddr, error) {
	n, err := call(procRecv, uintptr(fd), pointer(p), uintptr(len(p)), uintptr(flags))
	return n, nil, err
}

func Sendto(fd int, p []byte, flags int, to Sockaddr) error {
	a := to.(*SockaddrInet4)
	raw := windows.RawSockaddrInet4{Family: AF_INET, Port: uint16(a.Port>>8 | a.Port<<8), Addr: a.Addr}
	if len(p) == 0 {
		p = make([]byte, 1)[:0]
	}
	_, err := call(procSendto, uintptr(fd), pointer(p), uintptr(len(p)), uintptr(flags),
		uintptr(unsafe.Pointer(&raw)), unsafe.Sizeof(raw))
	return err
}

func Shutdown(fd, how int) error { return windows.Shutdown(windows.Handle(fd), how) }

// Close closes a socket, or the handle of something else.
func Close(fd int) error {
	err := windows.Closesocket(windows.Handle(fd))
	if err != nil && windows.CloseHandle(windows.Handle(fd)) == nil {
		return nil
	}
	return err
}

func Socket(family, kind, protocol int) (int, error) {
	s, err := windows.WSASocket(int32(family), int32(kind), int32(protocol), nil, 0,
		windows.WSA_FLAG_OVERLAPPED|windows.WSA_FLAG_NO_HANDLE_INHERIT)
	return int(s), err
}

// Open opens a file or directory, whatever it is, for reading.
func Open(path string, mode int, perm uint32) (int, error) {
	name, err := windows.UTF16PtrFromString(path)
	if err != nil {
		return -1, err
	}
	h, err := windows.CreateFile(name, windows.GENERIC_READ, windows.FILE_SHARE_READ|windows.FILE_SHARE_WRITE|windows.FILE_SHARE_DELETE,
		nil, windows.OPEN_EXISTING, windows.FILE_FLAG_BACKUP_SEMANTICS, 0)
	return int(h), err
}

func Mkfifo(path string, mode uint32) error { return errors.ErrUnsupported }

func Connect(fd int, to Sockaddr) error       { return windows.Connect(windows.Handle(fd), to) }
func Bind(fd int, to Sockaddr) error          { return windows.Bind(windows.Handle(fd), to) }
func Listen(fd, backlog int) error            { return windows.Listen(windows.Handle(fd), backlog) }
func Getsockname(fd int) (Sockaddr, error)    { return windows.Getsockname(windows.Handle(fd)) }
func GetsockoptInt(fd, l, o int) (int, error) { return windows.GetsockoptInt(windows.Handle(fd), l, o) }
func SetsockoptInt(fd, l, o, v int) error {
	return windows.SetsockoptInt(windows.Handle(fd), l, o, v)
}

func SetLinger(fd, seconds int) error {
	return windows.SetsockoptLinger(windows.Handle(fd), SOL_SOCKET, SO_LINGER, &windows.Linger{Onoff: 1, Linger: int32(seconds)})
}

func Accept(fd int) (int, Sockaddr, error) {
	s, _, errno := procAccept.Call(uintptr(fd), 0, 0)
	if s == ^uintptr(0) {
		return -1, nil, errno
	}
	return int(s), nil, nil
}

// Dup duplicates a socket as Winsock has it, and any other handle as it is.
func Dup(fd int) (int, error) {
	var info windows.WSAProtocolInfo
	if windows.WSADuplicateSocket(windows.Handle(fd), uint32(windows.GetCurrentProcessId()), &info) == nil {
		s, err := windows.WSASocket(-1, -1, -1, &info, 0, windows.WSA_FLAG_OVERLAPPED|windows.WSA_FLAG_NO_HANDLE_INHERIT)
		return int(s), err
	}
	var d windows.Handle
	self := windows.CurrentProcess()
	err := windows.DuplicateHandle(self, windows.Handle(fd), self, &d, 0, false, windows.DUPLICATE_SAME_ACCESS)
	return int(d), err
}

// Socketpair is two TCP sockets: Windows has no call for it.
func Socketpair(family, kind, protocol int) (pair [2]int, err error) {
	l, err := Socket(AF_INET, SOCK_STREAM, 0)
	if err != nil {
		return pair, err
	}
	defer Close(l)
	if err = Bind(l, &SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return pair, err
	}
	if err = Listen(l, 1); err != nil {
		return pair, err
	}
	to, err := Getsockname(l)
	if err != nil {
		return pair, err
	}
	if pair[0], err = Socket(AF_INET, SOCK_STREAM, 0); err != nil {
		return pair, err
	}
	if err = Connect(pair[0], to); err != nil {
		return pair, err
	}
	if pair[1], _, err = Accept(l); err != nil {
		return pair, err
	}
	for _, fd := range pair {
		SetsockoptInt(fd, IPPROTO_TCP, TCP_NODELAY, 1)
	}
	return pair, nil
}

// Pipe is a socket pair: pipes can't be polled.
func Pipe(fds []int) error {
	pair, err := Socketpair(AF_UNIX, SOCK_STREAM, 0)
	copy(fds, pair[:])
	return err
}

func Poll(fds []PollFd, timeout int) (int, error) {
	type wsaPollFd struct {
		fd              uintptr
		events, revents int16
	}
	list := make([]wsaPollFd, len(fds))
	for i, f := range fds {
		list[i] = wsaPollFd{uintptr(f.Fd), f.Events, 0}
	}
	n, err := call(procPoll, uintptr(unsafe.Pointer(unsafe.SliceData(list))), uintptr(len(list)), uintptr(timeout))
	for i := range fds {
		fds[i].Revents = list[i].revents
	}
	return n, err
}

// SetNonblock leaves alone what is no socket.
func SetNonblock(fd int, on bool) error {
	value := uint32(0)
	if on {
		value = 1
	}
	const fionbio = 0x8004667e
	_, err := call(procIoctl, uintptr(fd), fionbio, uintptr(unsafe.Pointer(&value)))
	if err == windows.WSAENOTSOCK || err == windows.WSAEOPNOTSUPP { // wine: a file
		return nil
	}
	return err
}

func CloseOnExec(fd int) {
	windows.SetHandleInformation(windows.Handle(fd), windows.HANDLE_FLAG_INHERIT, 0)
}

// HasUnixSockets tells whether the system has Unix sockets: wine has none, nor has
// Windows before 10 1803.
func HasUnixSockets() bool {
	s, err := Socket(AF_UNIX, SOCK_STREAM, 0)
	if err == nil {
		Close(s)
	}
	return err == nil
}

// UnderWine tells whether the system is wine, which is not Windows in all.
func UnderWine() bool {
	return windows.NewLazySystemDLL("ntdll.dll").NewProc("wine_get_version").Find() == nil
}

func init() { // starts Winsock
	if l, err := net.Listen("tcp", "127.0.0.1:0"); err == nil {
		l.Close()
	}
}
