//go:build unix

// Package socket is the one place that knows how each system makes, uses and
// names stream sockets, and how it uses pipes and terminals: every descriptor
// that it returns is non-blocking and closed on exec. Errors are bare errnos,
// except those of Adopt and Listen.
package socket

import (
	"net"
	"net/netip"
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// Peek looks at the next byte of a socket without taking it: 1 if there is one,
// 0 at the end of the stream, or an error.
func Peek(fd int) (int, error) {
	var b [1]byte
	for {
		n, _, err := unix.Recvfrom(fd, b[:], unix.MSG_PEEK)
		if err != unix.EINTR {
			return n, err
		}
	}
}

// MaxBytes and maxVector are the most bytes and slices that one call moves.
const (
	MaxBytes  = 64 << 10
	maxVector = 64 // IOV_MAX is 1,024, but a socket buffer is full long before
)

// Attempt returns how many bytes of bufs SendVector tries to write; fewer means
// that the socket can take no more.
func Attempt(bufs [][]byte) int {
	n := 0
	for _, b := range bufs[:min(len(bufs), maxVector)] {
		n += len(b)
	}
	return min(n, MaxBytes)
}

// clip cuts bufs to what one call moves.
func clip(bufs [][]byte) [][]byte {
	left := MaxBytes
	for i, b := range bufs[:min(len(bufs), maxVector)] {
		if len(b) >= left {
			clipped := append([][]byte(nil), bufs[:i+1]...)
			clipped[i] = b[:left]
			return clipped
		}
		left -= len(b)
	}
	return bufs[:min(len(bufs), maxVector)]
}

var errAgain error = unix.EAGAIN

// CloseWrite sends a FIN behind what was written.
func CloseWrite(fd int) error { return unix.Shutdown(fd, unix.SHUT_WR) }

// Close closes fd. It is not tried again on EINTR: the descriptor is gone
// either way.
func Close(fd int) error { return unix.Close(fd) }

// TakeError returns and clears the socket's pending error (SO_ERROR).
func TakeError(fd int) error {
	code, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err != nil {
		return err
	}
	if code != 0 {
		return unix.Errno(code)
	}
	return nil
}

// Adopt makes a stream socket of somebody else's non-blocking and closed on
// exec. It returns an *os.SyscallError: of ENOTSOCK, or of ESOCKTNOSUPPORT for a
// socket that is not a byte stream.
func Adopt(fd int) error {
	if err := IsStream(fd); err != nil {
		return os.NewSyscallError("getsockopt", err)
	}
	unix.CloseOnExec(fd)
	return os.NewSyscallError("fcntl", prepare(fd))
}

// prepare makes a socket what Stream could not make it at once.
func prepare(fd int) error {
	if err := unix.SetNonblock(fd, true); err != nil {
		return err
	}
	return noSigpipe(fd)
}

// Is reports whether fd is a socket, of whatever kind.
func Is(fd int) bool { return IsStream(fd) != unix.ENOTSOCK }

// IsStream returns ENOTSOCK, or ESOCKTNOSUPPORT for a socket that is not a byte
// stream.
func IsStream(fd int) error {
	kind, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
	if err == nil && kind != unix.SOCK_STREAM {
		err = unix.ESOCKTNOSUPPORT
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
	switch err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, value); err {
	case unix.ENOPROTOOPT, unix.EOPNOTSUPP, unix.EINVAL: // a Unix socket; macOS: the peer has gone
		return nil
	default:
		return err
	}
}

// LocalAddr and PeerAddr return the socket's addresses as package net does, nil
// if there is none.
func LocalAddr(fd int) net.Addr {
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return nil
	}
	return Addr(sa)
}

// PeerAddr returns the address of the other side, nil if it has none.
func PeerAddr(fd int) net.Addr {
	sa, err := unix.Getpeername(fd)
	if err != nil {
		return nil
	}
	return Addr(sa)
}

// Addr turns a socket address into what package net calls it.
func Addr(sa unix.Sockaddr) net.Addr {
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return &net.TCPAddr{IP: append(net.IP(nil), sa.Addr[:]...), Port: sa.Port}
	case *unix.SockaddrInet6:
		return &net.TCPAddr{IP: append(net.IP(nil), sa.Addr[:]...), Port: sa.Port, Zone: zoneName(sa.ZoneId)}
	case *unix.SockaddrUnix:
		return &net.UnixAddr{Name: sa.Name, Net: "unix"}
	}
	return nil
}

