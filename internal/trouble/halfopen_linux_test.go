package trouble

import (
	"net"

	"golang.org/x/sys/unix"
)

// forsake closes an end of a connection without a word to the other, as a
// machine does that has lost power: nothing but a probe tells (see tcp(7), and
// TCP_REPAIR). It takes privileges; without them the end is closed as usual.
func forsake(c *net.TCPConn) {
	raw, err := c.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_REPAIR, 1)
	})
	_ = c.Close()
}
