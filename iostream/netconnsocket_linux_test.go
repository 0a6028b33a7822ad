package iostream_test

import (
	"net"
	"os"
	"testing"
	"time"

	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// What a KeepAliveConfig leaves open is as package net has it.
func TestNetConnKeepAliveTimes(t *testing.T) {
	for _, test := range []struct {
		config                net.KeepAliveConfig
		idle, interval, count int
	}{
		{net.KeepAliveConfig{Enable: true}, 15, 15, 9},
		{net.KeepAliveConfig{Enable: true, Idle: time.Minute, Interval: 2 * time.Second, Count: 3}, 60, 2, 3},
	} {
		s, _ := pair(t, startLoop(t, ioloop.Config{}), "tcp", nil)
		c := s.NetConn()
		require.NoError(t, c.SetKeepAliveConfig(test.config))
		require.Equal(t, test.idle, option(t, c, unix.IPPROTO_TCP, unix.TCP_KEEPIDLE))
		require.Equal(t, test.interval, option(t, c, unix.IPPROTO_TCP, unix.TCP_KEEPINTVL))
		require.Equal(t, test.count, option(t, c, unix.IPPROTO_TCP, unix.TCP_KEEPCNT))
		require.NoError(t, c.Close())
	}
}

// Either direction has its deadline, also in raw form.
func TestNetConnRawDeadlines(t *testing.T) {
	s, _ := pair(t, startLoop(t, ioloop.Config{}), "tcp", nil)
	c := s.NetConn()
	raw, err := c.SyscallConn()
	require.NoError(t, err)
	twice := func(try func(func(uintptr) bool) error) error {
		n := 0
		return try(func(uintptr) bool { n++; return n == 2 })
	}
	past := time.Unix(1, 0)
	require.NoError(t, c.SetReadDeadline(past))
	require.NoError(t, twice(raw.Write))
	requireOp(t, twice(raw.Read), "raw-read", os.ErrDeadlineExceeded)
	require.NoError(t, c.SetReadDeadline(time.Time{}))
	require.NoError(t, c.SetWriteDeadline(past))
	require.NoError(t, twice(raw.Read))
	requireOp(t, twice(raw.Write), "raw-write", os.ErrDeadlineExceeded)
	require.NoError(t, c.Close())
}

// What the kernel is known to have decides whether a goroutine reads by itself.
func TestKnowsOfInput(t *testing.T) {
	s, peer := pair(t, startLoop(t, ioloop.Config{}), "tcp", nil)
	readByLoop(t, s, peer)
	full := make(chan error, 1)
	go func() { _, err := s.ReadAtLeast(patient(t), make([]byte, 4), 4); full <- err }()
	awaitRead(t, s)
	send(t, peer, "full")
	require.NoError(t, receive(t, full))
	require.True(t, iostream.KnowsOfInput(s), "a read of the loop came back full")
	go func() { _, err := s.ReadAtLeast(patient(t), make([]byte, 4), 4); full <- err }()
	awaitRead(t, s)
	require.False(t, iostream.KnowsOfInput(s), "there was nothing")
	send(t, peer, "fullmore") // the loop leaves the second half
	require.NoError(t, receive(t, full))
	n, err := s.ReadAtLeast(patient(t), make([]byte, 4), 1)
	require.NoError(t, err)
	require.Equal(t, 4, n)
	require.True(t, iostream.KnowsOfInput(s), "a read of its own came back full")
	send(t, peer, "ab")
	announced(t, s)
	eventually(t, func() bool { return unreadBytes(t, s) == 2 })
	n, err = s.ReadAtLeast(patient(t), make([]byte, 4), 1)
	require.NoError(t, err)
	require.Equal(t, 2, n)
}

func unreadBytes(t *testing.T, s *iostream.Stream) (n int) {
	require.NoError(t, s.Control(func(fd uintptr) { n, _ = unix.IoctlGetInt(int(fd), unix.TIOCINQ) }))
	return n
}
