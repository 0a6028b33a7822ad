//go:build unix

package socket_test

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/eddyloop/eddy/internal/leaktest"
	"github.com/eddyloop/eddy/internal/socket"
	"github.com/eddyloop/eddy/internal/testtime"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

var loopback = &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}

// listen returns a listener and its address.
func listen(t *testing.T, addr net.Addr) (int, net.Addr) {
	t.Helper()
	leaktest.Check(t)
	fd, err := socket.Listen(addr, 5, nil)
	require.NoError(t, err)
	t.Cleanup(func() { socket.Close(fd) })
	return fd, socket.LocalAddr(fd)
}

// outcome connects and returns what came of it.
func outcome(t *testing.T, fd int, addr net.Addr) error {
	t.Helper()
	done, err := socket.Connect(fd, addr)
	if err != nil || done {
		require.Equal(t, err == nil, done)
		return err
	}
	waitWritable(t, fd)
	return socket.Connected(fd)
}

func TestConnect(t *testing.T) {
	_, taken := listen(t, loopback)
	closed, unused := listen(t, loopback)
	_, err := socket.Vacate(closed)
	require.NoError(t, err)
	dir := t.TempDir()
	for name, c := range map[string]struct {
		addr net.Addr
		want error
	}{
		"to a listener": {taken, nil},
		"to nobody":     {unused, unix.ECONNREFUSED},
		"no file":       {&net.UnixAddr{Name: filepath.Join(dir, "none"), Net: "unix"}, unix.ENOENT},
	} {
		t.Run(name, func(t *testing.T) {
			fd, err := socket.New(c.addr)
			require.NoError(t, err)
			defer socket.Close(fd)
			require.True(t, socket.InProgress(socket.Connected(fd)), "not yet begun")
			err = outcome(t, fd, c.addr)
			require.Equal(t, c.want, err)
			require.False(t, socket.InProgress(err))
			if c.want == nil {
				done, err := socket.Connect(fd, c.addr)
				require.NoError(t, err, "it is connected")
				require.True(t, done)
				require.NoError(t, socket.Connected(fd))
			}
		})
	}
	for _, addr := range []net.Addr{nil, &net.UDPAddr{}, &net.UnixAddr{Net: "unix"}} {
		fd, err := socket.New(addr)
		require.Error(t, err)
		require.Negative(t, fd)
		_, err = socket.Connect(0, addr)
		require.Error(t, err)
		require.Error(t, socket.Bind(0, addr))
	}
	require.ErrorIs(t, socket.Connected(-1), unix.EBADF)
}

func TestBind(t *testing.T) {
	_, addr := listen(t, loopback)
	fd, err := socket.New(addr)
	require.NoError(t, err)
	defer socket.Close(fd)
	require.NoError(t, socket.Bind(fd, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}))
	require.NoError(t, outcome(t, fd, addr))
	require.Equal(t, "127.0.0.1", socket.LocalAddr(fd).(*net.TCPAddr).IP.String())
	require.NotZero(t, socket.LocalAddr(fd).(*net.TCPAddr).Port)
	other, err := socket.New(addr)
	require.NoError(t, err)
	defer socket.Close(other)
	require.Equal(t, unix.EADDRINUSE, socket.Bind(other, addr))
}

// An error leaves no descriptor, and no file, behind.
func TestListenErrors(t *testing.T) {
	_, taken := listen(t, loopback)
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	require.NoError(t, os.WriteFile(file, []byte("not a socket"), 0o600))
	live := &net.UnixAddr{Name: filepath.Join(dir, "live"), Net: "unix"}
	listen(t, live)
	failed := errors.New("setup failed")
	for name, c := range map[string]struct {
		addr net.Addr
		want error
		call string
	}{
		"no address":       {nil, unix.EAFNOSUPPORT, "bind"},
		"taken":            {taken, unix.EADDRINUSE, "listen|bind"},
		"a file is there":  {&net.UnixAddr{Name: file, Net: "unix"}, unix.EADDRINUSE, "bind"},
		"somebody listens": {live, unix.EADDRINUSE, "bind"},
		"no directory":     {&net.UnixAddr{Name: filepath.Join(dir, "none", "s"), Net: "unix"}, unix.ENOENT, "bind"},
	} {
		fd, err := socket.Listen(c.addr, 1, nil)
		require.Negative(t, fd, name)
		require.ErrorIs(t, err, c.want, name)
		var syscallError *os.SyscallError
		require.ErrorAs(t, err, &syscallError, name)
		require.Contains(t, c.call, syscallError.Syscall, name)
	}
	seen := -1
	fd, err := socket.Listen(loopback, 1, func(fd int) error { seen = fd; return failed })
	require.Equal(t, failed, err)
	require.Negative(t, fd)
	require.ErrorIs(t, socket.IsStream(seen), unix.EBADF, "closed")
	text, err := os.ReadFile(file)
	require.NoError(t, err, "it is nobody's to remove")
	require.Equal(t, "not a socket", string(text))
	client, err := socket.New(live)
	require.NoError(t, err)
	defer socket.Close(client)
	require.NoError(t, outcome(t, client, live), "who listened does still")
}

// Setup sees the socket before it has an address.
func TestListenSetup(t *testing.T) {
	leaktest.Check(t)
	fd, err := socket.Listen(loopback, 1, func(fd int) error {
		require.False(t, socket.Listening(fd))
		require.Zero(t, socket.LocalAddr(fd).(*net.TCPAddr).Port)
		return nil
	})
	require.NoError(t, err)
	require.True(t, socket.Listening(fd))
	require.NoError(t, socket.Close(fd))
	require.False(t, socket.Listening(fd), "no descriptor")
}

