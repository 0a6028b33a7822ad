package socket_test

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/eddyloop/eddy/internal/leaktest"
	"github.com/eddyloop/eddy/internal/socket"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// option is one that the kernel has a number for.
type option struct{ level, name int }

var (
	readBuffer  = option{unix.SOL_SOCKET, unix.SO_RCVBUF}
	writeBuffer = option{unix.SOL_SOCKET, unix.SO_SNDBUF}
	keepAlive   = option{unix.SOL_SOCKET, unix.SO_KEEPALIVE}
	noDelay     = option{unix.IPPROTO_TCP, unix.TCP_NODELAY}
	idle        = option{unix.IPPROTO_TCP, unix.TCP_KEEPIDLE}
	interval    = option{unix.IPPROTO_TCP, unix.TCP_KEEPINTVL}
	count       = option{unix.IPPROTO_TCP, unix.TCP_KEEPCNT}
	userTimeout = option{unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT}
	reusePort   = option{unix.SOL_SOCKET, unix.SO_REUSEPORT}
	reuseAddr   = option{unix.SOL_SOCKET, unix.SO_REUSEADDR}
	onlyIPv6    = option{unix.IPPROTO_IPV6, unix.IPV6_V6ONLY}
)

func (o option) of(t *testing.T, fd int) int {
	t.Helper()
	value, err := unix.GetsockoptInt(fd, o.level, o.name)
	require.NoError(t, err)
	return value
}

func newSocket(t *testing.T, domain int) int {
	t.Helper()
	fd, err := socket.Stream(domain)
	require.NoError(t, err)
	t.Cleanup(func() { socket.Close(fd) })
	return fd
}

// A field of Options is the option of that name, and leaves all others as they are.
func TestOptions(t *testing.T) {
	leaktest.Check(t)
	all := []option{readBuffer, writeBuffer, keepAlive, noDelay, idle, interval, count, userTimeout}
	for name, c := range map[string]struct {
		set  socket.Options
		want map[option]int // besides TCP_NODELAY
	}{
		"nothing":            {socket.Options{}, nil},
		"read buffer":        {socket.Options{ReadBuffer: 20_000}, map[option]int{readBuffer: 40_000}}, // socket(7): doubled
		"write buffer":       {socket.Options{WriteBuffer: 20_000}, map[option]int{writeBuffer: 40_000}},
		"keep-alive":         {socket.Options{KeepAlive: true}, map[option]int{keepAlive: 1}},
		"idle":               {socket.Options{KeepAlive: true, Idle: 7 * time.Second}, map[option]int{keepAlive: 1, idle: 7}},
		"interval":           {socket.Options{KeepAlive: true, Interval: 8 * time.Second}, map[option]int{keepAlive: 1, interval: 8}},
		"count":              {socket.Options{KeepAlive: true, Count: 5}, map[option]int{keepAlive: 1, count: 5}},
		"rounded up":         {socket.Options{KeepAlive: true, Idle: 7*time.Second + 1, Interval: 1}, map[option]int{keepAlive: 1, idle: 8, interval: 1}},
		"times without it":   {socket.Options{Idle: 7 * time.Second, Interval: 8 * time.Second, Count: 5}, nil},
		"user timeout":       {socket.Options{UserTimeout: 3 * time.Second}, map[option]int{userTimeout: 3000}},
		"both":               {socket.Options{KeepAlive: true, UserTimeout: 3 * time.Second}, map[option]int{keepAlive: 1, userTimeout: 3000}},
		"short user timeout": {socket.Options{UserTimeout: 1}, map[option]int{userTimeout: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			fd := newSocket(t, unix.AF_INET)
			want := map[option]int{}
			for _, o := range all {
				want[o] = o.of(t, fd)
			}
			want[noDelay] = 1
			for o, value := range c.want {
				require.NotEqual(t, value, want[o], "it is set already")
				want[o] = value
			}
			require.NoError(t, c.set.Set(fd, true))
			for o, value := range want {
				require.Equal(t, value, o.of(t, fd), o)
			}
		})
	}
}

// What the kernel refuses is an error of setsockopt, whichever option it is.
func TestOptionsThatAreRefused(t *testing.T) {
	leaktest.Check(t)
	const seconds = 40_000 * time.Second // tcp(7) has up to 32767
	for name, o := range map[string]socket.Options{
		"idle":     {KeepAlive: true, Idle: seconds},
		"interval": {KeepAlive: true, Interval: seconds},
		"count":    {KeepAlive: true, Count: 1000},
	} {
		err := o.Set(newSocket(t, unix.AF_INET), true)
		require.ErrorIs(t, err, unix.EINVAL, name)
		require.ErrorContains(t, err, "setsockopt", name)
	}
	for name, o := range map[string]socket.Options{
		"read buffer": {ReadBuffer: 20_000}, "write buffer": {WriteBuffer: 20_000},
		"keep-alive": {KeepAlive: true}, "user timeout": {UserTimeout: time.Second}, "TCP_NODELAY": {},
	} {
		require.ErrorIs(t, o.Set(-1, true), unix.EBADF, name)
	}
}

// A Unix socket has buffers, and nothing that only TCP has is asked of it.
func TestOptionsOfUnixSocket(t *testing.T) {
	leaktest.Check(t)
	fd := newSocket(t, unix.AF_UNIX)
	o := socket.Options{KeepAlive: true, Idle: time.Second, UserTimeout: time.Second, ReadBuffer: 20_000, WriteBuffer: 30_000}
	require.NoError(t, o.Set(fd, false))
	require.Equal(t, 40_000, readBuffer.of(t, fd))
	require.Equal(t, 60_000, writeBuffer.of(t, fd))
	require.Zero(t, keepAlive.of(t, fd))
}

