//go:build linux || darwin || dragonfly || freebsd

package socket

import "golang.org/x/sys/unix"

// CannotSendFile reports whether SendFile has failed because of the file, its file system or a
// sandbox, and not because of the socket.
func CannotSendFile(err error) bool {
	switch err {
	case unix.EINVAL, unix.ENOSYS, unix.EOPNOTSUPP, unix.EPERM, unix.EACCES, unix.EOVERFLOW, unix.EIO,
		unix.EBADF, unix.ESPIPE, unix.ENOTSOCK, unix.ENOMEM, unix.EBUSY:
		return true
	}
	return false
}
