//go:build unix || windows

package iostream_test

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"syscall"

	"github.com/eddyloop/eddy/internal/posix"
	"github.com/eddyloop/eddy/internal/wine"
	"github.com/eddyloop/eddy/iostream"
	"github.com/eddyloop/eddy/tcp"
	"github.com/stretchr/testify/require"
)

const dialFirst = "Dial returns a stream once it is connected"

var tornadoConnects = []scenario{
	{number: 113, name: "connect to a closed port", tornado: "fails with ECONNREFUSED", over: tcpOnly, once: true, run: func(e *env) {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(e, err)
		require.NoError(e, listener.Close())
		_, err = tcp.Dial(patient(e.T), e.loop, "tcp", listener.Addr().String())
		require.ErrorIs(e, err, syscall.ECONNREFUSED)
		var op *net.OpError
		require.ErrorAs(e, err, &op)
		require.Equal(e, "dial", op.Op)
	}},
	{number: 114, name: "connect to a name that cannot be looked up", tornado: "fails in the same way", over: tcpOnly, once: true, run: func(e *env) {
		noWay := errors.New("no way to the server")
		d := tcp.Dialer{Resolver: &net.Resolver{PreferGo: true,
			Dial: func(context.Context, string, string) (net.Conn, error) { return nil, noWay }}}
		_, err := d.Dial(patient(e.T), e.loop, "tcp", "name.invalid:80")
		var op *net.OpError
		require.ErrorAs(e, err, &op)
		var dns *net.DNSError
		require.ErrorAs(e, err, &dns)
	}},
	{number: 115, name: "write while connecting", tornado: "sent once connected", eddy: "does not arise", why: dialFirst},
	{number: 116, name: "connect, write, and read by meaning", tornado: "each is awaited in turn", over: tcpOnly, once: true, run: func(e *env) {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(e, err)
		defer listener.Close()
		s, err := tcp.Dial(patient(e.T), e.loop, "tcp", listener.Addr().String())
		require.NoError(e, err)
		defer s.Close()
		conn, err := listener.Accept()
		require.NoError(e, err)
		defer conn.Close()
		_, err = s.Write([]byte("hello"))
		require.NoError(e, err)
		expect(e.T, conn, "hello")
		send(e.T, conn, "HTTP/1.0 200\r\n\r\nbody")
		e.in = s
		e.read(until("\r\n\r\n", 0), "HTTP/1.0 200\r\n\r\n", nil)
		e.read(exactly(4), "body", nil)
	}},
	{number: 117, name: "close while connecting", tornado: "connecting fails: closed", eddy: "cancel the context; nothing is left behind",
		why: dialFirst, over: tcpOnly, once: true, run: func(e *env) {
			ctx, cancel := context.WithCancel(context.Background())
			cancel()
			_, err := tcp.Dial(ctx, e.loop, "tcp", "127.0.0.1:1")
			require.ErrorIs(e, err, context.Canceled)
		}},
	{number: 118, name: "read while connecting", tornado: "waits", eddy: "does not arise", why: dialFirst},
	{number: 119, name: "connect twice", tornado: "the first never completes", eddy: "does not arise", why: dialFirst},
	{number: 120, name: "a stream of a socket that is not connected", tornado: "a bare ENOTCONN from a read, EPIPE from a write",
		eddy: "what is written fails with ENOTCONN or EPIPE; a read fails where the system tells of it (epoll, poll), else it waits",
		why:  "one way to deliver an error", over: tcpOnly, once: true, run: func(e *env) {
			s := bare(e)
			_, err := s.Write([]byte("x"))
			if err == nil {
				err = s.Flush(patient(e.T))
			}
			require.True(e, isAny(err, syscall.EPIPE, syscall.ENOTCONN) ||
				wine.Here() && isAny(err, syscall.ECONNRESET), "%v", err) // wine's word for EPIPE
			var ours *iostream.Error
			require.ErrorAs(e, err, &ours)
		}},
	{number: 121, name: "a Unix listener whose backlog is full", tornado: "connected, it says; the first use fails",
		eddy: "tries again until there is room, or the context ends", why: "Linux answers EAGAIN where TCP would wait", over: []string{"unix"}, once: true,
		run: func(e *env) {
			address := filepath.Join(e.TempDir(), "full")
			fd, err := posix.Socket(posix.AF_UNIX, posix.SOCK_STREAM, 0)
			require.NoError(e, err)
			defer posix.Close(fd)
			require.NoError(e, posix.Bind(fd, &posix.SockaddrUnix{Name: address}))
			require.NoError(e, posix.Listen(fd, 0))
			first, err := tcp.Dial(patient(e.T), e.loop, "unix", address)
			require.NoError(e, err)
			defer first.Close()
			second := make(chan *iostream.Stream)
			go func() {
				s, err := tcp.Dial(context.Background(), e.loop, "unix", address)
				if err != nil {
					e.Error(err)
				}
				second <- s
			}()
			e.quiet()
			conn, _, err := posix.Accept(fd)
			require.NoError(e, err)
			defer posix.Close(conn)
			s := receive(e.T, second)
			require.NoError(e, s.Close())
		}},
	{number: 122, name: "a Unix path that is not there", tornado: "fails with ENOENT", over: []string{"unix"}, once: true, run: func(e *env) {
		_, err := tcp.Dial(patient(e.T), e.loop, "unix", filepath.Join(e.TempDir(), "none"))
		require.ErrorIs(e, err, syscall.ENOENT)
	}},
}
