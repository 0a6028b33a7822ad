//go:build unix

package iostream_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
	"github.com/stretchr/testify/require"
)

// relayed is a relay between two streams, and their peers.
type relayed struct {
	a, b         *iostream.Stream
	client, back net.Conn
	outcome      chan relayOutcome
}

type relayOutcome struct {
	counts iostream.RelayCounts
	err    error
}

// relayStyles are the ways in which a relay is begun.
var relayStyles = map[string]func(*iostream.Stream, *iostream.Stream, chan relayOutcome) error{
	"callback": func(a, b *iostream.Stream, done chan relayOutcome) error {
		return iostream.RelayFunc(a, b, func(c iostream.RelayCounts, err error) { done <- relayOutcome{c, err} })
	},
	"task": func(a, b *iostream.Stream, done chan relayOutcome) error {
		return a.Loop().Go(func(t *ioloop.Task) {
			c, err := iostream.Relay(t, a, b)
			done <- relayOutcome{c, err}
		})
	},
	"goroutine": func(a, b *iostream.Stream, done chan relayOutcome) error {
		go func() {
			c, err := iostream.Relay(context.Background(), a, b)
			done <- relayOutcome{c, err}
		}()
		return nil
	},
}

// relayKinds are what the two streams are: a network each, on one loop or on two.
var relayKinds = map[string]struct {
	a, b     string
	twoLoops bool
}{
	"tcp-tcp":           {"tcp", "tcp", false},
	"unix-tcp":          {"unix", "tcp", false},
	"tcp-unix":          {"tcp", "unix", false},
	"tcp-tcp-two-loops": {"tcp", "tcp", true},
	"tls1.3-tcp":        {"tls1.3", "tcp", false},
}

// relayEnd returns a stream and its peer.
func relayEnd(t *testing.T, l *ioloop.Loop, network string) (*iostream.Stream, net.Conn) {
	if tlsVersions[network] != 0 {
		s, _, peer := netPair(t, l, network)
		return s, peer
	}
	return pair(t, l, network, nil)
}

func eachRelay(t *testing.T, run func(t *testing.T, r *relayed)) {
	for kindName, kind := range relayKinds {
		for styleName, begin := range relayStyles {
			t.Run(kindName+"/"+styleName, func(t *testing.T) {
				l := startLoop(t, ioloop.Config{})
				other := l
				if kind.twoLoops {
					other = startLoop(t, ioloop.Config{})
				}
				r := &relayed{outcome: make(chan relayOutcome, 1)}
				r.a, r.client = relayEnd(t, l, kind.a)
				r.b, r.back = relayEnd(t, other, kind.b)
				require.NoError(t, begin(r.a, r.b, r.outcome))
				run(t, r)
			})
		}
	}
}

func randomText(t *testing.T, size int) []byte {
	text := make([]byte, size)
	_, err := rand.Read(text)
	require.NoError(t, err)
	return text
}

// TestRelay sends much one way, little the other, and ends one direction after the
// other.
func TestRelay(t *testing.T) {
	eachRelay(t, func(t *testing.T, r *relayed) {
		up, down := randomText(t, 5<<20+17), randomText(t, 3<<20+5)
		go func() {
			_, _ = r.client.Write(up)
			closeWrite(t, r.client)
		}()
		got, err := io.ReadAll(r.back)
		require.NoError(t, err)
		require.True(t, bytes.Equal(up, got), "%d bytes of %d", len(got), len(up))
		go func() { // the other direction goes on
			_, _ = r.back.Write(down)
			closeWrite(t, r.back)
		}()
		got, err = io.ReadAll(r.client)
		require.NoError(t, err)
		require.True(t, bytes.Equal(down, got), "%d bytes of %d", len(got), len(down))
		o := receive(t, r.outcome)
		require.NoError(t, o.err)
		require.Equal(t, iostream.RelayCounts{
			AToB: iostream.RelayCount{Read: int64(len(up)), Written: int64(len(up))},
			BToA: iostream.RelayCount{Read: int64(len(down)), Written: int64(len(down))},
		}, o.counts)
		require.Error(t, r.a.Err())
		require.Error(t, r.b.Err())
	})
}

