package closedport

import (
	"net"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAddress(t *testing.T) {
	address := Address(t)
	_, err := net.Dial("tcp", address)
	require.ErrorContains(t, err, "refused")
	_, err = net.Listen("tcp", address)
	require.Error(t, err, "the port is taken")
}

func TestHold(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	addr := l.Addr().(*net.TCPAddr)
	require.False(t, Hold(t, addr))
	require.NoError(t, l.Close())
	require.True(t, Hold(t, addr))
	_, err = net.Dial("tcp", addr.String())
	require.ErrorContains(t, err, "refused")
}

func TestFree(t *testing.T) {
	address := Free(t)
	require.NotEqual(t, address, Free(t))
	l, err := net.Listen("tcp", address)
	require.NoError(t, err)
	require.NoError(t, l.Close())
}
