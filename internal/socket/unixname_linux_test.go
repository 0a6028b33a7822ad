//go:build linux && !race && !eddy_plain

package socket

import (
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// What accept tells of a Unix peer is read as package net does.
func TestRawUnixAddress(t *testing.T) {
	const head = int(unsafe.Offsetof(unix.RawSockaddrUnix{}.Path))
	for _, c := range []struct {
		path string
		size int // of the path
		want string
	}{
		{"", 0, "@"},
		{"/tmp/s", 6, "/tmp/s"},
		{"/tmp/s\x00", 7, "/tmp/s"},
		{"/tmp/s/else", 6, "/tmp/s"},
		{"\x00abstract", 9, "@abstract"},
		{"\x00abstract\x00more", 14, "@abstract"},
		{"/tmp/s", -1, "@"}, // the kernel's word is not trusted
		{"/tmp/s", 1000, "/tmp/s"},
	} {
		raw := new(unix.RawSockaddrAny)
		sa := (*unix.RawSockaddrUnix)(unsafe.Pointer(raw))
		sa.Family = unix.AF_UNIX
		for i := range len(c.path) {
			sa.Path[i] = int8(c.path[i])
		}
		a := rawAddress(raw, head+c.size)
		require.Equal(t, c.want, a.Addr().String(), "%q", c.path)
	}
	raw := new(unix.RawSockaddrAny)
	raw.Addr.Family = unix.AF_NETLINK
	a := rawAddress(raw, 12)
	require.Nil(t, a.Addr())
}
