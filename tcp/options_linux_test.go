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
