package tcp_test

import (
	"testing"

	"github.com/eddyloop/eddy/iostream"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// requireTCPTimes requires what TestSocketOptions has set.
func requireTCPTimes(t *testing.T, s *iostream.Stream) {
	t.Helper()
	require.Equal(t, 50, option(t, s, unix.IPPROTO_TCP, unix.TCP_KEEPIDLE))
	require.Equal(t, 2, option(t, s, unix.IPPROTO_TCP, unix.TCP_KEEPINTVL))
	require.Equal(t, 3, option(t, s, unix.IPPROTO_TCP, unix.TCP_KEEPCNT))
	require.Equal(t, 7000, option(t, s, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT))
}

func requireKeepAlive(t *testing.T, s *iostream.Stream, idle, interval, count int) {
	t.Helper()
	require.Equal(t, idle, option(t, s, unix.IPPROTO_TCP, unix.TCP_KEEPIDLE))
	require.Equal(t, interval, option(t, s, unix.IPPROTO_TCP, unix.TCP_KEEPINTVL))
	require.Equal(t, count, option(t, s, unix.IPPROTO_TCP, unix.TCP_KEEPCNT))
}

// kernelRefusesRights reports whether there is SO_PASSRIGHTS.
func kernelRefusesRights() bool {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		return false
	}
	defer unix.Close(pair[0])
	defer unix.Close(pair[1])
	return unix.SetsockoptInt(pair[0], unix.SOL_SOCKET, unix.SO_PASSRIGHTS, 0) == nil
}
