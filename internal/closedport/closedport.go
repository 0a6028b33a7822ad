// Package closedport is for tests of what connects to where nobody listens.
package closedport

import (
	"net"
	"testing"

	"github.com/stretchr/testify/require"
)

// Address returns an address that refuses connections until the test is over. Its port is the
// client's end of a connection: one that had only been given back could be another process's
// the next moment.
func Address(t testing.TB) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	conn, err := net.Dial("tcp", listener.Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	accepted, err := listener.Accept()
	require.NoError(t, err)
	t.Cleanup(func() { _ = accepted.Close() })
	return conn.LocalAddr().String()
}
