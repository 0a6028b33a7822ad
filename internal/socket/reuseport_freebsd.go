package socket

import "golang.org/x/sys/unix"

// ReusePort lets several sockets listen on one address, each of which gets its
// share of the connections.
func ReusePort(fd int) error { return set(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT_LB, 1) }
