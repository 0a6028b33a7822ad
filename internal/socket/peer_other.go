//go:build !(linux || darwin || freebsd)

package socket

import "errors"

// Peer is not there yet on this system.
func Peer(int) (pid, uid, gid int, err error) { return 0, 0, 0, errors.ErrUnsupported }
