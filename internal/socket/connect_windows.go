package socket

import (
	"net"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/windows"
)

// New returns a socket that fits addr, to be bound or connected.
func New(addr net.Addr) (int, error) {
	_, domain, err := Sockaddr(addr)
	if err != nil {
		return -1, err
	}
	return Stream(domain)
}

// Bind gives a socket that will connect its own address.
func Bind(fd int, local net.Addr) error {
	sa, _, err := Sockaddr(local)
	if err != nil {
		return err
	}
	return fault(windows.Bind(windows.Handle(fd), sa))
}

// Connect starts to connect a socket. If done is false, the socket becomes
// writable when the outcome is there; see Connected.
func Connect(fd int, addr net.Addr) (done bool, err error) {
	sa, _, err := Sockaddr(addr)
	if err != nil {
		return false, err
	}
	if a, ok := addr.(*net.TCPAddr); ok && a.IP.IsLoopback() {
		refuseSoon(fd)
	}
	switch err = fault(windows.Connect(windows.Handle(fd), sa)); {
	case err == nil, is(err, windows.WSAEISCONN):
		return true, Connected(fd)
	case err == errAgain, is(err, windows.WSAEALREADY), is(err, windows.WSAEINPROGRESS):
		return false, nil
	}
	return false, err
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

// Connected returns the outcome of a connect whose socket has become writable,
// or EINPROGRESS if there is none yet: the event may have been spurious.
func Connected(fd int) error {
	if err := TakeError(fd); err != nil {
		return err
	}
	peer, err := windows.Getpeername(windows.Handle(fd))
	switch {
	case err == windows.WSAENOTCONN:
		return winsockErrors[windows.WSAEINPROGRESS]
	case err == nil && isSelf(fd, peer):
		return winsockErrors[windows.WSAECONNREFUSED]
	}
	return fault(err)
}

// isSelf reports whether a TCP socket has connected to itself: the port that
// nobody listens on happened to be the one that it was given.
func isSelf(fd int, peer windows.Sockaddr) bool {
	self, err := windows.Getsockname(windows.Handle(fd))
	return err == nil && address(peer).family == familyIP && address(self) == address(peer)
}

// LocalAddr returns the socket's address as package net does, nil if there is none.
func LocalAddr(fd int) net.Addr {
	sa, err := windows.Getsockname(windows.Handle(fd))
	if err != nil {
		return nil
	}
	local := address(sa)
	return local.Addr()
}

// PeerAddress returns the address of the other side, none if the system has none, or
// has forgotten it since the connection broke.
func PeerAddress(fd int) Address {
	sa, err := windows.Getpeername(windows.Handle(fd))
	if err != nil {
		return Address{}
	}
	return address(sa)
}

func address(sa windows.Sockaddr) Address {
	switch sa := sa.(type) {
	case *windows.SockaddrInet4:
		return ip4Address(sa.Addr, sa.Port)
	case *windows.SockaddrInet6:
		return ipAddress(sa.Addr, sa.Port, sa.ZoneId)
	case *windows.SockaddrUnix:
		return unixAddress(sa.Name)
	}
	return Address{}
}

// Sockaddr turns a *net.TCPAddr or *net.UnixAddr into a socket address and its
// domain. A TCP address without IP is the IPv6 wildcard.
func Sockaddr(addr net.Addr) (windows.Sockaddr, int, error) {
	switch a := addr.(type) {
	case *net.TCPAddr:
		ip, ok := netip.AddrFromSlice(a.IP)
		if len(a.IP) == 0 {
			ip, ok = netip.IPv6Unspecified(), true
		}
		switch ip = ip.Unmap(); {
		case !ok:
			return nil, 0, winsockErrors[windows.WSAEINVAL]
		case ip.Is4():
			return &windows.SockaddrInet4{Port: a.Port, Addr: ip.As4()}, windows.AF_INET, nil
		}
		return &windows.SockaddrInet6{Port: a.Port, Addr: ip.As16(), ZoneId: zoneID(a.Zone)}, windows.AF_INET6, nil
	case *net.UnixAddr:
		if a.Name == "" || a.Name[0] == '@' { // which has no file, and is Linux's alone
			return nil, 0, winsockErrors[windows.WSAEINVAL]
		}
		return &windows.SockaddrUnix{Name: a.Name}, windows.AF_UNIX, nil
	}
	return nil, 0, winsockErrors[windows.WSAEAFNOSUPPORT]
}
