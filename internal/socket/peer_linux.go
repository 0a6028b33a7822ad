package socket

import "golang.org/x/sys/unix"

// Peer returns the process and user that the other side of a Unix socket had
// when it connected.
func Peer(fd int) (pid, uid, gid int, err error) {
	c, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return 0, 0, 0, err
	}
	return int(c.Pid), int(c.Uid), int(c.Gid), nil
}
