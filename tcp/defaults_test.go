//go:build unix

package tcp_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
	"github.com/eddyloop/eddy/tcp"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// Peers that have lost power are found out, as in package net, unless that is
// turned off.
func TestKeepAliveByDefault(t *testing.T) {
	for _, off := range []bool{false, true} {
		streams := make(chan *iostream.Stream, 1)
		options := tcp.SocketOptions{NoKeepAlive: off}
		srv := &tcp.Server{Handler: lines, Socket: options, Hooks: tcp.Hooks{
			Accepted: func(s *iostream.Stream) { streams <- s },
		}}
		addr, _ := local(t, srv)
		dialled, err := (&tcp.Dialer{Socket: options}).Dial(t.Context(), newLoop(t), "tcp", addr.String())
		require.NoError(t, err)
		for _, s := range []*iostream.Stream{dialled, receive(t, streams)} {
			require.Equal(t, !off, option(t, s, unix.SOL_SOCKET, unix.SO_KEEPALIVE) != 0)
			if !off && runtime.GOOS == "linux" {
				requireKeepAlive(t, s, 15, 15, 9)
			}
		}
		require.NoError(t, dialled.Close())
	}
}

// A wildcard takes both families, as in package net.
func TestListenDualStack(t *testing.T) {
	six, err := net.Listen("tcp6", "[::1]:0")
	if err != nil || runtime.GOOS == "openbsd" || runtime.GOOS == "dragonfly" {
		t.Skip("no IPv6, or no sockets for both families")
	}
	six.Close()
	for _, test := range []struct {
		network, address string
		four, six        bool
	}{
		{"tcp", "[::]:0", true, true}, {"tcp", "0.0.0.0:0", true, true}, {"tcp", ":0", true, true},
		{"tcp4", "0.0.0.0:0", true, false}, {"tcp4", ":0", true, false},
		{"tcp6", "[::]:0", false, true}, {"tcp6", ":0", false, true},
	} {
		t.Run(test.network+" "+test.address, func(t *testing.T) {
			families := map[string]bool{"127.0.0.1": test.four, "::1": test.six}
			var others []string
			for host, want := range families {
				if !want {
					others = append(others, host)
				}
			}
			port := listenApart(t, test.network, test.address, others)
			for host, want := range families {
				conn, err := net.Dial("tcp", net.JoinHostPort(host, strconv.Itoa(port)))
				require.Equal(t, want, err == nil, "%s: %v", host, err)
				if err == nil {
					conn.Close()
				}
			}
		})
	}
}

func TestDialTimeout(t *testing.T) {
	silent, _ := local(t, &tcp.Server{Handler: func(t *ioloop.Task, s *iostream.Stream) error { return s.WaitClosed(t) }})
	d := &tcp.Dialer{Timeout: 10 * time.Millisecond, TLS: testTLS().client}
	l := newLoop(t)
	_, err := d.Dial(t.Context(), l, "tcp", silent.String())
	require.ErrorIs(t, err, context.DeadlineExceeded)
	result := make(chan error, 1)
	require.NoError(t, l.Go(func(task *ioloop.Task) {
		_, err := d.Dial(task, l, "tcp", silent.String())
		result <- err
	}))
	require.ErrorIs(t, receive(t, result), context.DeadlineExceeded)
	_, err = (&tcp.Dialer{Timeout: -1}).Dial(t.Context(), l, "tcp", silent.String())
	require.ErrorIs(t, err, tcp.ErrInvalid)
}

