//go:build unix || windows

package tcp_test

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"github.com/eddyloop/eddy/internal/closedport"
	"github.com/eddyloop/eddy/internal/leaktest"
	"github.com/eddyloop/eddy/internal/posix"
	"github.com/eddyloop/eddy/internal/tempdir"
	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/tcp"
	"github.com/stretchr/testify/require"
)

func requireIPv6(t *testing.T) {
	t.Helper()
	l, err := net.Listen("tcp6", "[::1]:0")
	if err != nil {
		t.Skip("no IPv6 here: ", err)
	}
	l.Close()
}

// listenApart serves lines on a port that is nobody's at other addresses, and returns it.
func listenApart(t *testing.T, network, address string, others []string) (port int) {
	t.Helper()
	for taken := true; taken; {
		addr, _ := listenOn(t, &tcp.Server{Handler: lines, Loops: 1}, network, address)
		port = addr.(*net.TCPAddr).Port
		taken = slices.ContainsFunc(others, func(host string) bool {
			return !closedport.Hold(t, &net.TCPAddr{IP: net.ParseIP(host), Port: port})
		})
	}
	return port
}

func TestListenTCP(t *testing.T) {
	for _, test := range []struct {
		network, address string
		reach            []string // hosts
		refuse           []string
	}{
		{"tcp", "127.0.0.1:0", []string{"127.0.0.1"}, []string{"::1"}},
		{"tcp", "localhost:0", []string{"localhost"}, nil},
		{"tcp4", "127.0.0.1:0", []string{"127.0.0.1"}, nil},
		{"tcp4", ":0", []string{"127.0.0.1"}, []string{"::1"}},
		{"tcp", "0.0.0.0:0", []string{"::1", "127.0.0.1"}, nil},
		{"tcp", "[::1]:0", []string{"::1"}, []string{"127.0.0.1"}},
		{"tcp6", ":0", []string{"::1"}, []string{"127.0.0.1"}},
		{"tcp", "[::]:0", []string{"::1", "127.0.0.1"}, nil},
		{"tcp", ":0", []string{"::1", "127.0.0.1"}, nil},
	} {
		t.Run(test.network+" "+test.address, func(t *testing.T) {
			requireIPv6(t)
			port := listenApart(t, test.network, test.address, test.refuse)
			require.NotZero(t, port)
			for _, host := range test.reach {
				ip, err := net.ResolveIPAddr("ip", host)
				require.NoError(t, err)
				dial(t, &net.TCPAddr{IP: ip.IP, Port: port}).echo("hello\n")
			}
			for _, host := range test.refuse {
				_, err := net.DialTCP("tcp", nil, &net.TCPAddr{IP: net.ParseIP(host), Port: port})
				require.ErrorIs(t, err, posix.ECONNREFUSED)
			}
		})
	}
}

func TestListenUnix(t *testing.T) {
	path := socketPath(t)
	t.Run("", func(t *testing.T) {
		addr, _ := listenOn(t, &tcp.Server{Handler: lines}, "unix", path)
		require.Equal(t, &net.UnixAddr{Name: path, Net: "unix"}, addr)
		dial(t, addr).echo("hello\n")
	})
	require.NoFileExists(t, path)
}

func TestListenUnixTakesOverStaleFile(t *testing.T) {
	path := socketPath(t)
	stale, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	require.NoError(t, err)
	stale.SetUnlinkOnClose(false)
	require.NoError(t, stale.Close())
	require.FileExists(t, path)
	addr, _ := listenOn(t, &tcp.Server{Handler: lines}, "unix", path)
	dial(t, addr).echo("hello\n")
}

func TestListenUnixInUse(t *testing.T) {
	path := socketPath(t)
	addr, _ := listenOn(t, &tcp.Server{Handler: lines}, "unix", path)
	second := &tcp.Server{Handler: lines}
	_, err := second.Listen("unix", path)
	requireOpError(t, err, "listen")
	require.ErrorIs(t, err, syscall.EADDRINUSE)
	require.NoError(t, second.Close())
	dial(t, addr).echo("still there\n")
}

