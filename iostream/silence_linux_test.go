package iostream_test

import (
	"io"
	"net"
	"testing"
	"time"

	"github.com/eddyloop/eddy/iostream"
	"github.com/stretchr/testify/require"
)

// TestInputEndsTheSilence keeps a stream open whose peer sends, whatever way its bytes take.
func TestInputEndsTheSilence(t *testing.T) {
	// Each begins with a stream, and returns what has a byte of the peer's received.
	ways := map[string]func(t *testing.T, s *iostream.Stream, peer net.Conn) func(){
		"read by a goroutine": func(t *testing.T, s *iostream.Stream, peer net.Conn) func() {
			return func() {
				require.True(t, iostream.KnowsOfInput(s))
				_, err := s.ReadAtLeast(patient(t), make([]byte, 10), 1)
				require.NoError(t, err)
			}
		},
		"copied through a pipe": func(t *testing.T, s *iostream.Stream, peer net.Conn) func() {
			c := iostream.StepsOfCopy(s.IO(patient(t)))
			return func() { require.Equal(t, 1, c.Receive()) }
		},
		"behind a part of a message": func(t *testing.T, s *iostream.Stream, peer net.Conn) func() {
			require.NoError(t, s.ReadFunc(iostream.Bytes(100), func([]byte, error) {}))
			await := func(n int) { eventually(t, func() bool { return s.Buffered() == n }) }
			await(1)
			return func() { send(t, peer, "x"); await(2) }
		},
	}
	for name, way := range ways {
		t.Run(name, func(t *testing.T) {
			l, clock := clocked(t)
			s, peer := pair(t, l, "tcp", nil)
			readByLoop(t, s, peer)
			send(t, peer, "x")
			announced(t, s)
			receives := way(t, s, peer)
			require.NoError(t, s.SetIdleTimeout(time.Minute))
			pass := func(d time.Duration) { clock.Advance(d); quiet(t, l) }
			pass(40 * time.Second)
			receives()
			pass(40 * time.Second)
			require.False(t, iostream.IsClosing(s))
			pass(40 * time.Second)
			require.True(t, iostream.IsClosing(s))
		})
	}
}

// TestRelayedBulkEndsTheSilence has what goes through a pipe count as well.
func TestRelayedBulkEndsTheSilence(t *testing.T) {
	l, clock := clocked(t)
	r := bulkRelay(t, l)
	require.NoError(t, r.a.SetIdleTimeout(time.Minute))
	for range 4 {
		clock.Advance(40 * time.Second)
		quiet(t, l)
		send(t, r.client, "still here")
		expect(t, r.back, "still here")
		require.True(t, r.splices(t))
	}
	clock.Advance(80 * time.Second)
	_, err := r.client.Read(make([]byte, 1))
	require.Equal(t, io.EOF, err)
	require.NoError(t, r.back.Close())
	require.NoError(t, r.client.Close())
	require.ErrorIs(t, receive(t, r.outcome).err, iostream.ErrIdle)
}
