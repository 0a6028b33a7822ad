//go:build !race && (386 || s390x)

package socket

import (
	"net"
	"os"
	"testing"
	"time"

	"github.com/eddyloop/eddy/internal/sandbox"
	"github.com/eddyloop/eddy/internal/selfexec"
	"github.com/eddyloop/eddy/internal/testtime"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// Kernels before 4.3 know no system call of its own for any of this.
func TestSocketcall(t *testing.T) {
	const variable = "EDDY_TEST_SOCKETCALL"
	if os.Getenv(variable) == "" {
		out, err := selfexec.Command(variable+"=1", "-test.run=^TestSocketcall$", "-test.v").CombinedOutput()
		require.NoError(t, err, "%s", out)
		return
	}
	for _, number := range []uint32{unix.SYS_SOCKET, unix.SYS_SOCKETPAIR, unix.SYS_BIND, unix.SYS_CONNECT, unix.SYS_LISTEN,
		unix.SYS_ACCEPT4, unix.SYS_GETSOCKOPT, unix.SYS_SETSOCKOPT, unix.SYS_GETSOCKNAME, unix.SYS_GETPEERNAME,
		unix.SYS_SENDTO, unix.SYS_SENDMSG, unix.SYS_RECVFROM, unix.SYS_RECVMSG, unix.SYS_SHUTDOWN} {
		if err := sandbox.Forbid(number, unix.ENOSYS); err != nil {
			t.Skip("no seccomp here: ", err)
		}
	}
	listener, err := Listen(&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}, 1, nil)
	require.NoError(t, err)
	defer Close(listener)
	fd, err := New(LocalAddr(listener))
	require.NoError(t, err)
	defer Close(fd)
	_, err = Connect(fd, LocalAddr(listener))
	require.NoError(t, err)
	await := func(fd int, write bool) {
		require.NoError(t, AwaitReady(fd, write, testtime.Patience(10*time.Second)))
	}
	await(fd, true)
	require.NoError(t, Connected(fd))
	await(listener, false)
	peer, address, err := Accept(listener)
	require.NoError(t, err)
	defer Close(peer)
	require.Equal(t, LocalAddr(fd).String(), address.Addr().String())
	_, err = Read(peer, make([]byte, 10))
	require.Equal(t, unix.EAGAIN, err)
	n, err := Send(fd, []byte("abc"))
	require.NoError(t, err)
	require.Equal(t, 3, n)
	n, err = SendVector(fd, [][]byte{[]byte("de"), make([]byte, rawBytes)})
	require.NoError(t, err)
	require.GreaterOrEqual(t, n, 2)
	await(peer, false)
	got := make([]byte, 2*rawBytes)
	_, err = Read(peer, got[:5])
	require.NoError(t, err)
	require.Equal(t, "abcde", string(got[:5]))
	n, err = Read(peer, got)
	require.NoError(t, err)
	require.Positive(t, n)
	require.NoError(t, CloseWrite(fd))
}
