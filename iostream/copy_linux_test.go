package iostream_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
	"github.com/stretchr/testify/require"
)

// copying is a copy that goes on, and the peers of its streams.
type copying struct {
	src, dst     *iostream.Conn
	client, back net.Conn
	outcome      chan copyOutcome
}

type copyOutcome struct {
	n   int64
	err error
}

func startCopy(t *testing.T, network string) *copying { return startCopyBy(t, network, "conns") }

// startCopyBy is startCopy in one of the styles of copies.
func startCopyBy(t *testing.T, network, style string) *copying {
	l := startLoop(t, ioloop.Config{})
	c := &copying{outcome: make(chan copyOutcome, 1)}
	src, client := pair(t, l, network, nil)
	dst, back := pair(t, l, network, nil)
	c.src, c.client, c.dst, c.back = src.NetConn(), client, dst.NetConn(), back
	go func() {
		n, err := copies[style](c.dst, c.src, nil)
		c.outcome <- copyOutcome{n, err}
	}()
	return c
}

// stuckCopy has more to send than the peer takes: a part of text waits in a pipe.
func stuckCopy(t *testing.T, text []byte) *copying { return stuckCopyBy(t, "conns", text) }

func stuckCopyBy(t *testing.T, style string, text []byte) *copying {
	c := startCopyBy(t, "tcp", style)
	go func() {
		if _, err := c.client.Write(text); err == nil {
			_ = c.client.(*net.TCPConn).CloseWrite()
		}
	}()
	require.Eventually(t, func() bool { return iostream.Piped(c.dst.Stream()) > 0 }, patience, time.Millisecond)
	return c
}

// TestCopyThroughAPipe has bulk wait in a pipe and not on the heap, and be counted in the
// backlog.
func TestCopyThroughAPipe(t *testing.T) {
	text := randomText(t, 32<<20)
	for style := range copies {
		t.Run(style, func(t *testing.T) {
			c := stuckCopyBy(t, style, text)
			require.GreaterOrEqual(t, c.dst.Stream().Backlog(), iostream.Piped(c.dst.Stream()))
			got := make(chan []byte, 1)
			go func() { b, _ := io.ReadAll(c.back); got <- b }()
			o := receive(t, c.outcome)
			require.NoError(t, o.err)
			require.EqualValues(t, len(text), o.n)
			require.NoError(t, c.dst.CloseWrite())
			require.True(t, bytes.Equal(text, receive(t, got)))
			require.Zero(t, iostream.Piped(c.dst.Stream()))
		})
	}
}

// TestCopyBroken has a copy end when something ends one of the streams, with the error that
// package net has, and with the count of what the other has taken.
func TestCopyBroken(t *testing.T) {
	text := randomText(t, 32<<20)
	cause := errors.New("cause")
	cases := map[string]struct {
		breakIt func(t *testing.T, c *copying)
		want    error
		exact   bool // the peer gets what was counted
	}{
		"the reader resets":    {func(t *testing.T, c *copying) { reset(t, c.back) }, syscall.ECONNRESET, false},
		"abort of the source":  {func(_ *testing.T, c *copying) { c.src.Stream().Abort(cause) }, cause, true},
		"abort of the other":   {func(_ *testing.T, c *copying) { c.dst.Stream().Abort(cause) }, cause, false},
		"close of the source":  {func(_ *testing.T, c *copying) { _ = c.src.Close() }, net.ErrClosed, true},
		"close of the other":   {func(_ *testing.T, c *copying) { _ = c.dst.Close() }, net.ErrClosed, true},
		"write deadline":       {func(_ *testing.T, c *copying) { _ = c.dst.SetWriteDeadline(past) }, os.ErrDeadlineExceeded, true},
		"both deadlines":       {func(_ *testing.T, c *copying) { _ = c.dst.SetDeadline(past) }, os.ErrDeadlineExceeded, true},
		"a deadline that ends": {func(_ *testing.T, c *copying) { _ = c.dst.SetWriteDeadline(time.Now().Add(20 * time.Millisecond)) }, os.ErrDeadlineExceeded, true},
	}
	for name, e := range cases {
		t.Run(name, func(t *testing.T) {
			c := stuckCopy(t, text)
			e.breakIt(t, c)
			got := make(chan []byte, 1)
			read := func() { b, _ := io.ReadAll(c.back); got <- b }
			reading := errors.Is(e.want, net.ErrClosed) || name == "abort of the source" // it notices when it reads on
			if reading {
				go read()
			}
			o := receive(t, c.outcome)
			if e.want != syscall.ECONNRESET || !errors.Is(o.err, syscall.EPIPE) { // the kernel tells of a reset once
				require.ErrorIs(t, o.err, e.want)
			}
			var op net.Error
			require.ErrorAs(t, o.err, &op)
			require.Equal(t, e.want == os.ErrDeadlineExceeded, op.Timeout())
			_ = c.dst.SetDeadline(time.Time{})
			if name == "the reader resets" || name == "abort of the other" {
				require.LessOrEqual(t, o.n, c.dst.Stream().Mark(), "what was dropped does not count")
			}
			if name == "the reader resets" {
				return
			}
			_ = c.dst.Close() // maybe again
			if !reading {
				go read()
			}
			b := receive(t, got)
			if e.exact {
				require.EqualValues(t, o.n, len(b))
			}
			require.LessOrEqual(t, int64(len(b)), o.n)
			require.True(t, bytes.HasPrefix(text, b), "in order")
			require.Zero(t, iostream.Piped(c.dst.Stream()))
		})
	}
}

