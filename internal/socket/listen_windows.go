package socket

import (
	"net"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/windows"
)

// Listening reports whether a socket is one that listens.
func Listening(fd int) bool {
	on, err := getInt(fd, windows.SOL_SOCKET, soAcceptConn)
	return err == nil && on != 0
}

// Listen returns a socket that listens on addr, or an *os.SyscallError. Setup,
// if not nil, sees it before it is bound.
//
// TCP: no SO_REUSEADDR, which on Windows lets two sockets have one address; old
// connections are in nobody's way there. An address without IP takes IPv4 too, or
// IPv4 alone where there is no IPv6. Unix: a socket file that nobody listens on is
// removed first.
func Listen(addr net.Addr, backlog int, setup func(fd int) error) (int, error) {
	sa, domain, err := Sockaddr(addr)
	if err != nil {
		return -1, os.NewSyscallError("bind", err)
	}
	fd, err := Stream(domain)
	a, isTCP := addr.(*net.TCPAddr)
	if isTCP && is(err, windows.WSAEAFNOSUPPORT) && len(a.IP) == 0 {
		return Listen(&net.TCPAddr{IP: net.IPv4zero, Port: a.Port}, backlog, setup)
	}
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	if setup != nil {
		err = setup(fd)
	}
	if err == nil && domain == windows.AF_INET6 {
		only := 1 // as is the system's way
		if len(a.IP) == 0 {
			only = 0
		}
		err = os.NewSyscallError("setsockopt", setInt(fd, windows.IPPROTO_IPV6, windows.IPV6_V6ONLY, only))
	}
	if err == nil {
		err = os.NewSyscallError("bind", bind(fd, sa))
	}
	if err == nil {
		err = os.NewSyscallError("listen", fault(windows.Listen(windows.Handle(fd), backlog)))
	}
	if err != nil {
		_ = Close(fd)
		return -1, err
	}
	return fd, nil
}

// bind takes over a stale socket file: one that refuses connections.
func bind(fd int, sa windows.Sockaddr) error {
	err := fault(windows.Bind(windows.Handle(fd), sa))
	u, isUnix := sa.(*windows.SockaddrUnix)
	if !isUnix || !is(err, windows.WSAEADDRINUSE) || !stale(u) {
		return err
	}
	if err := os.Remove(u.Name); err != nil {
		return err
	}
	return fault(windows.Bind(windows.Handle(fd), sa))
}

func stale(sa *windows.SockaddrUnix) bool {
	if file, err := os.Lstat(sa.Name); err != nil || file.Mode()&os.ModeSocket == 0 {
		return false
	}
	fd, err := Stream(windows.AF_UNIX)
	if err != nil {
		return false
	}
	defer Close(fd)
	return is(fault(windows.Connect(windows.Handle(fd), sa)), windows.WSAECONNREFUSED)
}

// File returns the file of a Unix socket that listens on addr, nil if it has
// none.
func File(addr net.Addr) os.FileInfo {
	a, ok := addr.(*net.UnixAddr)
	if !ok || a.Name == "" {
		return nil
	}
	file, err := os.Lstat(a.Name)
	if err != nil {
		return nil
	}
	return file
}

// RemoveFile removes the file of a Unix socket, as File returned it, unless
// another has taken its place.
func RemoveFile(addr net.Addr, file os.FileInfo) {
	if now := File(addr); now != nil && os.SameFile(file, now) {
		_ = os.Remove(addr.String())
	}
}

// Accept takes the next connection of a listener, and tells who has connected.
func Accept(fd int) (int, Address, error) {
	var raw windows.RawSockaddrAny
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

// AcceptShared is Accept for a listener that others have too, who may have made it
// blocking.
func AcceptShared(fd int) (int, Address, error) {
	if err := setNonblock(fd); err != nil {
		return -1, Address{}, err
	}
	return Accept(fd)
}
