package poller

import "golang.org/x/sys/unix"

type pollBits = int16

const (
	pollRDHup   = 0
	msgDontWait = unix.MSG_DONTWAIT
)
