package iostream_test

import (
	"bytes"
	"io"
	"net"
	"testing"
	"time"

	"github.com/eddyloop/eddy/internal/socket"
	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// stuckRelay is a relay between plain sockets that has more than the peer of b takes: a part
// of text waits in a pipe. The kernel has a part too.
func stuckRelay(t *testing.T, twoLoops bool, text []byte) *relayed {
	l := startLoop(t, ioloop.Config{})
	other := l
	if twoLoops {
		other = startLoop(t, ioloop.Config{})
	}
	r := &relayed{outcome: make(chan relayOutcome, 1)}
	r.a, r.client = pair(t, l, "tcp", nil)
	r.b, r.back = pair(t, other, "tcp", nil)
	require.NoError(t, iostream.RelayFunc(r.a, r.b, func(c iostream.RelayCounts, err error) { r.outcome <- relayOutcome{c, err} }))
	go func() {
		if _, err := r.client.Write(text); err == nil {
			_ = r.client.(*net.TCPConn).CloseWrite()
		}
	}()
	require.Eventually(t, func() bool { return iostream.Piped(r.b) > 0 }, patience, time.Millisecond)
	return r
}

func eachStuckRelay(t *testing.T, run func(t *testing.T, r *relayed, text []byte)) {
	for name, twoLoops := range map[string]bool{"one loop": false, "two loops": true} {
		t.Run(name, func(t *testing.T) {
			text := randomText(t, 32<<20)
			run(t, stuckRelay(t, twoLoops, text), text)
		})
	}
}

// TestRelayThroughAPipe has bulk wait in a pipe and not on the heap, be counted in the
// backlog, and arrive with the end behind it.
func TestRelayThroughAPipe(t *testing.T) {
	eachStuckRelay(t, func(t *testing.T, r *relayed, text []byte) {
		require.Eventually(t, func() bool {
			piped := iostream.Piped(r.b)
			return piped > 0 && r.b.Backlog() == piped
		}, patience, time.Millisecond)
		got, err := io.ReadAll(r.back)
		require.NoError(t, err)
		require.True(t, bytes.Equal(text, got), "%d bytes of %d", len(got), len(text))
		require.Zero(t, iostream.Piped(r.b))
		closeWrite(t, r.back)
		o := receive(t, r.outcome)
		require.NoError(t, o.err)
		require.EqualValues(t, len(text), o.counts.AToB.Read)
		require.EqualValues(t, len(text), o.counts.AToB.Written)
	})
}

// TestRelayBrokenWithAPipe accounts for each byte when something breaks while a pipe holds
// some.
func TestRelayBrokenWithAPipe(t *testing.T) {
	breaks := map[string]func(t *testing.T, r *relayed){
		"the reader resets":   func(t *testing.T, r *relayed) { reset(t, r.back) },
		"the sender resets":   func(t *testing.T, r *relayed) { reset(t, r.client) },
		"abort of the source": func(_ *testing.T, r *relayed) { r.a.Abort(nil) },
		"abort of the other":  func(_ *testing.T, r *relayed) { r.b.Abort(nil) },
		"close of the source": func(_ *testing.T, r *relayed) { _ = r.a.Close() },
		"write deadline":      func(_ *testing.T, r *relayed) { _ = r.b.SetWriteDeadline(past) },
	}
	for name, breakIt := range breaks {
		t.Run(name, func(t *testing.T) {
			eachStuckRelay(t, func(t *testing.T, r *relayed, text []byte) {
				breakIt(t, r)
				got := make(chan []byte, 1)
				go func() { b, _ := io.ReadAll(r.back); got <- b }()
				go func() { _, _ = io.Copy(io.Discard, r.client); _ = r.client.Close() }()
				b := receive(t, got)
				_ = r.back.Close()
				o := receive(t, r.outcome)
				require.Error(t, o.err)
				require.GreaterOrEqual(t, o.counts.AToB.Read, o.counts.AToB.Written)
				require.LessOrEqual(t, int64(len(b)), o.counts.AToB.Written)
				if name == "close of the source" { // in good order: what was read arrives
					require.EqualValues(t, o.counts.AToB.Read, len(b))
				}
				require.True(t, bytes.HasPrefix(text, b), "in order")
				require.Zero(t, iostream.Piped(r.b))
			})
		})
	}
}

// withoutPipes takes the pipes that are there, and lets the process have no further
// descriptors, until the test is over.
func withoutPipes(t *testing.T) {
	t.Helper()
	var limit unix.Rlimit
	require.NoError(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &limit))
	fd, err := unix.Dup(0) // the lowest that is free
	require.NoError(t, err)
	require.NoError(t, unix.Close(fd))
	low := limit
	low.Cur = uint64(fd)
	require.NoError(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &low))
	t.Cleanup(func() { require.NoError(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &limit)) })
	takePipes(t)
}

// TestRelayWithoutPipes copies when the process can have no further descriptors.
func TestRelayWithoutPipes(t *testing.T) {
	l := startLoop(t, ioloop.Config{})
	a, client := pair(t, l, "tcp", nil)
	b, back := pair(t, l, "tcp", nil)
	done := make(chan relayOutcome, 1)
	withoutPipes(t)
	require.NoError(t, iostream.RelayFunc(a, b, func(c iostream.RelayCounts, err error) { done <- relayOutcome{c, err} }))
	text := randomText(t, 16<<20)
	go func() { _, _ = client.Write(text); _ = client.(*net.TCPConn).CloseWrite() }()
	got, err := io.ReadAll(back)
	require.NoError(t, err)
	require.True(t, bytes.Equal(text, got))
	closeWrite(t, back)
	require.NoError(t, receive(t, done).err)
}

// TestRelayOfSmallMessagesCopies goes back to copying when what comes is small.
func TestRelayOfSmallMessagesCopies(t *testing.T) {
	text := randomText(t, 32<<20)
	l := startLoop(t, ioloop.Config{})
	r := &relayed{outcome: make(chan relayOutcome, 1)}
	r.a, r.client = pair(t, l, "tcp", nil)
	r.b, r.back = pair(t, l, "tcp", nil)
	require.NoError(t, iostream.RelayFunc(r.a, r.b, func(c iostream.RelayCounts, err error) { r.outcome <- relayOutcome{c, err} }))
	splices := func() bool { return r.splices(t) }
	require.False(t, splices())
	go func() { _, _ = r.client.Write(text) }()
	require.Eventually(t, splices, patience, time.Millisecond)
	_, err := io.CopyN(io.Discard, r.back, int64(len(text)))
	require.NoError(t, err)
	for range 16 {
		send(t, r.client, "small")
		expect(t, r.back, "small")
	}
	require.False(t, splices())
	closeWrite(t, r.client)
	closeWrite(t, r.back)
	require.NoError(t, receive(t, r.outcome).err)
}

// takePipes empties package socket's pool of pipes until the test is over.
func takePipes(t *testing.T) {
	var taken []*socket.Pipe
	for {
		p := socket.GetPipe()
		if p == nil {
			break
		}
		taken = append(taken, p)
	}
	t.Cleanup(func() {
		for _, p := range taken {
			p.Put()
		}
		taken = nil
	})
}
