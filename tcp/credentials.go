package tcp

import (
	"fmt"
	"net"
	"os"

	"github.com/eddyloop/eddy/internal/socket"
	"github.com/eddyloop/eddy/iostream"
)

// Credentials are the identity of a process when it connected to a Unix socket
// or began to listen on one. The kernel vouches for them.
type Credentials struct {
	PID int // 0 on FreeBSD, which does not tell
	UID int
	GID int
}

// PeerCredentials returns the identity of the peer of a stream over a Unix
// socket. It fails on other streams, and with errors.ErrUnsupported on NetBSD,
// OpenBSD and DragonFly.
func PeerCredentials(s *iostream.Stream) (Credentials, error) {
	var c Credentials
	var err error
	e := s.Control(func(fd uintptr) {
		// Of a TCP socket Linux says that the peer is process 0 and user -1.
		if _, isUnix := socket.LocalAddr(int(fd)).(*net.UnixAddr); !isUnix {
			err = fmt.Errorf("%w: not a Unix socket", ErrInvalid)
			return
		}
		c.PID, c.UID, c.GID, err = socket.Peer(int(fd))
		err = os.NewSyscallError("getsockopt", err)
	})
	if e != nil {
		return Credentials{}, e
	}
	return c, err
}
