//go:build unix

package tcp_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"runtime"
	"runtime/pprof"
	"runtime/trace"
	"strings"
	"testing"
	"time"

	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
	"github.com/eddyloop/eddy/tcp"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// option returns a socket option of a stream.
func option(t *testing.T, s *iostream.Stream, level, name int) int {
	t.Helper()
	var value int
	var err error
	require.NoError(t, s.Control(func(fd uintptr) { value, err = unix.GetsockoptInt(int(fd), level, name) }))
	require.NoError(t, err)
	return value
}

// What is set reaches accepted and dialled sockets.
func TestSocketOptions(t *testing.T) {
	options := tcp.SocketOptions{
		KeepAlive:   net.KeepAliveConfig{Enable: true, Idle: 50 * time.Second, Interval: 1500 * time.Millisecond, Count: 3},
		ReadBuffer:  20_000,
		WriteBuffer: 30_000,
	}
	if runtime.GOOS == "linux" {
		options.UserTimeout = 7 * time.Second
	}
	for _, test := range []struct{ network, address string }{{"tcp", "127.0.0.1:0"}, {"unix", socketPath(t)}} {
		streams := make(chan *iostream.Stream, 1)
		srv := &tcp.Server{Handler: lines, Socket: options, Hooks: tcp.Hooks{
			Accepted: func(s *iostream.Stream) { streams <- s },
		}}
		addr, _ := listenOn(t, srv, test.network, test.address)
		d := &tcp.Dialer{Socket: options}
		dialled, err := d.Dial(context.Background(), newLoop(t), test.network, addr.String())
		require.NoError(t, err)
		for _, s := range []*iostream.Stream{dialled, receive(t, streams)} {
			require.GreaterOrEqual(t, option(t, s, unix.SOL_SOCKET, unix.SO_RCVBUF), 20_000)
			require.Less(t, option(t, s, unix.SOL_SOCKET, unix.SO_RCVBUF), 60_000)
			require.GreaterOrEqual(t, option(t, s, unix.SOL_SOCKET, unix.SO_SNDBUF), 30_000)
			if test.network == "tcp" {
				require.NotZero(t, option(t, s, unix.IPPROTO_TCP, unix.TCP_NODELAY))
				require.NotZero(t, option(t, s, unix.SOL_SOCKET, unix.SO_KEEPALIVE))
				requireTCPTimes(t, s)
			}
		}
		require.NoError(t, dialled.Close())
	}
}

func TestInvalidOptions(t *testing.T) {
	invalid := tcp.SocketOptions{ReadBuffer: -1}
	_, err := (&tcp.Server{Handler: lines, Socket: invalid}).Listen("tcp", "127.0.0.1:0")
	require.ErrorIs(t, err, fs.ErrInvalid)
	l := newLoop(t)
	on(t, l, func() {})
	_, err = (&tcp.Dialer{Socket: invalid}).Dial(context.Background(), l, "tcp", "127.0.0.1:1")
	require.ErrorIs(t, err, fs.ErrInvalid)
	for _, srv := range []*tcp.Server{
		{Handler: lines, Overload: 7},
		{Handler: lines, Socket: tcp.SocketOptions{UserTimeout: -1}},
		{Handler: lines, ProxyProtocol: &tcp.ProxyProtocol{Trusted: everybody, Timeout: -1}},
	} {
		require.ErrorIs(t, srv.Serve(context.Background()), fs.ErrInvalid)
	}
}

