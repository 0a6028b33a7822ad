//go:build unix

package socket

import (
	"net"
	"net/netip"

	"golang.org/x/sys/unix"
)

// LocalAddr returns the socket's address as package net does, nil if there is none.
func LocalAddr(fd int) net.Addr {
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return nil
	}
	local := address(sa)
	return local.Addr()
}

// PeerAddress returns the address of the other side, none if the kernel has none, or has
// forgotten it since the connection broke.
func PeerAddress(fd int) Address {
	sa, err := unix.Getpeername(fd)
	if err != nil {
		return Address{}
	}
	return address(sa)
}

func address(sa unix.Sockaddr) Address {
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return ip4Address(sa.Addr, sa.Port)
	case *unix.SockaddrInet6:
		return ipAddress(sa.Addr, sa.Port, sa.ZoneId)
	case *unix.SockaddrUnix:
		return unixAddress(sa.Name)
	}
	return Address{}
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