// Control sees every socket before it is bound or connected.
func TestControl(t *testing.T) {
	forbidden := errors.New("forbidden")
	type call struct {
		network, address string
		bound            bool
	}
	var calls []call
	var result error
	options := tcp.SocketOptions{Control: func(network, address string, fd uintptr) error {
		local, err := unix.Getsockname(int(fd))
		require.NoError(t, err)
		calls = append(calls, call{network, address, local.(*unix.SockaddrInet4).Port != 0})
		return result
	}}
	srv := &tcp.Server{Handler: lines, Socket: options}
	addr, _ := local(t, srv)
	d := &tcp.Dialer{Socket: options}
	l := newLoop(t)
	s, err := d.Dial(t.Context(), l, "tcp", addr.String())
	require.NoError(t, err)
	require.NoError(t, s.Close())
	require.Equal(t, []call{{"tcp", "127.0.0.1:0", false}, {"tcp", addr.String(), false}}, calls)
	result = forbidden
	_, err = d.Dial(t.Context(), l, "tcp", addr.String())
	require.ErrorIs(t, err, forbidden)
	_, err = srv.Listen("tcp", "127.0.0.1:0")
	require.ErrorIs(t, err, forbidden)
}

func TestBacklog(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("what becomes of clients beyond the backlog differs")
	}
	srv := &tcp.Server{Handler: lines, Backlog: 1}
	defer srv.Close()
	addr, err := srv.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	for range 2 { // Linux takes one more
		dial(t, addr)
	}
	_, err = net.DialTimeout("tcp", addr.String(), 50*time.Millisecond)
	require.True(t, os.IsTimeout(err), "%v", err)
	require.ErrorIs(t, (&tcp.Server{Handler: lines, Backlog: -1}).Serve(t.Context()), tcp.ErrInvalid)
}

// An error that usually concerns one connection and does not go away makes
// accepting pause, like any other.
func TestAcceptErrorsThatPersist(t *testing.T) {
	for _, errno := range []error{unix.EPERM, unix.EOPNOTSUPP, unix.ECONNABORTED, unix.EMFILE} {
		restore := tcp.FailAccept(errno)
		var log logBuffer
		paused := make(chan error, 100)
		srv := &tcp.Server{Handler: lines, Loops: 1, Logger: log.logger(), Hooks: tcp.Hooks{
			Paused: func(_ net.Addr, err error) { paused <- err },
		}}
		addr, done := local(t, srv)
		dial(t, addr)
		require.ErrorIs(t, receive(t, paused), errno)
		require.ErrorIs(t, receive(t, paused), errno, "it is tried again")
		eventually(t, func() bool { return strings.Contains(log.String(), "accepting is put off") })
		require.NoError(t, srv.Close())
		receive(t, done)
		restore()
	}
}

// A pause that ends when nobody listens any more ends nothing else.
func TestStopListeningInAPause(t *testing.T) {
	defer tcp.FailAccept(unix.EMFILE)()
	var loop *ioloop.Loop
	paused := make(chan struct{})
	srv := &tcp.Server{Handler: lines, Loops: 1, Logger: slog.New(slog.DiscardHandler)}
	srv.Hooks = tcp.Hooks{
		Started: func(loops []*ioloop.Loop) { loop = loops[0] },
		Paused: func(net.Addr, error) {
			srv.StopListening()
			close(paused)
		},
	}
	addr, done := local(t, srv)
	if c, err := net.Dial("tcp", addr.String()); err == nil { // or it is reset already
		defer c.Close()
	}
	receive(t, paused)
	eventually(t, func() bool { return len(srv.Addrs()) == 0 && loop.Stats().Timers == 0 })
	ran := make(chan struct{})
	require.NoError(t, loop.Post(func() { close(ran) }))
	receive(t, ran)
	_, err := srv.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, srv.Close())
	require.ErrorIs(t, receive(t, done), tcp.ErrServerClosed)
}

// Descriptors that a client sends are refused, or released without harm.
func TestRightsAreRefused(t *testing.T) {
	addr, _ := listenOn(t, &tcp.Server{Handler: lines}, "unix", socketPath(t))
	c := dial(t, addr)
	_, _, err := c.Conn.(*net.UnixConn).WriteMsgUnix([]byte("hello\n"), unix.UnixRights(0), nil)
	if kernelRefusesRights() {
		require.ErrorIs(t, err, syscall.EPERM)
		c.send("hello\n")
	} else {
		require.NoError(t, err)
	}
	c.expect("hello\n")
}
