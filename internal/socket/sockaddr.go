//go:build unix || windows

package socket

import (
	"net"
	"net/netip"
	"runtime"
	"syscall"
)

// LocalAddr returns the socket's address as package net does, nil if there is none.
func LocalAddr(fd int) net.Addr {
	sa, err := syscall.Getsockname(handle(fd))
	if err != nil {
		return nil
	}
	local := address(sa)
	return local.Addr()
}

// PeerAddress returns the address of the other side, none if the system has none, or has
// forgotten it since the connection broke.
func PeerAddress(fd int) Address {
	sa, err := syscall.Getpeername(handle(fd))
	if err != nil {
		return Address{}
	}
	return address(sa)
}

func address(sa syscall.Sockaddr) Address {
	switch sa := sa.(type) {
	case *syscall.SockaddrInet4:
		return ip4Address(sa.Addr, sa.Port)
	case *syscall.SockaddrInet6:
		return ipAddress(sa.Addr, sa.Port, sa.ZoneId)
	case *syscall.SockaddrUnix:
		return unixAddress(sa.Name)
	}
	return Address{}
}

// Sockaddr turns a *net.TCPAddr or *net.UnixAddr into a socket address and its
// domain. A TCP address without IP is the IPv6 wildcard.
func Sockaddr(addr net.Addr) (syscall.Sockaddr, int, error) {
	switch a := addr.(type) {
	case *net.TCPAddr:
		ip, ok := netip.AddrFromSlice(a.IP)
		if len(a.IP) == 0 {
			ip, ok = netip.IPv6Unspecified(), true
		}
		switch ip = ip.Unmap(); {
		case !ok:
			return nil, 0, fault(syscall.EINVAL)
		case ip.Is4():
			return &syscall.SockaddrInet4{Port: a.Port, Addr: ip.As4()}, syscall.AF_INET, nil
		}
		return &syscall.SockaddrInet6{Port: a.Port, Addr: ip.As16(), ZoneId: zoneID(a.Zone)}, syscall.AF_INET6, nil
	case *net.UnixAddr:
		if a.Name == "" || runtime.GOOS == "windows" && a.Name[0] == '@' { // an abstract name, Linux's alone
			return nil, 0, fault(syscall.EINVAL)
		}
		return &syscall.SockaddrUnix{Name: a.Name}, syscall.AF_UNIX, nil
	}
	return nil, 0, fault(syscall.EAFNOSUPPORT)
}
