package poller

import "golang.org/x/sys/unix"

type pollBits = int16

const (
	pollRDHup   = unix.POLLRDHUP
	msgDontWait = unix.MSG_DONTWAIT
)
