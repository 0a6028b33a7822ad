//go:build unix || windows

// Package socket is the one place that knows how each system makes, uses and
// names stream sockets, and how it uses pipes and terminals: every descriptor
// that it returns is non-blocking and not inherited by children. Errors are bare
// errnos, except those of Adopt, Listen and what sets options: *os.SyscallError.
//
// The files for Unix and Windows use package syscall, which has one name for each
// address, option and errno on both; handle, fault and getInt take up what differs.
package socket

import "syscall"

// CloseWrite sends a FIN behind what was written.
func CloseWrite(fd int) error { return fault(syscall.Shutdown(handle(fd), syscall.SHUT_WR)) }

// TakeError returns and clears the socket's pending error (SO_ERROR). Windows does not
// clear it.
func TakeError(fd int) error {
	code, err := getInt(fd, syscall.SOL_SOCKET, soError)
	if err != nil || code == 0 {
		return err
	}
	return fault(syscall.Errno(code))
}

// IsStream returns ENOTSOCK, or ESOCKTNOSUPPORT for a socket that is not a byte
// stream.
func IsStream(fd int) error {
	kind, err := getInt(fd, syscall.SOL_SOCKET, soType)
	if err == nil && kind != syscall.SOCK_STREAM {
		err = fault(syscall.ESOCKTNOSUPPORT)
	}
	return err
}
