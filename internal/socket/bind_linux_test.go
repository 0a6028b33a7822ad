package socket

import (
	"net"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// A system that has no sockets for both families at once may refuse to make one, and
// nobody else may refuse anything. The socket here refuses all that IPv6 has.
func TestBindOnlyIPv6(t *testing.T) {
	fd, err := Stream(unix.AF_UNIX)
	require.NoError(t, err)
	defer Close(fd)
	for call, ip := range map[string]net.IP{"setsockopt": net.IPv6loopback, "bind": nil} {
		addr := &net.TCPAddr{IP: ip}
		sa, domain, err := Sockaddr(addr)
		require.NoError(t, err)
		var failed *os.SyscallError
		require.ErrorAs(t, bind(fd, sa, domain, addr), &failed)
		require.Equal(t, call, failed.Syscall)
	}
}