// TestRelayBothWaysAtOnce has a client that sends all before it reads, and a server
// that sends much meanwhile: if a stream were not read because its own backlog is
// large, neither would get on.
func TestRelayBothWaysAtOnce(t *testing.T) {
	eachRelay(t, func(t *testing.T, r *relayed) {
		text := randomText(t, 16<<20)
		go func() {
			_, _ = r.back.Write(text)
			closeWrite(t, r.back)
		}()
		require.Eventually(t, func() bool { return r.a.Backlog() > 0 }, patience, time.Millisecond)
		results := make(chan []byte, 2)
		go func() {
			got, _ := io.ReadAll(r.back)
			results <- got
		}()
		go func() {
			_, _ = r.client.Write(text)
			closeWrite(t, r.client)
			got, _ := io.ReadAll(r.client)
			results <- got
		}()
		for range 2 {
			require.True(t, bytes.Equal(text, receive(t, results)))
		}
		require.NoError(t, receive(t, r.outcome).err)
	})
}

// TestRelayHoldsBack does not read on when the other peer does not.
func TestRelayHoldsBack(t *testing.T) {
	eachRelay(t, func(t *testing.T, r *relayed) {
		text := randomText(t, 32<<20)
		go func() { _, _ = r.client.Write(text) }()
		buf := make([]byte, 1)
		_, err := io.ReadFull(r.back, buf)
		require.NoError(t, err)
		require.Never(t, func() bool {
			return r.b.Backlog() > iostream.DefaultHighWaterMark+2<<20
		}, 50*time.Millisecond, time.Millisecond)
		awaitStuck(t, r.b)
		require.Less(t, r.b.Mark(), int64(len(text)), "the sockets' buffers are smaller")
		require.NoError(t, r.client.Close())
		_ = r.back.Close()
		o := receive(t, r.outcome)
		require.Error(t, o.err)
		require.GreaterOrEqual(t, o.counts.AToB.Read, o.counts.AToB.Written)
		require.Error(t, o.counts.AToB.Err)
	})
}

// TestRelayReset passes a reset on, as an end that is not in good order, and counts
// what was lost.
func TestRelayReset(t *testing.T) {
	for styleName, begin := range relayStyles {
		t.Run(styleName, func(t *testing.T) {
			l := startLoop(t, ioloop.Config{})
			a, client := pair(t, l, "tcp", nil)
			b, back := pair(t, l, "tcp", nil)
			done := make(chan relayOutcome, 1)
			require.NoError(t, begin(a, b, done))
			_, err := client.Write([]byte("part of a message"))
			require.NoError(t, err)
			buf := make([]byte, 17)
			_, err = io.ReadFull(back, buf)
			require.NoError(t, err)
			wrote := make(chan error, 1)
			go func() { _, err := client.Write(make([]byte, 32<<20)); wrote <- err }()
			awaitStuck(t, b)
			require.NoError(t, back.(*net.TCPConn).SetLinger(0))
			require.NoError(t, back.Close())
			o := receive(t, done)
			require.ErrorIs(t, o.err, syscall.ECONNRESET)
			require.ErrorIs(t, o.counts.AToB.Err, syscall.ECONNRESET)
			require.False(t, errors.As(o.counts.AToB.Err, new(*iostream.Error)), "no call of the program's has failed")
			require.Greater(t, o.counts.AToB.Read, o.counts.AToB.Written, "what waited is told of")
			require.Error(t, receive(t, wrote), "the other peer sees no good end")
		})
	}
}

// TestRelayOfHalfAnAnswer has a reset look like one to the other peer, though all
// that had come was passed on.
func TestRelayOfHalfAnAnswer(t *testing.T) {
	l := startLoop(t, ioloop.Config{})
	a, client := pair(t, l, "tcp", nil)
	b, back := pair(t, l, "tcp", nil)
	done := make(chan relayOutcome, 1)
	require.NoError(t, relayStyles["callback"](a, b, done))
	_, err := back.Write([]byte("half"))
	require.NoError(t, err)
	buf := make([]byte, 4)
	_, err = io.ReadFull(client, buf)
	require.NoError(t, err)
	require.NoError(t, back.(*net.TCPConn).SetLinger(0))
	require.NoError(t, back.Close())
	_, err = client.Read(buf)
	require.ErrorIs(t, err, syscall.ECONNRESET)
	require.ErrorIs(t, receive(t, done).err, syscall.ECONNRESET)
}

