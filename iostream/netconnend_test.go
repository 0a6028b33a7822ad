//go:build unix || windows

package iostream_test

import (
	"context"
	"io"
	"net"
	"testing"

	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
	"github.com/stretchr/testify/require"
)

// fullStream is a stream whose peer takes nothing.
func fullStream(t *testing.T) (*iostream.Stream, func() int) {
	wire := fullWire()
	s, err := iostream.New(startLoop(t, ioloop.Config{}), wire.Transport(), nil)
	require.NoError(t, err)
	return s, func() int { return wire.State().FINs }
}

// TestClosedConnSaysSoAgain to everybody who reads.
func TestClosedConnSaysSoAgain(t *testing.T) {
	s, _ := fullStream(t)
	conn := s.NetConn()
	require.NoError(t, conn.Close())
	done := make(chan error, 2)
	go func() {
		for range cap(done) {
			_, err := conn.Read(make([]byte, 1))
			done <- err
		}
	}()
	for range cap(done) {
		require.ErrorIs(t, receive(t, done), net.ErrClosed)
	}
}

// TestConnCloseWriteOfAStreamThatHasEnded fails unless it ended in good order.
func TestConnCloseWriteOfAStreamThatHasEnded(t *testing.T) {
	s, _ := fullStream(t)
	conn := s.NetConn()
	s.Abort(errPlayed)
	require.ErrorIs(t, conn.CloseWrite(), errPlayed)
	for _, reason := range []error{io.EOF, net.ErrClosed} {
		s, _ := fullStream(t)
		conn := s.NetConn()
		s.Abort(reason)
		require.NoError(t, conn.CloseWrite())
	}
}

// TestWithdrawnWriteLetsTheEndOut: nothing is before the end of the stream any more.
func TestWithdrawnWriteLetsTheEndOut(t *testing.T) {
	s, fins := fullStream(t)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { _, err := s.IO(ctx).Write(make([]byte, 32<<10)); done <- err }()
	eventually(t, func() bool { return iostream.Waiting(s) == 1 })
	require.NoError(t, s.CloseWrite())
	quiet(t, s.Loop())
	require.Zero(t, fins())
	cancel()
	require.ErrorIs(t, receive(t, done), context.Canceled)
	eventually(t, func() bool { return fins() == 1 })
}

// TestIOWriteWaitsForLargeWritesOnly.
func TestIOWriteWaitsForLargeWritesOnly(t *testing.T) {
	s, _ := fullStream(t)
	done := make(chan error, 1)
	write := func(n int) { _, err := s.IO(context.Background()).Write(make([]byte, n)); done <- err }
	go write(16 << 10)
	require.NoError(t, receive(t, done))
	go write(16<<10 + 1)
	eventually(t, func() bool { return iostream.Waiting(s) == 1 })
	s.Abort(errPlayed)
	require.ErrorIs(t, receive(t, done), errPlayed)
}
