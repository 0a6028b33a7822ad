package socket

import (
	"time"

	"golang.org/x/sys/unix"
)

// Inherits: an accepted TCP socket has all options of its listener, so that none
// has to be set on each.
const Inherits = true

const fionread = unix.TIOCINQ

func (o *Options) setKeepAlive(fd int) error {
	return o.setTimes(fd, unix.TCP_KEEPIDLE, unix.TCP_KEEPINTVL, unix.TCP_KEEPCNT)
}

func setUserTimeout(fd int, d time.Duration) error {
	return setPositive(fd, unix.TCP_USER_TIMEOUT, int((d+time.Millisecond-1)/time.Millisecond))
}

func bindWithoutPort(fd int) {
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
}

// ignoreRights has a Unix socket, and those accepted from it, refuse descriptors
// (SO_PASSRIGHTS, Linux 6.16): a sender of some gets EPERM.
func ignoreRights(fd int) {
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PASSRIGHTS, 0)
}

func replace(fd, number int) error { return unix.Dup3(fd, number, unix.O_CLOEXEC) }

// Peer returns the process and user that the other side of a Unix socket had
// when it connected.
func Peer(fd int) (pid, uid, gid int, err error) {
	c, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return 0, 0, 0, err
	}
	return int(c.Pid), int(c.Uid), int(c.Gid), nil
}

// Queued returns how many bytes that were sent have not reached the peer: for TCP
// what is not acknowledged, for a Unix socket what the peer has not read. 0 if the
// system does not tell.
func Queued(fd int) int {
	n, err := unix.IoctlGetInt(fd, unix.TIOCOUTQ) // SIOCOUTQ, tcp(7)
	if err != nil {
		return 0
	}
	return n
}
