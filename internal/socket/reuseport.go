//go:build linux || freebsd || dragonfly

package socket

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// ReusePort lets several sockets listen on one address, each of which gets its
// share of the connections.
func ReusePort(fd int) error {
	option := unix.SO_REUSEPORT
	if runtime.GOOS == "freebsd" {
		option = 0x10000 // SO_REUSEPORT_LB: its SO_REUSEPORT gives all to one
	}
	return set(fd, unix.SOL_SOCKET, option, 1)
}
