package socket

import (
	"time"

	"golang.org/x/sys/unix"
)

// Inherits: an accepted TCP socket has all options of its listener, so that none
// has to be set on each.
const Inherits = true

func (o *Options) setKeepAlive(fd int) error {
	if err := setPositive(fd, unix.TCP_KEEPIDLE, seconds(o.Idle)); err != nil {
		return err
	}
	if err := setPositive(fd, unix.TCP_KEEPINTVL, seconds(o.Interval)); err != nil {
		return err
	}
	return setPositive(fd, unix.TCP_KEEPCNT, o.Count)
}

func setUserTimeout(fd int, d time.Duration) error {
	return setPositive(fd, unix.TCP_USER_TIMEOUT, int((d+time.Millisecond-1)/time.Millisecond))
}

// ReusePort lets several sockets listen on one address, each of which gets its
// share of the connections.
func ReusePort(fd int) error { return set(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1) }

func bindWithoutPort(fd int) {
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
}

// ignoreRights has a Unix socket, and those accepted from it, refuse descriptors
// (SO_PASSRIGHTS, Linux 6.16): a sender of some gets EPERM.
func ignoreRights(fd int) {
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PASSRIGHTS, 0)
}

func replace(fd, number int) error { return unix.Dup3(fd, number, unix.O_CLOEXEC) }
