//go:build unix && !(linux || darwin || openbsd)

package socket

import "golang.org/x/sys/unix"

// writev writes one slice: x/sys has no writev for these systems.
func writev(fd int, bufs [][]byte) (int, error) { return unix.Write(fd, first(bufs)) }
