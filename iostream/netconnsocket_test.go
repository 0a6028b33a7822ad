//go:build unix && !aix

package iostream_test

import (
	"bytes"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// netLike is what people look for in a connection of package net, and what it is
// called there.
type netLike interface {
	net.Conn
	syscall.Conn
	io.ReaderFrom
	io.WriterTo
	CloseRead() error
	CloseWrite() error
	SetLinger(int) error
	SetKeepAlive(bool) error
	SetKeepAlivePeriod(time.Duration) error
	SetKeepAliveConfig(net.KeepAliveConfig) error
	SetNoDelay(bool) error
	SetReadBuffer(int) error
	SetWriteBuffer(int) error
	File() (*os.File, error)
}

var _, _ netLike = (*net.TCPConn)(nil), (*iostream.Conn)(nil)

func option(t *testing.T, c syscall.Conn, level, name int) (value int) {
	raw, err := c.SyscallConn()
	require.NoError(t, err)
	require.NoError(t, raw.Control(func(fd uintptr) { value, err = unix.GetsockoptInt(int(fd), level, name) }))
	require.NoError(t, err)
	return value
}

func TestNetConnSocketOptions(t *testing.T) {
	for _, network := range []string{"tcp", "tls1.3"} {
		t.Run(network, func(t *testing.T) {
			s, _, _ := netPair(t, startLoop(t, ioloop.Config{}), network)
			c := s.NetConn()
			require.NoError(t, c.SetNoDelay(false))
			require.Zero(t, option(t, c, unix.IPPROTO_TCP, unix.TCP_NODELAY))
			require.NoError(t, c.SetNoDelay(true))
			require.NotZero(t, option(t, c, unix.IPPROTO_TCP, unix.TCP_NODELAY))
			require.NoError(t, c.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: time.Minute, Count: 3}))
			require.NotZero(t, option(t, c, unix.SOL_SOCKET, unix.SO_KEEPALIVE))
			require.NoError(t, c.SetKeepAlive(false))
			require.Zero(t, option(t, c, unix.SOL_SOCKET, unix.SO_KEEPALIVE))
			require.NoError(t, c.SetKeepAlivePeriod(30*time.Second))
			require.NoError(t, c.SetReadBuffer(50_000))
			require.GreaterOrEqual(t, option(t, c, unix.SOL_SOCKET, unix.SO_RCVBUF), 50_000)
			require.NoError(t, c.SetWriteBuffer(60_000))
			require.GreaterOrEqual(t, option(t, c, unix.SOL_SOCKET, unix.SO_SNDBUF), 60_000)
			require.NoError(t, c.Close())
			requireOp(t, c.SetNoDelay(true), "set", net.ErrClosed)
			_, err := c.SyscallConn()
			requireOp(t, err, "raw-control", net.ErrClosed)
		})
	}
	l := startLoop(t, ioloop.Config{})
	simulated, err := iostream.New(l, fullWire().Transport(), nil)
	require.NoError(t, err)
	requireOp(t, simulated.NetConn().SetKeepAlive(true), "set", iostream.ErrInvalid)
}

// TestNetConnIdleCheck is what pools of connections do before they use one: a look
// at the socket that does not wait (go-redis's connCheck).
func TestNetConnIdleCheck(t *testing.T) {
	for _, ended := range []bool{false, true} {
		_, c, peer := netPair(t, startLoop(t, ioloop.Config{}), "tcp")
		if ended {
			require.NoError(t, peer.Close())
		}
		raw, err := c.(syscall.Conn).SyscallConn()
		require.NoError(t, err)
		look := func() (n int, err error) {
			require.NoError(t, raw.Read(func(fd uintptr) bool {
				var b [1]byte
				n, _, err = syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
				return true
			}))
			return n, err
		}
		if !ended {
			_, err := look()
			require.Equal(t, syscall.EAGAIN, err)
			continue
		}
		require.Eventually(t, func() bool { n, err := look(); return n == 0 && err == nil }, patience, time.Millisecond)
	}
}

// TestNetConnRawRead waits until the function has what it wants.
func TestNetConnRawRead(t *testing.T) {
	_, c, peer := netPair(t, startLoop(t, ioloop.Config{}), "tcp")
	raw, err := c.(syscall.Conn).SyscallConn()
	require.NoError(t, err)
	time.AfterFunc(30*time.Millisecond, func() { _, _ = peer.Write([]byte("late")) })
	buf := make([]byte, 10)
	n := 0
	require.NoError(t, raw.Read(func(fd uintptr) bool {
		n, err = unix.Read(int(fd), buf)
		return err != unix.EAGAIN
	}))
	require.NoError(t, err)
	require.Equal(t, "late", string(buf[:n]))
	require.NoError(t, c.SetReadDeadline(time.Now().Add(30*time.Millisecond)))
	err = raw.Read(func(uintptr) bool { return false })
	requireOp(t, err, "raw-read", os.ErrDeadlineExceeded)
	require.NoError(t, c.SetReadDeadline(time.Time{}))
	time.AfterFunc(10*time.Millisecond, func() { _ = c.Close() })
	err = raw.Read(func(uintptr) bool { return false })
	requireOp(t, err, "raw-read", net.ErrClosed)
}

func TestNetConnLingerZeroResets(t *testing.T) {
	_, c, peer := netPair(t, startLoop(t, ioloop.Config{}), "tcp")
	require.NoError(t, c.(*iostream.Conn).SetLinger(0))
	require.NoError(t, c.Close())
	_, err := peer.Read(make([]byte, 1))
	require.ErrorIs(t, err, syscall.ECONNRESET)
}

func TestNetConnFile(t *testing.T) {
	_, c, peer := netPair(t, startLoop(t, ioloop.Config{}), "tcp")
	file, err := c.(*iostream.Conn).File()
	require.NoError(t, err)
	defer file.Close()
	_, err = file.Write([]byte("through the copy"))
	require.NoError(t, err)
	buf := make([]byte, 16)
	_, err = io.ReadFull(peer, buf)
	require.NoError(t, err)
	require.Equal(t, "through the copy", string(buf))
}

// TestNetConnCopy copies from one to another, as a proxy over package net does.
func TestNetConnCopy(t *testing.T) {
	eachNetwork(t, func(t *testing.T, network string) {
		l := startLoop(t, ioloop.Config{})
		_, a, client := netPair(t, l, network)
		_, b, server := netPair(t, l, network)
		text := randomText(t, 3<<20)
		go func() {
			_, _ = client.Write(text)
			closeWrite(t, client)
		}()
		copied := make(chan int64, 1)
		go func() {
			n, _ := io.Copy(b, a)
			copied <- n
			closeWrite(t, b)
		}()
		got, err := io.ReadAll(server)
		require.NoError(t, err)
		require.True(t, bytes.Equal(text, got))
		require.EqualValues(t, len(text), receive(t, copied))
	})
}

// TestConnReadFromWaitsUntilAllIsSent and tells what becomes of it, as a write does.
func TestConnReadFromWaitsUntilAllIsSent(t *testing.T) {
	s, err := iostream.New(startLoop(t, ioloop.Config{}), fullWire().Transport(), nil)
	require.NoError(t, err)
	type outcome struct {
		n   int64
		err error
	}
	done := make(chan outcome, 1)
	go func() {
		n, err := s.NetConn().ReadFrom(strings.NewReader("little"))
		done <- outcome{n, err}
	}()
	eventually(t, func() bool { return iostream.Waiting(s) == 1 })
	s.Abort(errPlayed)
	o := receive(t, done)
	require.ErrorIs(t, o.err, errPlayed)
	require.Zero(t, o.n)
}