// With ReusePort every loop accepts for itself.
func TestReusePort(t *testing.T) {
	for _, late := range []bool{false, true} {
		group := newGroup(t, 3, ioloop.Config{})
		streams := make(chan *iostream.Stream, 1)
		controlled := 0
		control := func(string, string, uintptr) error { controlled++; return nil }
		srv := &tcp.Server{Handler: lines, Group: group, ReusePort: true, Socket: tcp.SocketOptions{Control: control}, Logger: quiet(), Hooks: tcp.Hooks{
			Accepted: func(s *iostream.Stream) { streams <- s },
		}}
		var addr net.Addr
		if late {
			local(t, srv)
		}
		addr, err := srv.Listen("tcp", "127.0.0.1:0")
		if errors.Is(err, errors.ErrUnsupported) {
			t.Skip("not on this system")
		}
		require.NoError(t, err)
		if !late {
			serve(t, srv)
		}
		require.Contains(t, srv.Addrs(), addr)
		require.Len(t, srv.Addrs(), map[bool]int{false: 1, true: 2}[late])
		require.Len(t, socketsOf(t, addr), 3)
		require.Equal(t, map[bool]int{false: 3, true: 6}[late], controlled)
		seen := map[*ioloop.Loop]bool{}
		for range 1000 {
			if len(seen) == 3 {
				break
			}
			c := dial(t, addr)
			seen[receive(t, streams).Loop()] = true
			c.echo("hello\n")
			c.Close()
		}
		require.Len(t, seen, 3)
		_, err = srv.Shutdown(context.Background())
		require.NoError(t, err)
	}
}

// A handler with a name is found under it in profiles, and its goroutine does
// not keep it.
func TestName(t *testing.T) {
	srv := &tcp.Server{Handler: lines, ProfileLabel: "greeter", Loops: 1}
	addr, _ := local(t, srv)
	c := dial(t, addr)
	c.echo("hello\n")
	require.Contains(t, labels(t), `{"server":"greeter"}`)
	c.Close()
	// The handler learns of the end after the server has counted it.
	eventually(t, func() bool { return srv.Stats().Conns == 0 && !strings.Contains(labels(t), "greeter") })
}

// So is what it does in a trace.
func TestNameInTrace(t *testing.T) {
	if trace.IsEnabled() {
		t.Skip("the tests are being traced")
	}
	srv := &tcp.Server{Handler: lines, ProfileLabel: "traced greeter", Loops: 1}
	addr, _ := local(t, srv)
	var record bytes.Buffer
	require.NoError(t, trace.Start(&record))
	c := dial(t, addr)
	c.echo("hello\n")
	c.send("bye\n")
	c.expectEOF()
	trace.Stop()
	require.Contains(t, record.String(), srv.ProfileLabel)
	require.Regexp(t, `profile\.func\d`, record.String(), "it ends: where it does has its stack")
}

func labels(t *testing.T) string {
	t.Helper()
	var profile bytes.Buffer
	require.NoError(t, pprof.Lookup("goroutine").WriteTo(&profile, 1))
	return profile.String()
}

func TestPeerCredentials(t *testing.T) {
	for _, address := range []string{socketPath(t), "@eddy-test-" + time.Now().Format(time.RFC3339Nano)} {
		if address[0] == '@' && runtime.GOOS != "linux" {
			continue
		}
		streams := make(chan *iostream.Stream, 1)
		srv := &tcp.Server{Handler: lines, Hooks: tcp.Hooks{Accepted: func(s *iostream.Stream) { streams <- s }}}
		addr, _ := listenOn(t, srv, "unix", address)
		require.Equal(t, address, addr.String())
		s, err := tcp.Dial(context.Background(), newLoop(t), "unix", address)
		require.NoError(t, err)
		for _, s := range []*iostream.Stream{s, receive(t, streams)} {
			c, err := tcp.PeerCredentials(s)
			if errors.Is(err, errors.ErrUnsupported) {
				t.Skip("not on this system")
			}
			require.NoError(t, err)
			require.Equal(t, os.Getuid(), c.UID)
			require.Equal(t, os.Getgid(), c.GID)
			if runtime.GOOS == "linux" {
				require.Equal(t, os.Getpid(), c.PID)
			}
		}
		require.NoError(t, s.Close())
		require.NoError(t, s.WaitClosed(context.Background()))
		_, err = tcp.PeerCredentials(s)
		require.ErrorIs(t, err, net.ErrClosed)
	}
	addr, _ := local(t, &tcp.Server{Handler: lines})
	s, err := tcp.Dial(context.Background(), newLoop(t), "tcp", addr.String())
	require.NoError(t, err)
	defer s.Close()
	_, err = tcp.PeerCredentials(s)
	require.Error(t, err)
}
