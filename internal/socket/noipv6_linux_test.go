package socket_test

import (
	"net"
	"os"
	"syscall"
	"testing"

	"github.com/eddyloop/eddy/internal/sandbox"
	"github.com/eddyloop/eddy/internal/selfexec"
	"github.com/eddyloop/eddy/internal/socket"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// Where there is no IPv6, who asks for no address gets IPv4, and who asks for one of IPv6
// is told.
func TestListenWithoutIPv6(t *testing.T) {
	const variable = "EDDY_TEST_WITHOUT_IPV6"
	if os.Getenv(variable) != "" {
		testListenWithoutIPv6(t)
		return
	}
	out, err := selfexec.Command(variable+"=1", "-test.run=^TestListenWithoutIPv6$", "-test.v").CombinedOutput()
	require.NoError(t, err, "%s", out)
}

func testListenWithoutIPv6(t *testing.T) {
	if err := sandbox.ForbidWith(unix.SYS_SOCKET, unix.AF_INET6, unix.EAFNOSUPPORT); err != nil {
		t.Skip("no seccomp here: ", err)
	}
	if fd, err := socket.Stream(syscall.AF_INET6); err != unix.EAFNOSUPPORT {
		_ = socket.Close(fd)
		t.Skip("sockets are made by another system call here: ", err)
	}
	fd, err := socket.Listen(&net.TCPAddr{}, 1, nil)
	require.NoError(t, err)
	defer socket.Close(fd)
	sa, err := unix.Getsockname(fd)
	require.NoError(t, err)
	v4, ok := sa.(*unix.SockaddrInet4)
	require.True(t, ok, "%T", sa)
	require.Equal(t, [4]byte{}, v4.Addr)

	_, err = socket.Listen(&net.TCPAddr{Port: v4.Port}, 1, nil)
	require.ErrorIs(t, err, unix.EADDRINUSE, "the port is the one that was asked for")
	_, err = socket.Listen(&net.TCPAddr{IP: net.IPv6loopback}, 1, nil)
	require.ErrorIs(t, err, unix.EAFNOSUPPORT)
	fd, err = socket.Listen(&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}, 1, nil)
	require.NoError(t, err)
	require.NoError(t, socket.Close(fd))
}
