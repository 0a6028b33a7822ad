//go:build freebsd || netbsd

package socket

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// FIONWRITE, which golang.org/x/sys does not have: _IOR('f', n, int), where n is
// 119 on FreeBSD and 121 on NetBSD (sys/filio.h).
const (
	ioctlFreeBSD = 0x40046677
	ioctlNetBSD  = 0x40046679
)

// Queued returns how many bytes that were sent have not reached the peer; 0 if the
// system does not tell.
func Queued(fd int) int {
	request := uint(ioctlFreeBSD)
	if runtime.GOOS == "netbsd" {
		request = ioctlNetBSD
	}
	n, err := unix.IoctlGetInt(fd, request)
	if err != nil {
		return 0
	}
	return n
}