func TestRelayClosedAtOnce(t *testing.T) {
	for styleName, begin := range relayStyles {
		for name, end := range map[string]func(*iostream.Stream){
			"close": func(s *iostream.Stream) { _ = s.Close() },
			"abort": func(s *iostream.Stream) { s.Abort(errors.New("enough")) },
		} {
			t.Run(styleName+"/"+name, func(t *testing.T) {
				l := startLoop(t, ioloop.Config{})
				a, client := pair(t, l, "tcp", nil)
				b, back := pair(t, l, "tcp", nil)
				end(a)
				done := make(chan relayOutcome, 1)
				require.NoError(t, begin(a, b, done))
				require.NoError(t, client.Close())
				require.NoError(t, back.Close())
				o := receive(t, done)
				require.Error(t, o.err)
				require.Zero(t, o.counts.AToB.Read)
			})
		}
	}
}

func TestRelayMisuse(t *testing.T) {
	l := startLoop(t, ioloop.Config{})
	a, client := pair(t, l, "tcp", nil)
	b, _ := pair(t, l, "tcp", nil)
	ctx := patient(t)
	_, err := iostream.Relay(ctx, a, a)
	require.ErrorIs(t, err, iostream.ErrInvalid)
	_, err = iostream.Relay(ctx, a, nil)
	require.ErrorIs(t, err, iostream.ErrInvalid)
	require.ErrorIs(t, iostream.RelayFunc(a, b, nil), iostream.ErrInvalid)

	read := make(chan error, 1)
	require.NoError(t, b.ReadFunc(iostream.Bytes(1), func(_ []byte, err error) { read <- err }))
	_, err = iostream.Relay(ctx, a, b)
	require.ErrorIs(t, err, iostream.ErrReadPending)
	_, err = client.Write([]byte("x"))
	require.NoError(t, err)
	got, err := a.Read(ctx, iostream.Bytes(1))
	require.NoError(t, err, "nothing has changed")
	require.Equal(t, "x", string(got))
}

func TestRelayUntilContext(t *testing.T) {
	l := startLoop(t, ioloop.Config{})
	a, client := pair(t, l, "tcp", nil)
	b, back := pair(t, l, "tcp", nil)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { _, err := iostream.Relay(ctx, a, b); done <- err }()
	_, err := client.Write([]byte("hello"))
	require.NoError(t, err)
	buf := make([]byte, 5)
	_, err = io.ReadFull(back, buf)
	require.NoError(t, err)
	cancel()
	require.ErrorIs(t, receive(t, done), context.Canceled)
	require.ErrorIs(t, a.Err(), context.Canceled)
	require.ErrorIs(t, b.Err(), context.Canceled)
}

// TestRelayAfterHeader begins within the function of a Handle, with the bytes that
// have come behind the header.
func TestRelayAfterHeader(t *testing.T) {
	l := startLoop(t, ioloop.Config{})
	a, client := pair(t, l, "tcp", nil)
	b, back := pair(t, l, "tcp", nil)
	done := make(chan error, 1)
	require.NoError(t, a.Handle(iostream.Until("\n"), func(p []byte, err error) bool {
		if err == nil {
			err = iostream.RelayFunc(a, b, func(_ iostream.RelayCounts, err error) { done <- err })
		}
		if err != nil {
			done <- err
		}
		return true
	}))
	_, err := client.Write([]byte("header\nbody"))
	require.NoError(t, err)
	closeWrite(t, client)
	got, err := io.ReadAll(back)
	require.NoError(t, err)
	require.Equal(t, "body", string(got))
	require.NoError(t, back.Close())
	require.NoError(t, receive(t, done))
}