func zoneName(id uint32) string {
	if id == 0 {
		return ""
	}
	if ifi, err := net.InterfaceByIndex(int(id)); err == nil {
		return ifi.Name
	}
	return ""
}

func zoneID(name string) uint32 {
	if name == "" {
		return 0
	}
	if ifi, err := net.InterfaceByName(name); err == nil {
		return uint32(ifi.Index)
	}
	id, _ := strconv.ParseUint(name, 10, 32)
	return uint32(id)
}

// Sockaddr turns a *net.TCPAddr or *net.UnixAddr into a socket address and its
// domain. A TCP address without IP is the IPv6 wildcard.
func Sockaddr(addr net.Addr) (unix.Sockaddr, int, error) {
	switch a := addr.(type) {
	case *net.TCPAddr:
		ip, ok := netip.AddrFromSlice(a.IP)
		if len(a.IP) == 0 {
			ip, ok = netip.IPv6Unspecified(), true
		}
		switch ip = ip.Unmap(); {
		case !ok:
			return nil, 0, unix.EINVAL
		case ip.Is4():
			return &unix.SockaddrInet4{Port: a.Port, Addr: ip.As4()}, unix.AF_INET, nil
		}
		return &unix.SockaddrInet6{Port: a.Port, Addr: ip.As16(), ZoneId: zoneID(a.Zone)}, unix.AF_INET6, nil
	case *net.UnixAddr:
		if a.Name == "" {
			return nil, 0, unix.EINVAL
		}
		return &unix.SockaddrUnix{Name: a.Name}, unix.AF_UNIX, nil
	}
	return nil, 0, unix.EAFNOSUPPORT
}

// Listening reports whether a socket is one that listens.
func Listening(fd int) bool {
	on, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
	return err == nil && on != 0
}

