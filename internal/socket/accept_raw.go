//go:build linux && !race && !eddy_plain

package socket

import (
	"encoding/binary"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Accept takes the next connection of a listener that nobody else has, and tells
// who has connected. It does not block, so the scheduler need not hear of it.
func Accept(fd int) (int, Address, error) {
	var peer unix.RawSockaddrAny
	for {
		size := uint32(unix.SizeofSockaddrAny)
		var conn uintptr
		var errno unix.Errno
		if viaSocketcall {
			conn, errno = accept4Via(fd, &peer, &size, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		} else {
			conn, _, errno = syscall.RawSyscall6(unix.SYS_ACCEPT4, uintptr(fd), uintptr(unsafe.Pointer(&peer)),
				uintptr(unsafe.Pointer(&size)), unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0, 0)
		}
		switch errno {
		case 0:
			expectMore(int(conn))
			return int(conn), rawAddress(&peer, int(size)), nil
		case unix.EINTR:
		default:
			return -1, Address{}, errno
		}
	}
}

// rawAddress reads an address of size bytes.
func rawAddress(raw *unix.RawSockaddrAny, size int) Address {
	switch raw.Addr.Family {
	case unix.AF_INET:
		sa := (*unix.RawSockaddrInet4)(unsafe.Pointer(raw))
		return ip4Address(sa.Addr, networkPort(&sa.Port))
	case unix.AF_INET6:
		sa := (*unix.RawSockaddrInet6)(unsafe.Pointer(raw))
		return ipAddress(sa.Addr, networkPort(&sa.Port), sa.Scope_id)
	case unix.AF_UNIX:
		sa := (*unix.RawSockaddrUnix)(unsafe.Pointer(raw))
		return unixAddress(unixName(sa, size-int(unsafe.Offsetof(sa.Path))))
	}
	return Address{}
}

func networkPort(p *uint16) int {
	return int(binary.BigEndian.Uint16((*[2]byte)(unsafe.Pointer(p))[:]))
}

// unixName returns a name of up to size bytes. An abstract one begins with a zero byte,
// which package net shows as @; another zero byte ends it.
func unixName(sa *unix.RawSockaddrUnix, size int) string {
	var name []byte
	for i, c := range sa.Path[:max(0, min(size, len(sa.Path)))] {
		switch {
		case c != 0:
			name = append(name, byte(c))
		case i == 0:
			name = append(name, '@')
		default:
			return string(name)
		}
	}
	return string(name)
}
