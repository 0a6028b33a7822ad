//go:build !(linux || freebsd || dragonfly)

package socket

import (
	"errors"
	"os"
)

// ReusePort is an error: the system would give all connections to one socket.
func ReusePort(int) error { return os.NewSyscallError("SO_REUSEPORT", errors.ErrUnsupported) }
