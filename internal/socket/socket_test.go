//go:build unix

package socket_test

import (
	"bytes"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/eddyloop/eddy/internal/leaktest"
	"github.com/eddyloop/eddy/internal/socket"
	"github.com/eddyloop/eddy/internal/testtime"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

// pair returns two connected sockets as the package makes them.
func pair(t *testing.T, addr net.Addr) (client, server int) {
	t.Helper()
	leaktest.Check(t)
	listener, err := socket.Listen(addr, 1, nil)
	require.NoError(t, err)
	defer socket.Close(listener)
	requireFlags(t, listener)
	_, _, err = socket.Accept(listener)
	require.True(t, socket.WouldBlock(err))
	client, err = socket.New(addr)
	require.NoError(t, err)
	t.Cleanup(func() { socket.Close(client) })
	done, err := socket.Connect(client, socket.LocalAddr(listener))
	require.NoError(t, err)
	if !done {
		waitWritable(t, client)
		require.NoError(t, socket.Connected(client))
	}
	waitReadable(t, listener)
	server, peer, err := socket.Accept(listener)
	require.NoError(t, err)
	require.Equal(t, socket.LocalAddr(client), peer.Addr())
	t.Cleanup(func() { socket.Close(server) })
	return client, server
}

func waitReadable(t *testing.T, fd int) {
	t.Helper()
	poll(t, unix.PollFd{Fd: int32(fd), Events: unix.POLLIN})
}

func waitWritable(t *testing.T, fd int) {
	t.Helper()
	poll(t, unix.PollFd{Fd: int32(fd), Events: unix.POLLOUT})
}

func poll(t *testing.T, file unix.PollFd) {
	t.Helper()
	for {
		n, err := unix.Poll([]unix.PollFd{file}, int(testtime.Patience(10*time.Second).Milliseconds()))
		if err == unix.EINTR {
			continue
		}
		require.NoError(t, err)
		require.Equal(t, 1, n)
		return
	}
}

func requireFlags(t *testing.T, fd int) {
	t.Helper()
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
	require.NoError(t, err)
	require.NotZero(t, flags&unix.FD_CLOEXEC)
	flags, err = unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	require.NoError(t, err)
	require.NotZero(t, flags&unix.O_NONBLOCK)
}

func eachFamily(t *testing.T, fn func(t *testing.T, client, server int)) {
	dir, err := os.MkdirTemp("", "eddy")
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	for name, addr := range map[string]net.Addr{
		"tcp":  &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)},
		"unix": &net.UnixAddr{Name: filepath.Join(dir, "s"), Net: "unix"},
	} {
		t.Run(name, func(t *testing.T) {
			client, server := pair(t, addr)
			fn(t, client, server)
		})
	}
}

func TestPair(t *testing.T) {
	eachFamily(t, func(t *testing.T, client, server int) {
		for _, fd := range []int{client, server} {
			requireFlags(t, fd)
			require.NoError(t, socket.Adopt(fd))
			require.NoError(t, socket.SetNoDelay(fd, true))
			require.NoError(t, socket.SetNoDelay(fd, false))
		}
		peer := socket.PeerAddress(client)
		require.Equal(t, socket.LocalAddr(server), peer.Addr())
		_, err := socket.Read(server, make([]byte, 1))
		require.True(t, socket.WouldBlock(err))
		_, err = socket.Peek(server)
		require.True(t, socket.WouldBlock(err))
		n, err := socket.Send(client, []byte("hello"))
		require.NoError(t, err)
		require.Equal(t, 5, n)
		require.NoError(t, socket.CloseWrite(client))
		n, err = socket.Peek(server)
		require.NoError(t, err)
		require.Equal(t, 1, n)
		got := make([]byte, 10)
		n, err = socket.Read(server, got)
		require.NoError(t, err)
		require.Equal(t, "hello", string(got[:n]))
		for _, end := range []func(int) (int, error){socket.Peek, func(fd int) (int, error) { return socket.Read(fd, got) }} {
			n, err = end(server)
			require.NoError(t, err)
			require.Zero(t, n)
		}
	})
}

// What SendVector says it has sent arrives in order, whatever the slices.
func TestSendVector(t *testing.T) {
	eachFamily(t, func(t *testing.T, client, server int) {
		for _, sizes := range [][]int{{1}, {1, 2, 3}, {0, 5, 0}, {40_000, 40_000, 40_000}, {70_000, 1}, make([]int, 200), {65_536, 1}} {
			var bufs [][]byte
			var all []byte
			for i, n := range sizes {
				if len(sizes) == 200 {
					n = 3
				}
				b := bytes.Repeat([]byte{byte('a' + i%26)}, n)
				bufs, all = append(bufs, b), append(all, b...)
			}
			sent, err := socket.SendVector(client, bufs)
			require.NoError(t, err)
			require.Positive(t, sent)
			require.LessOrEqual(t, sent, socket.Attempt(bufs))
			var got []byte
			buf := make([]byte, socket.MaxBytes)
			for len(got) < sent {
				waitReadable(t, server)
				n, err := socket.Read(server, buf)
				require.NoError(t, err)
				got = append(got, buf[:n]...)
			}
			require.True(t, bytes.Equal(all[:sent], got))
		}
	})
}