// Listen returns a socket that listens on addr, or an *os.SyscallError. Setup,
// if not nil, sees it before it is bound.
//
// TCP: SO_REUSEADDR, so that a restart does not wait for old connections; an
// address without IP takes IPv4 too, or IPv4 alone where there is no IPv6.
// Unix: a socket file that nobody listens on is removed first.
func Listen(addr net.Addr, backlog int, setup func(fd int) error) (int, error) {
	sa, domain, err := Sockaddr(addr)
	if err != nil {
		return -1, os.NewSyscallError("bind", err)
	}
	fd, err := Stream(domain)
	if a, ok := addr.(*net.TCPAddr); ok && err == unix.EAFNOSUPPORT && len(a.IP) == 0 {
		return Listen(&net.TCPAddr{IP: net.IPv4zero, Port: a.Port}, backlog, setup)
	}
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	if setup != nil {
		err = setup(fd)
	}
	if err == nil {
		err = bind(fd, sa, domain, addr)
	}
	if err == nil {
		err = os.NewSyscallError("listen", unix.Listen(fd, backlog))
	}
	if err != nil {
		_ = unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

func bind(fd int, sa unix.Sockaddr, domain int, addr net.Addr) error {
	switch domain {
	case unix.AF_UNIX:
		return os.NewSyscallError("bind", bindUnix(fd, sa))
	case unix.AF_INET6:
		only := 1
		if len(addr.(*net.TCPAddr).IP) == 0 {
			only = 0
		}
		// OpenBSD has no dual-stack sockets and refuses 0.
		err := unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, only)
		if err != nil && only == 1 {
			return os.NewSyscallError("setsockopt", err)
		}
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		return os.NewSyscallError("setsockopt", err)
	}
	return os.NewSyscallError("bind", unix.Bind(fd, sa))
}

// bindUnix takes over a stale socket file: one that refuses connections.
func bindUnix(fd int, sa unix.Sockaddr) error {
	err := unix.Bind(fd, sa)
	name := sa.(*unix.SockaddrUnix).Name
	if err != unix.EADDRINUSE || name[0] == '@' || !stale(name, sa) {
		return err
	}
	if err := unix.Unlink(name); err != nil {
		return err
	}
	return unix.Bind(fd, sa)
}

func stale(name string, sa unix.Sockaddr) bool {
	var st unix.Stat_t
	if unix.Lstat(name, &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFSOCK {
		return false
	}
	fd, err := Stream(unix.AF_UNIX)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	return unix.Connect(fd, sa) == unix.ECONNREFUSED
}

// New returns a socket that fits addr, to be bound or connected.
func New(addr net.Addr) (int, error) {
	_, domain, err := Sockaddr(addr)
	if err != nil {
		return -1, err
	}
	return Stream(domain)
}

// Bind gives a socket that will connect its own address. A port of 0 is left to
// Connect, which can share one between connections to different peers.
func Bind(fd int, local net.Addr) error {
	sa, _, err := Sockaddr(local)
	if err != nil {
		return err
	}
	if a, ok := local.(*net.TCPAddr); ok && a.Port == 0 {
		bindWithoutPort(fd)
	}
	return unix.Bind(fd, sa)
}

// Connect starts to connect a socket. If done is false, the socket becomes
// writable when the outcome is there; see Connected.
func Connect(fd int, addr net.Addr) (done bool, err error) {
	sa, _, err := Sockaddr(addr)
	if err != nil {
		return false, err
	}
	switch err = unix.Connect(fd, sa); err {
	case nil, unix.EISCONN:
		return true, Connected(fd)
	case unix.EINPROGRESS, unix.EALREADY, unix.EINTR: // an interrupted connect goes on by itself
		return false, nil
	}
	return false, err
}

// Connected returns the outcome of a connect whose socket has become writable,
// or EINPROGRESS if there is none yet: the event may have been spurious.
func Connected(fd int) error {
	if err := TakeError(fd); err != nil {
		return err
	}
	peer, err := unix.Getpeername(fd)
	switch {
	case err == unix.ENOTCONN:
		return unix.EINPROGRESS
	case err == nil && isSelf(fd, peer):
		return unix.ECONNREFUSED
	}
	return err
}

// isSelf reports whether a TCP socket has connected to itself: the port that
// nobody listens on happened to be the one that it was given.
func isSelf(fd int, peer unix.Sockaddr) bool {
	self, _ := LocalAddr(fd).(*net.TCPAddr)
	other, _ := Addr(peer).(*net.TCPAddr)
	return self != nil && other != nil && self.Port == other.Port && self.IP.Equal(other.IP)
}

// InProgress reports whether err is Connected's for "no outcome yet".
func InProgress(err error) bool { return err == unix.EINPROGRESS }

// sendError gives an errno of sending on the system goos the meaning that the
// callers know.
func sendError(goos string, err error) error {
	if goos == "darwin" {
		switch err {
		case unix.ENOBUFS: // the interface's queue is full, which passes
			return unix.EAGAIN
		case unix.EPROTOTYPE: // the socket is just being torn down
			return unix.ECONNRESET
		}
	}
	return err
}

// WouldBlock reports whether err means that there is nothing to do yet.
func WouldBlock(err error) bool { return err == unix.EAGAIN || err == unix.EWOULDBLOCK }

// ConnectionLost reports whether accept failed for a reason of that one
// connection, which ended before it was accepted. On Linux accept also passes
// on pending network errors of the new socket.
func ConnectionLost(err error) bool {
	switch err {
	case unix.ECONNABORTED, unix.EPROTO, unix.EINTR, unix.ENETDOWN, unix.ENOPROTOOPT, unix.EHOSTDOWN,
		unix.EHOSTUNREACH, unix.EOPNOTSUPP, unix.ENETUNREACH, unix.EPERM:
		return true
	}
	return false
}

// File returns the file of a Unix socket that listens on addr, nil if it has
// none.
func File(addr net.Addr) os.FileInfo {
	a, ok := addr.(*net.UnixAddr)
	if !ok || a.Name == "" || a.Name[0] == '@' {
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
		_ = unix.Unlink(addr.String())
	}
}

// Duplicate returns another descriptor of the same open file, closed on exec.
func Duplicate(fd int) (int, error) {
	syscall.ForkLock.RLock() // AIX has no F_DUPFD_CLOEXEC
	defer syscall.ForkLock.RUnlock()
	d, err := unix.Dup(fd)
	if err == nil {
		unix.CloseOnExec(d)
	}
	return d, err
}
