//go:build unix || windows

package iostream_test

import (
	"crypto/tls"
	"io"
	"io/fs"
	"net"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/eddyloop/eddy/internal/posix"
	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
	"github.com/stretchr/testify/require"
)

// TestAdoptAndDetach takes a connection from package net to a stream and back.
func TestAdoptAndDetach(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("package net makes no connection of a file there: no Detach")
	}
	for _, network := range []string{"tcp", "unix"} {
		l := startLoop(t, ioloop.Config{})
		_, c, conn := netPair(t, l, network)
		conn = detached(t, conn)
		_, err := io.WriteString(c, "one\n")
		require.NoError(t, err)
		expect(t, conn, "one\n")

		s, err := iostream.Adopt(l, conn, nil)
		require.NoError(t, err)
		_, err = conn.Write([]byte("x"))
		require.ErrorIs(t, err, net.ErrClosed)
		_, err = io.WriteString(c, "two\nthree")
		require.NoError(t, err)
		line, err := s.Read(patient(t), iostream.Until("\n"))
		require.NoError(t, err)
		require.Equal(t, "two\n", string(line))

		for s.Buffered() < 5 {
			_, err := s.Read(patient(t), iostream.Peek(5))
			require.NoError(t, err)
		}
		back, rest, err := s.Detach()
		require.NoError(t, err)
		defer back.Close()
		require.Equal(t, "three", string(rest))
		require.NoError(t, s.WaitClosed(patient(t)))
		requireIs(t, s.CloseWrite(), net.ErrClosed)
		_, err = io.WriteString(back, "four")
		require.NoError(t, err)
		expect(t, c, "four")
		require.NoError(t, c.Close())
		_, err = back.Read(make([]byte, 1))
		require.Equal(t, io.EOF, err, "the connection was not disturbed")
	}
}

// detached is a fresh connection of package net in place of a netConn's.
func detached(t *testing.T, conn net.Conn) net.Conn {
	t.Helper()
	d, ok := conn.(interface{ Stream() *iostream.Stream })
	require.True(t, ok)
	back, rest, err := d.Stream().Detach()
	require.NoError(t, err)
	require.Empty(t, rest)
	t.Cleanup(func() { _ = back.Close() })
	return back
}

// O_NONBLOCK belongs to the open file, and so to whoever shares an adopted
// connection. Here reading a full buffer is followed by another read, for which
// there is nothing.
func TestAdoptedConnectionIsMadeBlocking(t *testing.T) {
	if runtime.GOOS != "linux" || raceEnabled {
		t.Skip("the calls there go by the flag")
	}
	const size = 64 << 10
	l := startLoop(t, ioloop.Config{})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	peer, err := net.Dial("tcp", listener.Addr().String())
	require.NoError(t, err)
	defer peer.Close()
	conn, err := listener.Accept()
	require.NoError(t, err)
	shared, err := conn.(*net.TCPConn).File()
	require.NoError(t, err)
	defer shared.Close()
	s, err := iostream.Adopt(l, conn, nil)
	require.NoError(t, err)
	defer s.Close()
	shared.Fd()
	got := make(chan int, 1)
	require.NoError(t, s.ReadAtLeastFunc(make([]byte, size+1), len(make([]byte, size+1)), func(n int, _ error) { got <- n }))
	onLoop(t, l, func() { send(t, peer, strings.Repeat("x", size)) }) // so that it comes as a whole
	quiet(t, l)
	runtime.GC() // waits for every goroutine
	require.Empty(t, got)
	send(t, peer, "y")
	require.Equal(t, size+1, receive(t, got))
	_, err = s.Write(make([]byte, 8<<20)) // more than the kernel takes
	require.NoError(t, err)
	quiet(t, l)
	require.NotZero(t, s.Backlog())
}

func TestAdoptRefuses(t *testing.T) {
	l := startLoop(t, ioloop.Config{})
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	for _, conn := range []net.Conn{nil, a, tls.Client(a, nil)} {
		_, err := iostream.Adopt(l, conn, nil)
		requireIs(t, err, iostream.ErrInvalid)
	}
	if posix.UnderWine() {
		t.Skip("wine has not what package net asks for datagrams")
	}
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	defer udp.Close()
	_, err = iostream.Adopt(l, udp.(net.Conn), nil)
	requireIs(t, err, posix.ESOCKTNOSUPPORT)
	_, peer := pair(t, l, "tcp", nil)
	_, err = iostream.Adopt(l, peer, &iostream.Config{ReadLimit: -1})
	requireIs(t, err, iostream.ErrInvalid)
	_, err = peer.Write([]byte("still the caller's"))
	require.NoError(t, err)
}