// TestCopyBehindAWrite has somebody else write while a pipe is filled: its bytes go behind that.
func TestCopyBehindAWrite(t *testing.T) {
	l := startLoop(t, ioloop.Config{})
	src, client := pair(t, l, "tcp", nil)
	dst, back := pair(t, l, "tcp", nil)
	quiet(t, l)
	send(t, client, string(bytes.Repeat([]byte("in the pipe"), 1000)))
	_, err := dst.Write(make([]byte, 8<<20)) // more than the kernel takes
	require.NoError(t, err)
	require.Positive(t, dst.Backlog())
	got := make(chan []byte, 1)
	go func() { b, _ := io.ReadAll(back); got <- b }()
	n, err := iostream.PassPipe(dst, src.NetConn())
	require.NoError(t, err)
	require.Positive(t, n)
	require.EqualValues(t, 8<<20+n, dst.Mark())
	require.NoError(t, dst.CloseWrite())
	require.True(t, bytes.Equal(bytes.Repeat([]byte("in the pipe"), 1000)[:n], receive(t, got)[8<<20:]))
}

// TestCopyTakesWhatIsAllowed leaves to the next reader what a limit leaves out.
func TestCopyTakesWhatIsAllowed(t *testing.T) {
	l := startLoop(t, ioloop.Config{})
	src, client := pair(t, l, "tcp", nil)
	quiet(t, l)
	send(t, client, "much")
	limit := &io.LimitedReader{R: src.NetConn(), N: 3}
	require.Equal(t, 3, iostream.ReceivedInPipe(limit))
	require.Zero(t, limit.N)
	expect(t, src.NetConn(), "h")
}

// TestCopyOfOneWhoHasGivenUp reads nothing more.
func TestCopyOfOneWhoHasGivenUp(t *testing.T) {
	l := startLoop(t, ioloop.Config{})
	src, client := pair(t, l, "tcp", nil)
	quiet(t, l)
	send(t, client, "much")
	announced(t, src)
	ctx, cancel := context.WithCancel(context.Background())
	require.Equal(t, 1, iostream.ReceivedInPipe(&io.LimitedReader{R: src.IO(ctx), N: 1}))
	cancel()
	require.Zero(t, iostream.ReceivedInPipe(src.IO(ctx)))
	expect(t, src.NetConn(), "uch")
}

// TestCopyWaiting has a copy that waits for input be told of a deadline, a close and a reset,
// and hold no pipe.
func TestCopyWaiting(t *testing.T) {
	cases := map[string]struct {
		breakIt func(t *testing.T, c *copying)
		want    error
	}{
		"read deadline":       {func(_ *testing.T, c *copying) { _ = c.src.SetReadDeadline(past) }, os.ErrDeadlineExceeded},
		"close of the source": {func(_ *testing.T, c *copying) { _ = c.src.Close() }, net.ErrClosed},
		"abort":               {func(_ *testing.T, c *copying) { c.src.Stream().Abort(nil) }, net.ErrClosed},
		"the sender resets":   {func(t *testing.T, c *copying) { reset(t, c.client) }, syscall.ECONNRESET},
		"the end":             {func(t *testing.T, c *copying) { closeWrite(t, c.client) }, nil},
	}
	text := randomText(t, 8<<20)
	for name, e := range cases {
		t.Run(name, func(t *testing.T) {
			c := startCopy(t, "tcp")
			go func() { _, _ = c.client.Write(text) }()
			got := make([]byte, len(text))
			_, err := io.ReadFull(c.back, got)
			require.NoError(t, err)
			require.True(t, bytes.Equal(text, got))
			require.Zero(t, iostream.Piped(c.dst.Stream()))
			e.breakIt(t, c)
			o := receive(t, c.outcome)
			require.ErrorIs(t, o.err, e.want)
			require.EqualValues(t, len(text), o.n)
			require.NoError(t, c.dst.Stream().Err(), "the other is open")
		})
	}
}

// TestCopyWithoutPipes copies when the process can have no further descriptors.
func TestCopyWithoutPipes(t *testing.T) {
	c := startCopy(t, "tcp")
	withoutPipes(t)
	text := randomText(t, 16<<20)
	go func() { _, _ = c.client.Write(text); _ = c.client.(*net.TCPConn).CloseWrite() }()
	got := make([]byte, len(text))
	_, err := io.ReadFull(c.back, got)
	require.NoError(t, err)
	require.True(t, bytes.Equal(text, got))
	o := receive(t, c.outcome)
	require.NoError(t, o.err)
	require.EqualValues(t, len(text), o.n)
}
