//go:build unix || windows

package iostream_test

import (
	"context"
	"errors"
	"github.com/eddyloop/eddy/internal/posix"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
	"github.com/eddyloop/eddy/iostreamtest"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/nettest"
)

// netPair returns two streams that are each other's peer, as net.Conns.
func netPair(t testing.TB, l *ioloop.Loop, network string) (*iostream.Stream, net.Conn, net.Conn) {
	t.Helper()
	version, plain := tlsVersions[network], network
	if version != 0 {
		plain = "tcp"
	}
	s, peer := pair(t, l, plain, nil)
	other, err := iostream.Adopt(l, peer, nil)
	require.NoError(t, err)
	t.Cleanup(func() { _ = other.Close() })
	if version != 0 {
		done := make(chan error, 1)
		go func() { done <- other.StartTLS(context.Background(), iostream.TLSClient(clientConfig(version))) }()
		require.NoError(t, s.StartTLS(patient(t), iostream.TLSServer(serverConfig(version))))
		require.NoError(t, receive(t, done))
	}
	return s, s.NetConn(), other.NetConn()
}

// TestNetConn is the conformance suite of golang.org/x/net for a net.Conn.
func TestNetConn(t *testing.T) {
	eachNetwork(t, func(t *testing.T, network string) {
		l := startLoop(t, ioloop.Config{})
		nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
			_, c1, c2 = netPair(t, l, network)
			return c1, c2, func() { _, _ = c1.Close(), c2.Close() }, nil
		})
	})
}

func TestNetConnHalves(t *testing.T) {
	_, c, peer := netPair(t, startLoop(t, ioloop.Config{}), "tcp")
	closeWrite(t, c)
	closeWrite(t, c) // as package net has it
	n, err := peer.Read(make([]byte, 1))
	require.Zero(t, n)
	require.Equal(t, io.EOF, err)
	_, err = c.Write([]byte("x"))
	require.ErrorIs(t, err, net.ErrClosed)
	require.ErrorIs(t, err, syscall.EPIPE, "as package net has it")
	closeRead(t, c)
	require.NoError(t, c.Close())
	requireOp(t, c.(*iostream.Conn).CloseWrite(), "close", net.ErrClosed)
}

// closeRead ends a read that waits.
func closeRead(t *testing.T, c net.Conn) {
	t.Helper()
	ended := make(chan error, 1)
	go func() { _, err := c.Read(make([]byte, 1)); ended <- err }()
	awaitRead(t, c.(*iostream.Conn).Stream())
	require.NoError(t, c.(*iostream.Conn).CloseRead())
	require.Equal(t, io.EOF, receive(t, ended))
}

// The other direction goes on, though no system call tells of this end everywhere.
func TestNetConnCloseReadLeavesWriting(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			_, c, peer := netPair(t, startLoop(t, ioloop.Config{}), network)
			closeRead(t, c)
			_, err := c.Write([]byte("abc"))
			require.NoError(t, err)
			expect(t, peer, "abc")
		})
	}
}

// requireOp has err be what package net returns for an operation.
func requireOp(t *testing.T, err error, op string, cause error) {
	t.Helper()
	var e *net.OpError
	require.ErrorAs(t, err, &e)
	require.Equal(t, op, e.Op)
	require.ErrorIs(t, err, cause)
	var ours *iostream.Error
	require.False(t, errors.As(err, &ours), "%v", err)
}

func TestNetConnErrors(t *testing.T) {
	eachNetwork(t, func(t *testing.T, network string) {
		_, c, peer := netPair(t, startLoop(t, ioloop.Config{}), network)
		buf := make([]byte, 10)

		require.NoError(t, c.SetDeadline(time.Unix(1, 0)))
		_, err := c.Read(buf)
		requireOp(t, err, "read", os.ErrDeadlineExceeded)
		require.True(t, err.(net.Error).Timeout())
		_, err = c.Write([]byte("x"))
		requireOp(t, err, "write", os.ErrDeadlineExceeded)
		require.NoError(t, c.SetDeadline(time.Time{}))

		_, err = io.WriteString(peer, "bye")
		require.NoError(t, err)
		closeWrite(t, peer)
		got, err := io.ReadAll(c)
		require.NoError(t, err)
		require.Equal(t, "bye", string(got))
		_, err = c.Read(buf)
		require.Equal(t, io.EOF, err, "bare, as package net has it")
		_, err = io.WriteString(c, "still here")
		require.NoError(t, err, "the peer's end of stream does not end writing")

		require.NoError(t, c.Close())
		requireOp(t, c.Close(), "close", net.ErrClosed)
		_, err = c.Read(buf)
		requireOp(t, err, "read", net.ErrClosed)
		_, err = c.Write(buf)
		requireOp(t, err, "write", net.ErrClosed)
		requireOp(t, c.SetDeadline(time.Time{}), "set", net.ErrClosed)
		require.NotNil(t, c.RemoteAddr(), "addresses stay")
		require.Contains(t, []string{"tcp", "unix"}, c.LocalAddr().Network())
	})
}