func TestSingleOptions(t *testing.T) {
	leaktest.Check(t)
	fd := newSocket(t, unix.AF_INET)
	linger := func() unix.Linger {
		l, err := unix.GetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER)
		require.NoError(t, err)
		return *l
	}
	for _, c := range []struct {
		seconds int
		want    unix.Linger
	}{{5, unix.Linger{Onoff: 1, Linger: 5}}, {0, unix.Linger{Onoff: 1}}, {-1, unix.Linger{}}} {
		require.NoError(t, socket.SetLinger(fd, c.seconds))
		require.Equal(t, c.want, linger())
	}
	socket.ResetOnClose(fd)
	require.Equal(t, unix.Linger{Onoff: 1}, linger())
	for _, on := range []bool{true, false} {
		require.NoError(t, socket.SetNoDelay(fd, on))
		require.Equal(t, on, noDelay.of(t, fd) != 0)
		require.NoError(t, socket.SetKeepAlive(fd, on))
		require.Equal(t, on, keepAlive.of(t, fd) != 0)
	}
	require.NoError(t, socket.SetKeepAliveTimes(fd, 7*time.Second, 8*time.Second, 5))
	require.Equal(t, []int{7, 8, 5}, []int{idle.of(t, fd), interval.of(t, fd), count.of(t, fd)})
	require.NoError(t, socket.SetKeepAliveTimes(fd, 0, -1, 0), "as they are")
	require.Equal(t, []int{7, 8, 5}, []int{idle.of(t, fd), interval.of(t, fd), count.of(t, fd)})
	require.NoError(t, socket.SetReadBuffer(fd, 20_000))
	require.NoError(t, socket.SetWriteBuffer(fd, 30_000))
	require.Equal(t, []int{40_000, 60_000}, []int{readBuffer.of(t, fd), writeBuffer.of(t, fd)})
	require.NoError(t, socket.ReusePort(fd))
	require.NotZero(t, reusePort.of(t, fd))
	require.ErrorIs(t, socket.SetNoDelay(-1, true), unix.EBADF)
}

// A listener without IP takes IPv4 too, one of an IPv6 address that alone.
func TestListenFamilies(t *testing.T) {
	leaktest.Check(t)
	for name, c := range map[string]struct {
		ip   net.IP
		only int
	}{"no IP": {nil, 0}, "IPv6": {net.IPv6loopback, 1}, "IPv6 wildcard": {net.IPv6unspecified, 1}} {
		t.Run(name, func(t *testing.T) {
			fd, err := socket.Listen(&net.TCPAddr{IP: c.ip}, 1, nil)
			if err != nil {
				t.Skip("no IPv6: ", err)
			}
			defer socket.Close(fd)
			if domain, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN); err != nil || domain != unix.AF_INET6 {
				t.Skip("no IPv6")
			}
			require.Equal(t, c.only, onlyIPv6.of(t, fd))
			require.NotZero(t, reuseAddr.of(t, fd))
		})
	}
}

// A port of 0 is left to connect, another is taken at once.
func TestBindWithoutPort(t *testing.T) {
	leaktest.Check(t)
	late := option{unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT}
	fd := newSocket(t, unix.AF_INET)
	if _, err := unix.GetsockoptInt(fd, late.level, late.name); err != nil { // before Linux 4.2, and in qemu-user
		t.Skip("no IP_BIND_ADDRESS_NO_PORT: ", err)
	}
	require.NoError(t, socket.Bind(fd, loopback))
	require.NotZero(t, late.of(t, fd))
	require.Zero(t, socket.LocalAddr(fd).(*net.TCPAddr).Port)

	listener, err := socket.Listen(loopback, 1, nil)
	require.NoError(t, err)
	addr := socket.LocalAddr(listener)
	require.NoError(t, socket.Close(listener))
	fd = newSocket(t, unix.AF_INET)
	if err := socket.Bind(fd, addr); err != unix.EADDRINUSE { // somebody else may have got it
		require.NoError(t, err)
		require.Equal(t, addr, socket.LocalAddr(fd))
		require.Zero(t, late.of(t, fd))
	}
}

func TestPeer(t *testing.T) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	require.NoError(t, err)
	defer unix.Close(pair[0])
	defer unix.Close(pair[1])
	pid, uid, gid, err := socket.Peer(pair[0])
	require.NoError(t, err)
	require.Equal(t, []int{os.Getpid(), os.Getuid(), os.Getgid()}, []int{pid, uid, gid})
	_, _, _, err = socket.Peer(-1)
	require.ErrorIs(t, err, unix.EBADF)
}

// Descriptors are refused on every Unix socket that listens, one without a file too.
func TestListenersRefuseRights(t *testing.T) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	require.NoError(t, err)
	defer unix.Close(pair[0])
	defer unix.Close(pair[1])
	if err := unix.SetsockoptInt(pair[0], unix.SOL_SOCKET, unix.SO_PASSRIGHTS, 0); err != nil {
		t.Skip("no SO_PASSRIGHTS: ", err)
	}
	for _, name := range []string{filepath.Join(t.TempDir(), "s"), fmt.Sprintf("@eddy-test-%d", os.Getpid())} {
		fd, _ := listen(t, &net.UnixAddr{Name: name, Net: "unix"})
		require.Zero(t, option{unix.SOL_SOCKET, unix.SO_PASSRIGHTS}.of(t, fd), name)
	}
}
