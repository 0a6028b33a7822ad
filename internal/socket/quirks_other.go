//go:build unix && !darwin && !aix && (!linux || race)

package socket

import "golang.org/x/sys/unix"

const sendFlags = unix.MSG_NOSIGNAL

func sendError(err error) error { return err }
