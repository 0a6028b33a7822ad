//go:build unix || windows

package iostream_test

import (
	"strings"
	"syscall"
	"testing"

	"github.com/eddyloop/eddy/internal/posix"
	"github.com/eddyloop/eddy/internal/streamhook"
	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
	"github.com/stretchr/testify/require"
)

func TestIdleStreamNoticesTheEnd(t *testing.T) {
	if posix.UnderWine() {
		t.Skip("wine tells the end behind unread data when these are read")
	}
	eachInput(t, func(t *testing.T, network string) {
		s, peer := pair(t, startLoop(t, ioloop.Config{}), network, nil)
		require.NoError(t, peer.Close())
		require.NoError(t, s.WaitReadClosed(patient(t)))
	})
}

func TestIdleStreamNoticesAReset(t *testing.T) {
	if posix.UnderWine() {
		t.Skip("wine takes the error of a reset to itself: reading finds the end")
	}
	s, peer := pair(t, startLoop(t, ioloop.Config{}), "tcp", nil)
	reset(t, peer)
	require.NoError(t, s.WaitClosed(patient(t)))
	require.ErrorIs(t, s.Err(), syscall.ECONNRESET)
	_, err := s.Read(patient(t), iostream.Bytes(1))
	requireIs(t, err, syscall.ECONNRESET)
}

// TestCloseWatchConsumesNothing: the end is noticed behind bytes that nobody
// has asked for, and they are still there.
func TestCloseWatchConsumesNothing(t *testing.T) {
	if posix.UnderWine() {
		t.Skip("wine tells the end behind unread data when these are read")
	}
	eachInput(t, func(t *testing.T, network string) {
		s, peer := pair(t, startLoop(t, ioloop.Config{}), network, nil)
		noticed := make(chan struct{})
		_ = s.WaitReadClosedFunc(func() { close(noticed) })
		send(t, peer, "unread")
		require.NoError(t, peer.Close())
		receive(t, noticed)
		require.True(t, streamhook.ReadClosed(s))
		require.NoError(t, s.Err())
		require.Zero(t, s.Buffered())
		data, err := s.Read(patient(t), iostream.UntilClose())
		require.NoError(t, err)
		require.Equal(t, "unread", string(data))
		require.NoError(t, s.Close())
		require.NoError(t, s.WaitClosed(patient(t)))
	})
}

// TestCloseWatchThatFiresForARead: the end is told once. A read that is there by
// then, and that the bytes before the end satisfy, must not use that up.
func TestCloseWatchThatFiresForARead(t *testing.T) {
	eachInput(t, func(t *testing.T, network string) {
		s, peer := pair(t, startLoop(t, ioloop.Config{}), network, nil)
		quiet(t, s.Loop()) // it listens for the end alone
		got := make(chan result, 1)
		onLoop(t, s.Loop(), func() {
			send(t, peer, "abc")
			require.NoError(t, peer.Close())
			require.NoError(t, s.ReadFunc(iostream.Bytes(3), func(b []byte, err error) { got <- bytesResult(b, err) }))
		})
		require.Equal(t, "abc", receive(t, got).data)
		require.NoError(t, s.WaitReadClosed(patient(t)))
	})
}

// TestUnwantedInputDoesNotSpin: a peer that sends to a stream nobody reads
// costs one look.
func TestUnwantedInputDoesNotSpin(t *testing.T) {
	s, peer := pair(t, startLoop(t, ioloop.Config{}), "tcp", nil)
	require.Equal(t, "a\n", func() string {
		send(t, peer, "a\n")
		return receive(t, faces[0].read(t, s, until("\n", 0))).data
	}())
	before := s.Loop().Stats().Events
	for range 20 {
		send(t, peer, strings.Repeat("x", 1000))
		quiet(t, s.Loop())
	}
	quiet(t, s.Loop())
	require.Less(t, s.Loop().Stats().Events-before, uint64(10))
	require.Zero(t, s.Buffered())
}

func TestReset(t *testing.T) {
	if posix.UnderWine() {
		t.Skip("wine takes the error of a reset to itself: reading finds the end")
	}
	eachFace(t, func(t *testing.T, f face) {
		s, peer := pair(t, startLoop(t, ioloop.Config{}), "tcp", nil)
		pending := f.read(t, s, until("\n", 0))
		send(t, peer, "part")
		for s.Buffered() < 4 {
			onLoop(t, s.Loop(), func() {})
		}
		reset(t, peer)
		requireIs(t, receive(t, pending).err, syscall.ECONNRESET)
		require.NoError(t, s.WaitClosed(patient(t)))
		require.Equal(t, "part", receive(t, f.read(t, s, exactly(4))).data, "buffered bytes stay readable")
		requireIs(t, receive(t, f.read(t, s, exactly(1))).err, syscall.ECONNRESET)
	})
}

func TestResetTellsUntilCloseWithTheData(t *testing.T) {
	if posix.UnderWine() {
		t.Skip("wine takes the error of a reset to itself: reading finds the end")
	}
	eachFace(t, func(t *testing.T, f face) {
		s, peer := pair(t, startLoop(t, ioloop.Config{}), "tcp", nil)
		pending := f.read(t, s, untilClose(0))
		send(t, peer, "part")
		for s.Buffered() < 4 {
			onLoop(t, s.Loop(), func() {})
		}
		reset(t, peer)
		r := receive(t, pending)
		requireIs(t, r.err, syscall.ECONNRESET)
		require.Equal(t, "part", r.data)
	})
}

func TestResetFailsWrites(t *testing.T) {
	s, peer := pair(t, startLoop(t, ioloop.Config{}), "tcp", nil)
	_, err := s.Write(make([]byte, 12<<20))
	require.NoError(t, err)
	pending := waitSent(s, s.Mark())
	reset(t, peer)
	requireIs(t, receive(t, pending), syscall.ECONNRESET)
}

// TestResetBehindTheEnd: a connection that only writes any more tells that it
// has broken, without a write that finds out.
func TestResetBehindTheEnd(t *testing.T) {
	if posix.UnderWine() {
		t.Skip("wine takes the error of a reset to itself: reading finds the end")
	}
	for _, network := range []string{"tcp", "tls1.2", "tls1.3"} {
		t.Run(network, func(t *testing.T) {
			s, peer := pair(t, startLoop(t, ioloop.Config{}), network, nil)
			closeWrite(t, peer)
			_, err := s.Read(patient(t), iostream.UntilClose())
			require.NoError(t, err)
			quiet(t, s.Loop())
			require.NoError(t, s.Err())
			reset(t, peer)
			require.NoError(t, s.WaitClosed(patient(t)))
			require.True(t, isAny(s.Err(), syscall.EPIPE, syscall.ECONNRESET), "%v", s.Err())
		})
	}
}