// A listener's file is removed, and none that has taken its place.
func TestRemoveFile(t *testing.T) {
	dir := t.TempDir()
	addr := &net.UnixAddr{Name: filepath.Join(dir, "s"), Net: "unix"}
	require.Nil(t, socket.File(addr), "not yet")
	require.Nil(t, socket.File(loopback))
	require.Nil(t, socket.File(&net.UnixAddr{Net: "unix"}))
	listen(t, addr)
	file := socket.File(addr)
	require.NotNil(t, file)
	moved := addr.Name + "2"
	require.NoError(t, os.Rename(addr.Name, moved))
	require.NoError(t, os.WriteFile(addr.Name, nil, 0o600))
	socket.RemoveFile(addr, file)
	require.FileExists(t, addr.Name, "another")
	require.NoError(t, os.Rename(moved, addr.Name))
	socket.RemoveFile(addr, file)
	require.NoFileExists(t, addr.Name)
	socket.RemoveFile(addr, file)
}

// Whoever shares a listener may have made it blocking.
func TestAcceptShared(t *testing.T) {
	listener, addr := listen(t, loopback)
	require.NoError(t, unix.SetNonblock(listener, false))
	_, _, err := socket.AcceptShared(listener) // it would block for good
	require.True(t, socket.WouldBlock(err))
	requireFlags(t, listener)
	client, err := socket.New(addr)
	require.NoError(t, err)
	defer socket.Close(client)
	require.NoError(t, outcome(t, client, addr))
	waitReadable(t, listener)
	conn, peer, err := socket.AcceptShared(listener)
	require.NoError(t, err)
	defer socket.Close(conn)
	requireFlags(t, conn)
	require.Equal(t, socket.LocalAddr(client), peer.Addr())
	_, _, err = socket.AcceptShared(-1)
	require.ErrorIs(t, err, unix.EBADF)
	_, _, err = socket.Accept(-1)
	require.ErrorIs(t, err, unix.EBADF)
}

// What shutdown does to each side.
func TestCloseReadAndWrite(t *testing.T) {
	eachFamily(t, func(t *testing.T, client, server int) {
		require.NoError(t, socket.CloseRead(server))
		n, err := socket.Read(server, make([]byte, 1))
		require.NoError(t, err)
		require.Zero(t, n)
		require.NoError(t, socket.CloseWrite(server))
		waitReadable(t, client)
		n, err = socket.Read(client, make([]byte, 1))
		require.NoError(t, err)
		require.Zero(t, n)
	})
	require.ErrorIs(t, socket.CloseRead(-1), unix.EBADF)
	require.ErrorIs(t, socket.CloseWrite(-1), unix.EBADF)
}

// A duplicate is another descriptor of the same, and no child gets it.
// requireForks checks that nobody keeps processes from being started.
func requireForks(t *testing.T) {
	t.Helper()
	until := time.Now().Add(testtime.Patience(20 * time.Second))
	for !syscall.ForkLock.TryLock() { // another test may have it for a moment
		require.True(t, time.Now().Before(until), "no process can be started")
		runtime.Gosched()
	}
	syscall.ForkLock.Unlock()
}

func TestDuplicate(t *testing.T) {
	fd, addr := listen(t, loopback)
	other, err := socket.Duplicate(fd)
	require.NoError(t, err)
	defer socket.Close(other)
	require.NotEqual(t, fd, other)
	requireFlags(t, other)
	require.Equal(t, addr, socket.LocalAddr(other))
	_, err = socket.Duplicate(-1)
	require.ErrorIs(t, err, unix.EBADF)
	requireForks(t)
}

func TestKinds(t *testing.T) {
	fd, _ := listen(t, loopback)
	datagram, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	require.NoError(t, err)
	defer unix.Close(datagram)
	r, w, err := os.Pipe()
	require.NoError(t, err)
	defer r.Close()
	defer w.Close()
	require.NoError(t, socket.IsStream(fd))
	require.True(t, socket.Is(fd))
	require.Equal(t, unix.ESOCKTNOSUPPORT, socket.IsStream(datagram))
	require.True(t, socket.Is(datagram))
	require.Equal(t, unix.ENOTSOCK, socket.IsStream(int(r.Fd())))
	require.False(t, socket.Is(int(r.Fd())))
	require.False(t, socket.Is(-1))
	require.Nil(t, socket.LocalAddr(int(r.Fd())))
	peer := socket.PeerAddress(fd)
	require.Nil(t, peer.Addr(), "a listener has no peer")
	require.False(t, peer.IsIP())
}

// AwaitReady returns for what it waits for, or when its time is over.
func TestAwaitReady(t *testing.T) {
	eachFamily(t, func(t *testing.T, client, server int) {
		require.NoError(t, socket.AwaitReady(server, true, testtime.Patience(10*time.Second)))
		require.NoError(t, socket.AwaitReady(server, false, time.Millisecond))
		_, err := socket.Read(server, make([]byte, 1))
		require.True(t, socket.WouldBlock(err), "nothing has come")
		_, err = socket.Send(client, []byte("x"))
		require.NoError(t, err)
		began := time.Now()
		require.NoError(t, socket.AwaitReady(server, false, testtime.Patience(10*time.Second)))
		require.Less(t, time.Since(began), testtime.Patience(5*time.Second))
	})
}
