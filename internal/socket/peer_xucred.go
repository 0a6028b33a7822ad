//go:build darwin || freebsd

package socket

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// Peer returns the user that the other side of a Unix socket had when it
// connected, and on macOS its process.
func Peer(fd int) (pid, uid, gid int, err error) {
	c, err := unix.GetsockoptXucred(fd, 0, unix.LOCAL_PEERCRED)
	if err != nil {
		return 0, 0, 0, err
	}
	if c.Ngroups > 0 {
		gid = int(c.Groups[0])
	}
	if runtime.GOOS == "darwin" {
		const localPeerPID = 2 // LOCAL_PEERPID, which FreeBSD has not
		pid, _ = unix.GetsockoptInt(fd, 0, localPeerPID)
	}
	return pid, int(c.Uid), gid, nil
}
