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
