//go:build unix || windows

package iostream_test

import (
	"io"
	"testing"

	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
	"github.com/stretchr/testify/require"
)

// TestEndReadByAGoroutineClosesTheStream has a stream of which both sides have ended closed,
// though no event tells the loop of what a goroutine has read.
func TestEndReadByAGoroutineClosesTheStream(t *testing.T) {
	endReadByAGoroutine(t, func(t *testing.T, s *iostream.Stream) {
		for _, want := range []error{nil, io.EOF} {
			_, err := s.ReadAtLeast(patient(t), make([]byte, 1), 1)
			requireIs(t, err, want)
		}
	})
}

func endReadByAGoroutine(t *testing.T, read func(t *testing.T, s *iostream.Stream)) {
	eachSocket(t, func(t *testing.T, network string) {
		s, peer := pair(t, startLoop(t, ioloop.Config{}), network, nil)
		require.NoError(t, s.CloseWrite())
		_, err := io.ReadAll(peer)
		require.NoError(t, err)
		send(t, peer, "x")
		closeWrite(t, peer)
		announced(t, s)
		require.NoError(t, s.WaitReadClosed(patient(t)))
		quiet(t, s.Loop())
		read(t, s)
		require.NoError(t, s.WaitClosed(patient(t)))
		require.Equal(t, io.EOF, s.Err())
	})
}

// TestReadThatComesShortIsTheLast has the next read wait for the loop, and not ask the kernel in
// vain, when one has brought less than there was room for.
func TestReadThatComesShortIsTheLast(t *testing.T) {
	eachSocket(t, func(t *testing.T, network string) {
		s, peer := pair(t, startLoop(t, ioloop.Config{}), network, nil)
		read := make(chan error, 1)
		go func() { _, err := s.ReadAtLeast(patient(t), make([]byte, 4), 4); read <- err }()
		awaitRead(t, s)
		send(t, peer, "full")
		require.NoError(t, receive(t, read))
		require.True(t, iostream.KnowsOfInput(s), "there may be more")
		quiet(t, s.Loop())
		release := holdLoop(t, s.Loop())
		defer release()
		send(t, peer, "12")
		n, err := s.ReadAtLeast(patient(t), make([]byte, 4), 1)
		require.NoError(t, err)
		require.Equal(t, 2, n)
		require.False(t, iostream.KnowsOfInput(s))
	})
}
