//go:build !race

package socket

import (
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Before Linux 4.3, 386 and s390x had one system call for all that sockets do, which package
// syscall uses there. The kernel reads the arguments from memory.
const viaSocketcall = runtime.GOARCH == "386" || runtime.GOARCH == "s390x"

const (
	sysSocketcall = 102 // on both

	callSendto   = 11
	callRecvfrom = 12
	callSendmsg  = 16
	callAccept4  = 18
)

func socketcall(call uintptr, arguments unsafe.Pointer, raw bool) (uintptr, unix.Errno) {
	if raw {
		r, _, errno := syscall.RawSyscall(sysSocketcall, call, uintptr(arguments), 0)
		return r, errno
	}
	r, _, errno := syscall.Syscall(sysSocketcall, call, uintptr(arguments), 0)
	return r, errno
}

// moveVia is recvfrom or sendto, of n bytes from p on.
func moveVia(call uintptr, fd int, p *byte, n int, flags uintptr) (uintptr, unix.Errno) {
	arguments := struct {
		fd       uintptr
		p        *byte
		n, flags uintptr
		address  unsafe.Pointer
		size     uintptr
	}{fd: uintptr(fd), p: p, n: uintptr(n), flags: flags}
	return socketcall(call, unsafe.Pointer(&arguments), n <= rawBytes)
}

func sendmsgVia(fd int, header *unix.Msghdr, flags uintptr, raw bool) (uintptr, unix.Errno) {
	arguments := struct {
		fd     uintptr
		header *unix.Msghdr
		flags  uintptr
	}{uintptr(fd), header, flags}
	return socketcall(callSendmsg, unsafe.Pointer(&arguments), raw)
}

func accept4Via(fd int, peer *unix.RawSockaddrAny, size *uint32, flags uintptr) (uintptr, unix.Errno) {
	arguments := struct {
		fd    uintptr
		peer  *unix.RawSockaddrAny
		size  *uint32
		flags uintptr
	}{uintptr(fd), peer, size, flags}
	return socketcall(callAccept4, unsafe.Pointer(&arguments), true)
}