func TestListenUnixFileInTheWay(t *testing.T) {
	leaktest.Check(t)
	path := socketPath(t)
	require.NoError(t, os.WriteFile(path, []byte("precious"), 0o600))
	srv := &tcp.Server{Handler: lines}
	_, err := srv.Listen("unix", path)
	require.ErrorIs(t, err, syscall.EADDRINUSE)
	require.NoError(t, srv.Close())
	require.FileExists(t, path)
}

// A socket file that has been replaced meanwhile is somebody else's.
func TestListenUnixFileReplaced(t *testing.T) {
	leaktest.Check(t)
	path := socketPath(t)
	srv := &tcp.Server{Handler: lines}
	_, err := srv.Listen("unix", path)
	require.NoError(t, err)
	require.NoError(t, os.Rename(path, path+".old"))
	require.NoError(t, os.WriteFile(path, nil, 0o600))
	require.NoError(t, srv.Close())
	require.FileExists(t, path)
}

func TestListenInvalid(t *testing.T) {
	leaktest.Check(t)
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer busy.Close()
	srv := &tcp.Server{Handler: lines}
	for _, test := range []struct{ network, address string }{
		{"udp", "127.0.0.1:0"},
		{"", "127.0.0.1:0"},
		{"unixgram", "/tmp/x"},
		{"tcp", "127.0.0.1"},
		{"tcp", "127.0.0.1:70000"},
		{"tcp", "127.0.0.1:nonsense"},
		{"tcp4", "[::1]:0"},
		{"tcp6", "127.0.0.1:0"},
		{"tcp", "192.0.2.1:0"}, // not an address of this machine
		{"tcp", busy.Addr().String()},
		{"unix", ""},
		{"unix", filepath.Join(tempdir.New(t), "no", "such", "directory")},
		{"unix", "/" + string(make([]byte, 200))},
	} {
		addr, err := srv.Listen(test.network, test.address)
		require.Nil(t, addr, test)
		requireOpError(t, err, "listen")
	}
	require.Empty(t, srv.Addrs())
	addr, err := srv.Listen("tcp", "127.0.0.1:0") // nothing has changed
	require.NoError(t, err)
	serve(t, srv)
	dial(t, addr).echo("hello\n")
}

func TestListenWhileServing(t *testing.T) {
	srv := &tcp.Server{Handler: lines, Loops: 2}
	first, _ := local(t, srv)
	dial(t, first).echo("one\n")
	path := socketPath(t)
	second, err := srv.Listen("unix", path)
	require.NoError(t, err)
	dial(t, second).echo("two\n")
	require.Equal(t, []net.Addr{first, second}, srv.Addrs())
	_, err = srv.Shutdown(context.Background())
	require.NoError(t, err)
	require.NoFileExists(t, path)
	_, err = srv.Listen("tcp", "127.0.0.1:0")
	requireOpError(t, err, "listen")
	require.ErrorIs(t, err, tcp.ErrServerClosed)
}

// A server can be started again at once although connections of the last one
// linger in the kernel.
func TestRestart(t *testing.T) {
	srv := &tcp.Server{Handler: lines}
	addr, _ := local(t, srv)
	c := dial(t, addr)
	c.send("bye\n")
	c.expectEOF() // the server has closed first, so its side is the one that lingers
	require.NoError(t, c.Close())
	_, err := srv.Shutdown(context.Background())
	require.NoError(t, err)
	again := &tcp.Server{Handler: lines}
	addr, _ = listenOn(t, again, "tcp", addr.String())
	dial(t, addr).echo("hello\n")
}

// When Shutdown returns, the address is free, on a group of the caller's too.
func TestShutdownFreesAddress(t *testing.T) {
	group := newGroup(t, 2, ioloop.Config{})
	path := socketPath(t)
	address := "127.0.0.1:0"
	for range 50 {
		srv := &tcp.Server{Handler: lines, Group: group, Logger: quiet()}
		addr, err := srv.Listen("tcp", address)
		require.NoError(t, err)
		address = addr.String()
		_, err = srv.Listen("unix", path)
		require.NoError(t, err)
		done := serve(t, srv)
		_, err = srv.Shutdown(context.Background())
		require.NoError(t, err)
		require.ErrorIs(t, receive(t, done), tcp.ErrServerClosed)
	}
}