// TestDetachBehindCloseWrite: the end of the direction goes out, though the loop
// has not got round to it.
func TestDetachBehindCloseWrite(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("package net makes no connection of a file there: no Detach")
	}
	l := startLoop(t, ioloop.Config{})
	s, peer := pair(t, l, "tcp", nil)
	onLoop(t, l, func() {
		require.NoError(t, s.CloseWrite())
		conn, _, err := s.Detach()
		require.NoError(t, err)
		t.Cleanup(func() { _ = conn.Close() })
	})
	require.NoError(t, peer.SetReadDeadline(time.Now().Add(patience)))
	_, err := peer.Read(make([]byte, 1))
	require.Equal(t, io.EOF, err)
}

func TestDetachRefuses(t *testing.T) {
	l := startLoop(t, ioloop.Config{})
	s, peer := pair(t, l, "tcp", nil)
	require.NoError(t, s.ReadFunc(iostream.Bytes(1), func([]byte, error) {}))
	_, _, err := s.Detach()
	requireIs(t, err, iostream.ErrReadPending)
	send(t, peer, "x")
	eventually(t, func() bool { return !s.Reading() })
	_, err = s.Write(make([]byte, 15<<20))
	require.NoError(t, err)
	_, _, err = s.Detach()
	requireIs(t, err, fs.ErrInvalid)
	require.False(t, s.Err() != nil, "nothing has changed")
	require.NoError(t, s.Close())
	_, _, err = s.Detach()
	requireIs(t, err, net.ErrClosed)

	simulated, err := iostream.New(l, fullWire().Transport(), nil)
	require.NoError(t, err)
	_, _, err = simulated.Detach()
	requireIs(t, err, iostream.ErrInvalid)
	requireIs(t, simulated.Control(func(uintptr) {}), iostream.ErrInvalid)
	require.NoError(t, simulated.Close())
}

func TestControl(t *testing.T) {
	l := startLoop(t, ioloop.Config{})
	s, peer := pair(t, l, "tcp", nil)
	requireIs(t, s.Control(nil), iostream.ErrInvalid)
	ready, done := make(chan int), make(chan error)
	go func() {
		done <- s.Control(func(fd uintptr) {
			require.NoError(t, posix.SetsockoptInt(int(fd), posix.SOL_SOCKET, posix.SO_KEEPALIVE, 1))
			ready <- int(fd)
			<-ready
			_, err := posix.GetsockoptInt(int(fd), posix.SOL_SOCKET, posix.SO_KEEPALIVE)
			require.NoError(t, err, "it is open until this returns")
		})
	}()
	receive(t, ready)
	closed := make(chan error, 1)
	_ = s.WaitClosedFunc(func(err error) { closed <- err })
	s.Abort(nil)
	quiet(t, l)
	require.Empty(t, closed, "not while the descriptor is in use")
	ready <- 0
	require.NoError(t, receive(t, done))
	require.ErrorIs(t, receive(t, closed), net.ErrClosed)
	requireIs(t, s.Control(func(uintptr) {}), net.ErrClosed)
	require.NoError(t, peer.SetReadDeadline(inAnHour()))
	_, err := peer.Read(make([]byte, 1))
	require.Equal(t, io.EOF, err)
}

// TestControlBeyondTheLoop closes the descriptor itself.
func TestControlBeyondTheLoop(t *testing.T) {
	l, err := ioloop.New(ioloop.Config{})
	require.NoError(t, err)
	s, peer := pair(t, l, "tcp", nil)
	require.NoError(t, s.Control(func(uintptr) { require.NoError(t, l.Close()) }))
	_, err = peer.Read(make([]byte, 1))
	require.Equal(t, io.EOF, err)
}

func TestPeek(t *testing.T) {
	l := startLoop(t, ioloop.Config{})
	s, peer := pair(t, l, "tcp", nil)
	send(t, peer, "abcdef")
	for range 2 {
		b, err := s.Read(patient(t), iostream.Peek(6))
		require.NoError(t, err)
		require.Equal(t, "abcdef", string(b))
	}
	_, err := s.Read(patient(t), iostream.Peek(-1))
	requireIs(t, err, os.ErrInvalid)
	never := func([]byte, error) bool { return true }
	requireIs(t, s.Handle(iostream.Peek(1), never), iostream.ErrInvalid)
	require.NoError(t, s.Handle(iostream.Bytes(4), func(b []byte, err error) bool {
		requireIs(t, s.SetFrame(iostream.Peek(1)), iostream.ErrInvalid)
		require.NoError(t, s.ReadFunc(iostream.Peek(2), func(b []byte, err error) {
			require.Equal(t, "ef", string(b))
			_, _ = s.Write([]byte("seen"))
		}))
		return true
	}))
	expect(t, peer, "seen")
}