// A connect that the kernel has joined to itself is a refused one.
func TestSelfConnect(t *testing.T) {
	leaktest.Check(t)
	fd, err := socket.Stream(unix.AF_INET)
	require.NoError(t, err)
	defer socket.Close(fd)
	require.NoError(t, unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
	self, err := unix.Getsockname(fd)
	require.NoError(t, err)
	if err := unix.Connect(fd, self); err != nil && err != unix.EINPROGRESS {
		t.Skip("the system does not do that: ", err)
	}
	waitWritable(t, fd)
	require.Equal(t, unix.ECONNREFUSED, socket.Connected(fd))
}

func TestAdopt(t *testing.T) {
	leaktest.Check(t)
	stream, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	require.NoError(t, err)
	defer unix.Close(stream)
	require.NoError(t, socket.Adopt(stream))
	requireFlags(t, stream)
	datagram, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	require.NoError(t, err)
	defer unix.Close(datagram)
	require.ErrorIs(t, socket.Adopt(datagram), unix.ESOCKTNOSUPPORT)
	flags, err := unix.FcntlInt(uintptr(datagram), unix.F_GETFL, 0)
	require.NoError(t, err)
	require.Zero(t, flags&unix.O_NONBLOCK, "what is refused is not changed")
	r, w, err := os.Pipe()
	require.NoError(t, err)
	defer r.Close()
	defer w.Close()
	require.ErrorIs(t, socket.Adopt(int(r.Fd())), unix.ENOTSOCK)
}

func TestAddresses(t *testing.T) {
	for _, addr := range []net.Addr{
		&net.TCPAddr{IP: net.IP{127, 0, 0, 1}, Port: 80},
		&net.TCPAddr{IP: net.ParseIP("2001:db8::1"), Port: 65535},
		&net.UnixAddr{Name: "/tmp/x", Net: "unix"},
		&net.UnixAddr{Name: "@x", Net: "unix"},
	} {
		sa, _, err := socket.Sockaddr(addr)
		require.NoError(t, err)
		require.NotNil(t, sa)
	}
	for _, addr := range []net.Addr{nil, &net.UDPAddr{}, &net.UnixAddr{}, &net.TCPAddr{IP: net.IP{1, 2}}} {
		_, _, err := socket.Sockaddr(addr)
		require.Error(t, err)
	}
	sa, _, err := socket.Sockaddr(&net.TCPAddr{IP: net.ParseIP("fe80::1"), Zone: "7"})
	require.NoError(t, err)
	require.Equal(t, uint32(7), sa.(*syscall.SockaddrInet6).ZoneId)
}

// A stale socket makes room, whoever listens there then can be reached.
func TestStaleSocketIsTaken(t *testing.T) {
	addr := &net.UnixAddr{Name: filepath.Join(t.TempDir(), "s"), Net: "unix"}
	for range 2 {
		fd, err := socket.Listen(addr, 1, nil)
		require.NoError(t, err)
		require.Equal(t, addr, socket.LocalAddr(fd))
		client, err := socket.New(addr)
		require.NoError(t, err)
		require.NoError(t, outcome(t, client, addr))
		require.NoError(t, socket.Close(client))
		require.NoError(t, socket.ClosePromptly(fd)) // stale
	}
}

func TestClosePromptly(t *testing.T) {
	fd, err := socket.Stream(unix.AF_INET)
	require.NoError(t, err)
	require.NoError(t, socket.ClosePromptly(fd))
	require.Equal(t, unix.EBADF, socket.ClosePromptly(-1))
}

// Of two who find a stale socket at once, one gets its name, and can be reached.
func TestStaleSocketIsTakenOnce(t *testing.T) {
	for range 200 {
		path := filepath.Join(t.TempDir(), "s")
		addr := &net.UnixAddr{Name: path, Net: "unix"}
		fd, err := socket.Listen(addr, 1, nil)
		require.NoError(t, err)
		require.NoError(t, socket.Close(fd)) // stale
		results := make(chan int, 2)
		for range 2 {
			go func() {
				fd, err := socket.Listen(addr, 1, nil)
				if err != nil {
					fd = -1
				}
				results <- fd
			}()
		}
		a, b := <-results, <-results
		require.True(t, (a < 0) != (b < 0), "one of them listens: %d, %d", a, b)
		require.NoError(t, socket.Close(max(a, b)))
	}
}

func TestVacate(t *testing.T) {
	fd, err := socket.Listen(&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}, 1, nil)
	require.NoError(t, err)
	addr := socket.LocalAddr(fd)
	_, err = socket.Vacate(fd)
	require.NoError(t, err)
	_, err = net.Dial("tcp", addr.String())
	require.Error(t, err)
	require.False(t, socket.Listening(fd))
	require.NoError(t, socket.Close(fd), "the number is still there")
	requireForks(t)
}
