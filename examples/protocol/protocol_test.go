package main

import (
	"io"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/eddyloop/eddy/examples/internal/trial"
	"github.com/eddyloop/eddy/iostream"
	"github.com/eddyloop/eddy/iostreamtest"
	"github.com/eddyloop/eddy/tcp"
)

const (
	votes   = "\x03ann\x03bob\x03ann"
	answers = "\x00\x00\x00\x01\x00\x00\x00\x01\x00\x00\x00\x02"
)

// connection is a simulated one to the server.
type connection struct {
	*iostreamtest.Wire
	*iostreamtest.World
	stream *iostream.Stream
}

func connect(t *testing.T, options iostreamtest.Options) connection {
	c := connection{Wire: iostreamtest.NewWire(options), World: iostreamtest.NewWorld()}
	t.Cleanup(func() { require.NoError(t, c.World.Close()) })
	var err error
	c.stream, err = c.Serve(new(poll).server(), c.Wire)
	require.NoError(t, err)
	return c
}

// Whatever pieces the bytes come and go in, and whenever, the answers are the same.
func TestEveryChunking(t *testing.T) {
	for seed := range uint64(300) {
		c := connect(t, iostreamtest.Options{Seed: seed + 1})
		c.Arrive([]byte(votes))
		c.FIN()
		for range 3 {
			require.NoError(t, c.Advance(pause))
		}
		require.Equal(t, answers, c.Sent(), "seed %d", seed)
		require.True(t, c.stream.Err() != nil, "seed %d", seed)
		require.ErrorIs(t, c.stream.Err(), io.EOF, "seed %d", seed)
	}
}

func TestVotesAreNoFlood(t *testing.T) {
	c := connect(t, iostreamtest.Options{})
	c.Arrive([]byte(votes))
	require.NoError(t, c.Settle())
	for n := range 4 {
		require.Equal(t, answers[:4*n], c.Sent())
		require.NoError(t, c.Advance(pause))
	}
}

func TestBadRequestsEndTheConnection(t *testing.T) {
	for _, test := range []struct {
		name, request string
		reason        error
	}{
		{"empty name", "\x00", errName},
		{"no UTF-8", "\x01\xff", errName},
		{"too long", "\x65", iostream.ErrTooLong},
		{"end within a name", "\x03an", io.ErrUnexpectedEOF},
		{"end before it", "\x03", io.ErrUnexpectedEOF},
		{"end between names", "", io.EOF},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := connect(t, iostreamtest.Options{})
			c.Arrive([]byte(test.request))
			c.FIN()
			require.NoError(t, c.Settle())
			require.Error(t, c.stream.Err())
			require.ErrorIs(t, c.stream.Err(), test.reason)
			require.Empty(t, c.Sent())
		})
	}
}

// A client that resets its connection has voted all the same.
func TestReset(t *testing.T) {
	c := connect(t, iostreamtest.Options{})
	c.Arrive([]byte("\x03ann"))
	require.NoError(t, c.Settle())
	c.Reset(syscall.ECONNRESET)
	require.NoError(t, c.Advance(pause))
	require.ErrorIs(t, c.stream.Err(), syscall.ECONNRESET)
}

// Clients that say nothing, not enough, or take no answer do not stay.
func TestClocks(t *testing.T) {
	silent := connect(t, iostreamtest.Options{})
	require.NoError(t, silent.Advance(idleTimeout/2))
	require.Zero(t, silent.State().FINs)
	require.NoError(t, silent.Advance(idleTimeout))
	require.Equal(t, 1, silent.State().FINs)
	silent.FIN()
	require.NoError(t, silent.Settle())
	require.ErrorIs(t, silent.stream.Err(), iostream.ErrIdle)

	slow := connect(t, iostreamtest.Options{})
	slow.Arrive([]byte("\x03a"))
	require.NoError(t, slow.Advance(2*tcp.DefaultMessageTimeout))
	slow.FIN()
	require.NoError(t, slow.Settle())
	require.ErrorIs(t, slow.stream.Err(), iostream.ErrMessageTimeout)

	deaf := connect(t, iostreamtest.Options{Window: iostreamtest.NoWindow})
	deaf.Arrive([]byte(votes))
	require.NoError(t, deaf.Advance(pause))
	require.NoError(t, deaf.Advance(3*tcp.DefaultSendTimeout))
	require.ErrorIs(t, deaf.stream.Err(), iostream.ErrSendTimeout)
}

// And once with a real client.
func TestNetcat(t *testing.T) {
	host, port, _ := strings.Cut(trial.Serve(t, new(poll).server()), ":")
	require.Equal(t, answers, trial.Ask(t, votes, "nc", "-N", host, port))
}
