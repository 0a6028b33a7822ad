// Package closedport is for tests of what connects to where nobody listens, or not yet.
package closedport

import (
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// given are the addresses that Free has returned.
var given sync.Map

// Free returns an address for a program that is told where to listen. Its port is none that
// systems choose by themselves (Linux from 32768 on): one of those could be another's by the
// time that the program is there.
func Free(t testing.TB) string {
	t.Helper()
	for range 1000 {
		address := fmt.Sprintf("127.0.0.1:%d", 20_000+rand.IntN(12_000))
		if _, again := given.LoadOrStore(address, true); again {
			continue
		}
		if l, err := net.Listen("tcp", address); err == nil {
			require.NoError(t, l.Close())
			return address
		}
	}
	t.Fatal("no port is free")
	return ""
}

// Address returns an address that refuses connections until the test is over. Its port is the
// client's end of a connection: one that had only been given back could be another process's
// the next moment.
func Address(t testing.TB) string {
	t.Helper()
	conn, err := connect(t, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	require.NoError(t, err)
	return conn.LocalAddr().String()
}

// Hold has an address refuse connections until the test is over, and returns false if it is
// somebody's.
func Hold(t testing.TB, addr *net.TCPAddr) bool {
	t.Helper()
	_, err := connect(t, addr)
	return err == nil
}

// connect returns a connection from an address, which it keeps until the test is over.
func connect(t testing.TB, from *net.TCPAddr) (net.Conn, error) {
	t.Helper()
	listener, err := net.ListenTCP("tcp", &net.TCPAddr{IP: from.IP})
	require.NoError(t, err)
	defer listener.Close()
	conn, err := (&net.Dialer{LocalAddr: from}).Dial("tcp", listener.Addr().String())
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { _ = conn.Close() })
	accepted, err := listener.Accept()
	require.NoError(t, err)
	t.Cleanup(func() { _ = accepted.Close() })
	return conn, nil
}
