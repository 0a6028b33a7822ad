package iostream_test

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"

	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
	"github.com/stretchr/testify/require"
)

// bulkRelay is a relay between plain sockets that takes what comes next for bulk.
func bulkRelay(t *testing.T, l *ioloop.Loop) *relayed { return bulkRelayTo(t, l, "tcp") }

func bulkRelayTo(t *testing.T, l *ioloop.Loop, network string) *relayed {
	t.Helper()
	r := &relayed{outcome: make(chan relayOutcome, 1)}
	r.a, r.client = pair(t, l, "tcp", nil)
	r.b, r.back = pair(t, l, network, nil)
	require.NoError(t, relayStyles["callback"](r.a, r.b, r.outcome))
	onLoop(t, l, func() { iostream.MakeBulk(r.a) })
	return r
}

// splices reports whether the next bytes from a to b go through a pipe.
func (r *relayed) splices(t *testing.T) (is bool) {
	onLoop(t, r.a.Loop(), func() { is = iostream.Splices(r.a) })
	return is
}

// TestRelayWithoutPipesReads asks for no pipe again before there has been bulk.
func TestRelayWithoutPipesReads(t *testing.T) {
	r := bulkRelay(t, startLoop(t, ioloop.Config{}))
	withoutPipes(t)
	send(t, r.client, "x")
	expect(t, r.back, "x")
	require.False(t, r.splices(t))
}

// TestRelayToTLSReads tries a pipe once.
func TestRelayToTLSReads(t *testing.T) {
	r := bulkRelayTo(t, startLoop(t, ioloop.Config{}), "tls1.3")
	send(t, r.client, "x")
	expect(t, r.back, "x")
	onLoop(t, r.a.Loop(), func() { iostream.MakeBulk(r.a) })
	require.False(t, r.splices(t))
}

// TestRelayRestsWhileItsPipeIsFull does not look again and again whether there is room.
func TestRelayRestsWhileItsPipeIsFull(t *testing.T) {
	r := stuckRelay(t, false, randomText(t, 32<<20))
	awaitStuck(t, r.b)
	require.Equal(t, 1, iostream.Waiting(r.b), "one who waits for room")
	turns := func() uint64 { quiet(t, r.b.Loop()); return r.b.Loop().Stats().Turns }
	before := turns()
	require.Less(t, turns()-before, uint64(100))
	_ = r.client.Close()
	_ = r.back.Close()
	require.Error(t, receive(t, r.outcome).err)
}

// TestRelayBreaksOffWhenItCannotPassOn lets no peer take what was cut off for the whole.
func TestRelayBreaksOffWhenItCannotPassOn(t *testing.T) {
	cases := map[string]struct {
		before func(t *testing.T, r *relayed)
		want   error
	}{
		"past a deadline": {func(t *testing.T, r *relayed) { require.NoError(t, r.b.SetWriteDeadline(past)) }, os.ErrDeadlineExceeded},
		"behind another's write": {func(t *testing.T, r *relayed) {
			_, err := r.b.Write(make([]byte, 8<<20)) // more than the kernel takes
			require.NoError(t, err)
			require.Positive(t, r.b.Backlog())
		}, net.ErrClosed},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			l := startLoop(t, ioloop.Config{})
			r := bulkRelay(t, l)
			input := newCopySource(t)
			c.before(t, r)
			keepMemory(t)
			release := holdLoop(t, l) // so that b stays as it is
			for range 40 {            // more pipes than a process has
				input.arrives(t, "x")
				iostream.PassRelayPipe(r.a, input.limit)
			}
			release()
			_, err := r.client.Read(make([]byte, 1))
			require.ErrorIs(t, err, syscall.ECONNRESET)
			_, err = io.Copy(io.Discard, r.back)
			require.ErrorIs(t, err, syscall.ECONNRESET)
			o := receive(t, r.outcome)
			require.ErrorIs(t, o.err, c.want)
			require.ErrorIs(t, o.counts.AToB.Err, c.want)
			require.False(t, errors.Is(o.err, iostream.ErrWouldBlock))
		})
	}
}

// TestPipesOfRelaysAreGivenBack has relays that end in bulk need no more pipes than are in use at
// once, whenever memory is collected.
func TestPipesOfRelaysAreGivenBack(t *testing.T) {
	l := startLoop(t, ioloop.Config{})
	keepMemory(t)
	for range 40 {
		r := bulkRelay(t, l)
		require.NoError(t, r.client.Close())
		require.NoError(t, r.back.Close())
		require.NoError(t, receive(t, r.outcome).err)
	}
	requirePipe(t)
}

// TestPipeNeedNotWaitForWhatWasPutOff has small writes sent at once that would only have waited for
// the end of the turn: bulk need not stop for them.
func TestPipeNeedNotWaitForWhatWasPutOff(t *testing.T) {
	l := startLoop(t, ioloop.Config{})
	s, peer := pair(t, l, "tcp", nil)
	quiet(t, l)
	onLoop(t, l, func() {
		_, err := s.WriteString("put off")
		require.NoError(t, err)
		require.Positive(t, s.Backlog())
		takes, waits, err := iostream.TakesPipe(s)
		require.NoError(t, err)
		require.True(t, takes)
		require.False(t, waits)
	})
	expect(t, peer, "put off")
}
