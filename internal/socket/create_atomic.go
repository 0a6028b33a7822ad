//go:build (linux && !eddy_plain) || freebsd || netbsd || openbsd || dragonfly

package socket

import (
	"golang.org/x/sys/unix"
)

// Stream returns a new stream socket of domain.
func Stream(domain int) (int, error) {
	return unix.Socket(domain, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
}
