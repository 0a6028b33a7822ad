package socket

import (
	"slices"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/windows"
)

// On Windows the int that is a socket everywhere is its handle, which has 32
// significant bits there too. Package syscall has errnos under their POSIX names
// that no call returns; Winsock has numbers of its own. The errors here are found
// under both.

// winsockError is an error of Winsock and its meaning.
type winsockError struct {
	code    syscall.Errno
	meaning []syscall.Errno
}

func (e *winsockError) Error() string { return e.code.Error() }

// Unwrap returns what Winsock said.
func (e *winsockError) Unwrap() error { return e.code }

// Is finds the errno that other systems have.
func (e *winsockError) Is(target error) bool {
	errno, ok := target.(syscall.Errno)
	return ok && slices.Contains(e.meaning, errno)
}

// Timeout and Temporary are those of net.Error.
func (e *winsockError) Timeout() bool {
	return e.code == windows.WSAETIMEDOUT || e.code == windows.WSAEWOULDBLOCK
}

func (e *winsockError) Temporary() bool {
	return e.Timeout() || e.code == windows.WSAECONNRESET || e.code == windows.WSAECONNABORTED || e.code == windows.WSAEMFILE
}

// meanings of errors. A broken connection is ECONNABORTED to whoever was sending
// when the reset came.
var meanings = map[syscall.Errno][]syscall.Errno{
	windows.WSAEACCES:          {syscall.EACCES},
	windows.WSAEADDRINUSE:      {syscall.EADDRINUSE},
	windows.WSAEADDRNOTAVAIL:   {syscall.EADDRNOTAVAIL},
	windows.WSAEAFNOSUPPORT:    {syscall.EAFNOSUPPORT},
	windows.WSAEALREADY:        {syscall.EALREADY},
	windows.WSAEBADF:           {syscall.EBADF},
	windows.WSAECONNABORTED:    {syscall.ECONNABORTED, syscall.ECONNRESET},
	windows.WSAECONNREFUSED:    {syscall.ECONNREFUSED},
	windows.WSAECONNRESET:      {syscall.ECONNRESET},
	windows.WSAEFAULT:          {syscall.EFAULT},
	windows.WSAEHOSTDOWN:       {syscall.EHOSTDOWN},
	windows.WSAEHOSTUNREACH:    {syscall.EHOSTUNREACH},
	windows.WSAEINPROGRESS:     {syscall.EINPROGRESS},
	windows.WSAEINTR:           {syscall.EINTR},
	windows.WSAEINVAL:          {syscall.EINVAL},
	windows.WSAEISCONN:         {syscall.EISCONN},
	windows.WSAEMFILE:          {syscall.EMFILE},
	windows.WSAEMSGSIZE:        {syscall.EMSGSIZE},
	windows.WSAENETDOWN:        {syscall.ENETDOWN},
	windows.WSAENETRESET:       {syscall.ENETRESET, syscall.ECONNRESET},
	windows.WSAENETUNREACH:     {syscall.ENETUNREACH},
	windows.WSAENOBUFS:         {syscall.ENOBUFS},
	windows.WSAENOPROTOOPT:     {syscall.ENOPROTOOPT},
	windows.WSAENOTCONN:        {syscall.ENOTCONN},
	windows.WSAENOTSOCK:        {syscall.ENOTSOCK},
	windows.WSAEOPNOTSUPP:      {syscall.EOPNOTSUPP},
	windows.WSAEPROTONOSUPPORT: {syscall.EPROTONOSUPPORT},
	windows.WSAEPROTOTYPE:      {syscall.EPROTOTYPE},
	windows.WSAESHUTDOWN:       {syscall.EPIPE, syscall.ESHUTDOWN},
	windows.WSAESOCKTNOSUPPORT: {syscall.ESOCKTNOSUPPORT},
	windows.WSAETIMEDOUT:       {syscall.ETIMEDOUT},
	windows.WSAEWOULDBLOCK:     {syscall.EAGAIN, syscall.EWOULDBLOCK},
}

// winsockErrors has each error under its code and its first meaning.
var winsockErrors = func() map[syscall.Errno]error {
	all := map[syscall.Errno]error{}
	for code, meaning := range meanings {
		err := &winsockError{code, meaning}
		all[code], all[meaning[0]] = err, err
	}
	return all
}()

// fault gives an error of Winsock its meaning, and a meaning its error.
func fault(err error) error {
	code, ok := err.(syscall.Errno)
	if !ok {
		return err
	}
	if known := winsockErrors[code]; known != nil {
		return known
	}
	return err
}

// is tells whether err is Winsock's of that code.
func is(err error, code syscall.Errno) bool { return err != nil && err == winsockErrors[code] }

var (
	ws2           = windows.NewLazySystemDLL("ws2_32.dll")
	procAccept    = ws2.NewProc("accept")
	procRecv      = ws2.NewProc("recv")
	procSend      = ws2.NewProc("send")
	procIoctl     = ws2.NewProc("ioctlsocket")
	startWinsock  = sync.OnceValue(startup)
	failed        = ^uintptr(0)
	noInheritance = uint32(windows.WSA_FLAG_OVERLAPPED | windows.WSA_FLAG_NO_HANDLE_INHERIT)
)

func startup() error {
	var data windows.WSAData
	return windows.WSAStartup(0x202, &data)
}

// transfer is recv or send.
func transfer(proc *windows.LazyProc, fd int, p []byte, flags uintptr) (int, error) {
	r, _, errno := syscall.SyscallN(proc.Addr(), uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), flags)
	switch n := int32(r); {
	case n >= 0:
		return int(n), nil
	case errno == windows.WSAEWOULDBLOCK: // nearly always: not looked up
		return 0, errAgain
	case errno == windows.WSAESHUTDOWN && proc == procRecv: // its own end, see CloseRead
		return 0, nil
	}
	return 0, fault(errno)
}

func setNonblock(fd int) error {
	const fionbio = 0x8004667e
	on := uint32(1)
	r, _, errno := syscall.SyscallN(procIoctl.Addr(), uintptr(fd), fionbio, uintptr(unsafe.Pointer(&on)))
	if int32(r) != 0 {
		return fault(errno)
	}
	return nil
}

// getInt may be the program's first call of Winsock: on a socket of somebody else's.
func getInt(fd, level, option int) (int, error) {
	if err := startWinsock(); err != nil {
		return 0, err
	}
	n, err := windows.GetsockoptInt(windows.Handle(fd), level, option)
	if err == windows.WSAENOTSOCK && !isHandle(fd) {
		err = windows.WSAEBADF
	}
	return n, fault(err)
}

// isHandle tells whether fd is one at all. Winsock says of none that it is no socket.
func isHandle(fd int) bool {
	kind, err := windows.GetFileType(windows.Handle(fd))
	return err == nil && kind != windows.FILE_TYPE_UNKNOWN
}

func setInt(fd, level, option, value int) error {
	return fault(windows.SetsockoptInt(windows.Handle(fd), level, option, value))
}

// Options of sockets that package windows has no name for.
const (
	soAcceptConn = 0x0002
	soError      = 0x1007
	soType       = 0x1008
)
