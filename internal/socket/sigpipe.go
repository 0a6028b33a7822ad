//go:build unix && !darwin

package socket

import "golang.org/x/sys/unix"

const sendFlags = unix.MSG_NOSIGNAL

func noSigpipe(int) error { return nil }
