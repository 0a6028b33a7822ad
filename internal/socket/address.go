package socket

import (
	"encoding/binary"
	"net"
	"net/netip"
	"runtime"
	"strconv"
)

// Address is what the kernel calls a side of a connection, as accept and connect
// tell it: in little space, and without the names of zones, which have to be looked
// up. The zero value is no address.
type Address struct {
	ip     [16]byte // IPv4 as RFC 4291, 2.5.5.2 has it
	path   *string  // of a Unix socket that has a name
	zone   uint32
	port   uint16
	family family
}

type family uint8

const (
	familyNone family = iota
	familyIP
	familyUnix
)

// AddressOf returns a *net.TCPAddr or *net.UnixAddr as an Address; others, and nil,
// are none.
func AddressOf(addr net.Addr) Address {
	switch a := addr.(type) {
	case *net.TCPAddr:
		if ip, ok := netip.AddrFromSlice(a.IP); ok {
			return ipAddress(ip.As16(), a.Port, zoneID(a.Zone))
		}
	case *net.UnixAddr:
		return unixAddress(a.Name)
	}
	return Address{}
}

func ipAddress(ip [16]byte, port int, zone uint32) Address {
	return Address{ip: ip, port: uint16(port), zone: zone, family: familyIP}
}

func ip4Address(ip [4]byte, port int) Address {
	return ipAddress(netip.AddrFrom4(ip).As16(), port, 0)
}

func unixAddress(path string) Address {
	a := Address{family: familyUnix}
	if path != "" && path != unnamed {
		a.path = &path
	}
	return a
}

// unnamed is what package net calls a Unix socket without a name.
var unnamed = map[string]string{"linux": "@", "android": "@"}[runtime.GOOS]

// Addr returns the address as package net has it, nil for none.
func (a *Address) Addr() net.Addr {
	switch a.family {
	case familyIP:
		ip := netip.AddrFrom16(a.ip).Unmap()
		return &net.TCPAddr{IP: ip.AsSlice(), Port: int(a.port), Zone: zoneName(a.zone)}
	case familyUnix:
		addr := &net.UnixAddr{Name: unnamed, Net: "unix"}
		if a.path != nil {
			addr.Name = *a.path
		}
		return addr
	}
	return nil
}

// IsIP reports whether the address is one of TCP.
func (a *Address) IsIP() bool { return a.family == familyIP }

// ShortAddress is an Address in the space that IPv4 needs. The zero value is none.
type ShortAddress [7]byte

// Short returns the address as a ShortAddress; false if it is one of IPv6, or a name.
func (a *Address) Short() (short ShortAddress, ok bool) {
	ip := netip.AddrFrom16(a.ip)
	switch {
	case a.family == familyIP && ip.Is4In6():
		copy(short[1:], a.ip[12:])
		binary.BigEndian.PutUint16(short[5:], a.port)
	case a.family == familyIP || a.path != nil:
		return short, false
	}
	short[0] = byte(a.family)
	return short, true
}

// Addr returns the address as package net has it, nil for none.
func (a ShortAddress) Addr() net.Addr {
	long := Address{family: family(a[0])}
	if long.family == familyIP {
		long = ip4Address([4]byte(a[1:5]), int(binary.BigEndian.Uint16(a[5:])))
	}
	return long.Addr()
}

func zoneName(id uint32) string {
	if id == 0 {
		return ""
	}
	if ifi, err := net.InterfaceByIndex(int(id)); err == nil {
		return ifi.Name
	}
	return strconv.FormatUint(uint64(id), 10)
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
