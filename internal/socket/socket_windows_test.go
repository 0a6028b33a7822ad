package socket

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/windows"
)

// connection returns connected sockets of this package.
func connection(t *testing.T) (a, b int) {
	l, err := Listen(&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}, 1, nil)
	require.NoError(t, err)
	require.True(t, Listening(l))
	a, err = New(LocalAddr(l))
	require.NoError(t, err)
	_, err = Connect(a, LocalAddr(l))
	require.NoError(t, err)
	eventually(t, func() bool { b, _, err = Accept(l); return !WouldBlock(err) })
	require.NoError(t, err)
	eventually(t, func() bool { err = Connected(a); return !InProgress(err) })
	require.NoError(t, err)
	require.NoError(t, Close(l))
	t.Cleanup(func() { _ = Close(a); _ = Close(b) })
	return a, b
}

func eventually(t *testing.T, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !cond(); time.Sleep(time.Millisecond) {
		require.True(t, time.Now().Before(end))
	}
}

func TestSocketsOfWindows(t *testing.T) {
	a, b := connection(t)
	for _, fd := range []int{a, b} {
		var flags uint32
		r, _, _ := windows.NewLazySystemDLL("kernel32.dll").NewProc("GetHandleInformation").Call(uintptr(fd), uintptr(unsafe.Pointer(&flags)))
		require.NotZero(t, r)
		require.Zero(t, flags&windows.HANDLE_FLAG_INHERIT)
	}
	_, err := Read(b, make([]byte, 1))
	require.True(t, WouldBlock(err))
	require.ErrorIs(t, err, syscall.EAGAIN)
	n, err := SendVector(a, [][]byte{[]byte("scat"), nil, []byte("tered")})
	require.NoError(t, err)
	require.Equal(t, 9, n)
	require.NoError(t, CloseWrite(a))
	var got []byte
	buf := make([]byte, 4)
	eventually(t, func() bool {
		n, err := Read(b, buf)
		got = append(got, buf[:n]...)
		return n == 0 && err == nil
	})
	require.Equal(t, "scattered", string(got))
	_, err = Send(a, []byte("x"))
	require.ErrorIs(t, err, syscall.EPIPE)
	_, err = Send(b, []byte("the other way goes on"))
	require.NoError(t, err)
}

// The errors are those that people test for on every system, and Winsock's own.
func TestErrorsOfWindows(t *testing.T) {
	l, err := Listen(&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}, 1, nil)
	require.NoError(t, err)
	addr := LocalAddr(l)
	_, err = Listen(addr, 1, nil)
	require.ErrorIs(t, err, syscall.EADDRINUSE)
	require.NoError(t, Close(l))
	fd, err := New(addr)
	require.NoError(t, err)
	defer Close(fd)
	_, err = Connect(fd, addr)
	if err == nil {
		eventually(t, func() bool { err = Connected(fd); return !InProgress(err) })
	}
	require.ErrorIs(t, err, syscall.ECONNREFUSED)
	require.ErrorIs(t, err, windows.WSAECONNREFUSED)
	var code syscall.Errno
	require.True(t, errors.As(err, &code))
	require.Equal(t, syscall.Errno(windows.WSAECONNREFUSED), code)
	r, w, err := os.Pipe()
	require.NoError(t, err)
	defer r.Close()
	defer w.Close()
	require.ErrorIs(t, Adopt(int(r.Fd())), syscall.ENOTSOCK)
	require.ErrorIs(t, fault(windows.WSAECONNABORTED), syscall.ECONNRESET)
	require.Nil(t, fault(nil))
	require.Equal(t, io.EOF, fault(io.EOF))
	_, _, err = Sockaddr(&net.UnixAddr{Name: "@abstract"})
	require.ErrorIs(t, err, syscall.EINVAL)
}

// Vacate leaves the number to a socket that does not listen.
func TestVacateOnWindows(t *testing.T) {
	l, err := Listen(&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}, 1, nil)
	require.NoError(t, err)
	addr := LocalAddr(l)
	kept, err := Vacate(l)
	require.NoError(t, err)
	if !kept {
		t.Skip("another thread has the number")
	}
	defer Close(l)
	require.False(t, Listening(l))
	_, _, err = Accept(l)
	require.Error(t, err)
	_, err = net.Dial("tcp", addr.String())
	require.ErrorIs(t, err, windows.WSAECONNREFUSED)
}

// A listener's options are set before it has an address.
func TestListeningOptionsOnWindows(t *testing.T) {
	options := &Options{KeepAlive: true, Idle: time.Minute, Interval: time.Second, Count: 3}
	l, err := Listen(&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}, 1, func(fd int) error { return options.SetListening(fd, true) })
	require.NoError(t, err)
	require.NoError(t, Close(l))
}

// Whoever has ended its own reading finds the end there, as on other systems.
func TestCloseReadOnWindows(t *testing.T) {
	a, b := connection(t)
	_, err := Send(a, []byte("x"))
	require.NoError(t, err)
	buf := make([]byte, 4)
	eventually(t, func() bool { n, _ := Read(b, buf); return n == 1 })
	require.NoError(t, CloseRead(b))
	n, err := Read(b, buf)
	require.NoError(t, err)
	require.Zero(t, n)
	n, err = Peek(b)
	require.NoError(t, err)
	require.Zero(t, n)
	_, err = Send(b, []byte("the other way goes on"))
	require.NoError(t, err)
	require.ErrorIs(t, CloseRead(-1), syscall.ENOTSOCK)
}
