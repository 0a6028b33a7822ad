package poller

import "golang.org/x/sys/unix"

type pollBits = uint16

const (
	pollRDHup   = 0
	msgDontWait = unix.MSG_NONBLOCK
)