// TestNetConnWriteThatTimesOut counts: what Write says is what the peer gets.
func TestNetConnWriteThatTimesOut(t *testing.T) {
	eachNetwork(t, func(t *testing.T, network string) {
		s, c, peer := netPair(t, startLoop(t, ioloop.Config{}), network)
		text := strings.Repeat("0123456789abcdef", 1<<20)
		require.NoError(t, c.SetWriteDeadline(time.Now().Add(50*time.Millisecond)))
		n, err := io.WriteString(c, text)
		requireOp(t, err, "write", os.ErrDeadlineExceeded)
		require.Less(t, n, len(text))
		if tlsVersions[network] == 0 { // what is encrypted cannot be withdrawn
			require.Zero(t, s.Backlog(), "what was not sent is withdrawn")
		}
		require.NoError(t, c.SetWriteDeadline(time.Time{}))
		go func() {
			_, _ = io.WriteString(c, "END")
			_ = c.(interface{ CloseWrite() error }).CloseWrite()
		}()
		got, err := io.ReadAll(peer)
		require.NoError(t, err)
		require.Equal(t, n+len("END"), len(got))
		require.True(t, string(got) == text[:n]+"END")
	})
}

// TestNetConnThatComesTooLate: on a stream that the peer's end has closed, a write
// fails as any other.
func TestNetConnThatComesTooLate(t *testing.T) {
	s, peer := pair(t, startLoop(t, ioloop.Config{}), "tcp", nil)
	closeWrite(t, peer)
	require.NoError(t, s.WaitReadClosed(patient(t)))
	c := s.NetConn()
	_, err := c.Read(make([]byte, 1))
	require.Equal(t, io.EOF, err)
	_, err = c.Write([]byte("x"))
	require.NoError(t, err)
}

func TestNetConnReset(t *testing.T) {
	if posix.UnderWine() {
		t.Skip("wine takes the error of a reset to itself: reading finds the end")
	}
	s, peer := pair(t, startLoop(t, ioloop.Config{}), "tcp", nil)
	c := s.NetConn()
	reset(t, peer)
	_, err := c.Read(make([]byte, 1))
	requireOp(t, err, "read", syscall.ECONNRESET)
	_, err = c.Write([]byte("x"))
	requireOp(t, err, "write", syscall.ECONNRESET)
}

// TestNetConnOfATransportWithoutAddresses has something to print.
func TestNetConnOfATransportWithoutAddresses(t *testing.T) {
	s, err := iostream.New(startLoop(t, ioloop.Config{}), struct{ iostream.Transport }{fullWire().Transport()}, nil)
	require.NoError(t, err)
	c := s.NetConn()
	require.Equal(t, "stream", c.RemoteAddr().String())
	require.Equal(t, "stream", c.LocalAddr().Network())
	require.NoError(t, c.Close())
}

// TestWithdrawnWrite: bytes that somebody else counts on stay.
func TestWithdrawnWrite(t *testing.T) {
	clock := new(ioloop.ManualClock)
	m := iostreamtest.NewWire(iostreamtest.Options{Window: 4})
	s, err := iostream.New(startLoop(t, ioloop.Config{Clock: clock}), m.Transport(), nil)
	require.NoError(t, err)
	c := s.NetConn()
	timesOut := func(text string, before func()) int {
		require.NoError(t, c.SetWriteDeadline(time.Now().Add(time.Hour)))
		result := make(chan int)
		mark := s.Mark() + int64(len(text))
		go func() {
			n, err := io.WriteString(c, text)
			requireOp(t, err, "write", os.ErrDeadlineExceeded)
			result <- n
		}()
		eventually(t, func() bool { return s.Mark() >= mark })
		before()
		clock.Advance(time.Hour)
		return receive(t, result)
	}

	require.Equal(t, 4, timesOut("12345678", func() {}))
	require.EqualValues(t, 4, s.Mark())
	require.Equal(t, 4, timesOut("ABCD", func() {
		_, err := s.Write([]byte("behind"))
		require.NoError(t, err)
	}), "not the last, so it will be sent")

	m.AddWindow(100)
	require.NoError(t, s.SetWriteDeadline(time.Time{}))
	require.NoError(t, s.Flush(context.Background()))
	require.Equal(t, "1234ABCDbehind", m.Sent())
	require.NoError(t, s.Close())
}

// A Conn is what thousands of quiet connections are: its hold on the stream, and what net/http
// does to end a read, take no memory besides it.
func TestQuietConnIsSmall(t *testing.T) {
	l := startLoop(t, ioloop.Config{})
	s, peer := pair(t, l, "tcp", nil)
	conn := s.NetConn()
	require.NoError(t, conn.SetReadDeadline(time.Unix(1, 0)))
	_, err := conn.Read(make([]byte, 1))
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	require.NoError(t, conn.SetReadDeadline(time.Time{}))
	send(t, peer, "x")
	_, err = conn.Read(make([]byte, 1))
	require.NoError(t, err)
	require.False(t, iostream.HasDetails(s))
}

// Whoever holds a stream holds it by himself, however many there are.
func TestHoldsAreCounted(t *testing.T) {
	l := startLoop(t, ioloop.Config{})
	s, peer := pair(t, l, "tcp", nil)
	conn := s.NetConn()
	releases := []func(){s.Hold(), func() { require.NoError(t, conn.CloseRead()) }, s.Hold()}
	read := make(chan error, 1)
	require.NoError(t, s.Handle(iostream.Bytes(1), func(_ []byte, err error) bool { read <- err; return false }))
	send(t, peer, "x")
	require.NoError(t, receive(t, read))
	for _, release := range releases {
		release()
		release()
		quiet(t, l)
		_, err := s.Write([]byte("y"))
		require.NoError(t, err)
	}
	require.NoError(t, conn.Close())
	require.NoError(t, s.WaitClosed(patient(t)))
}
