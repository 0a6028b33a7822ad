//go:build unix || windows

package iostream_test

import (
	"errors"
	"io"
	"strings"
	"syscall"

	"github.com/eddyloop/eddy/internal/posix"
	"github.com/eddyloop/eddy/iostream"
	"github.com/stretchr/testify/require"
)

const tooMuch = "it is refused before anything is read"

// writeUntilError writes until the stream takes no more, and returns why.
func (e *env) writeUntilError() error {
	e.Helper()
	for {
		if _, err := e.out.Write([]byte("x")); err != nil {
			return err
		}
		_ = e.out.Flush(patient(e.T))
	}
}

var tornadoTrouble = []scenario{
	{number: 94, name: "a reset while a read waits", tornado: "ECONNRESET; what came can be read", over: overTCP, run: func(e *env) {
		pending := e.start(exactly(10))
		e.send("abc")
		e.received(3)
		e.reset()
		e.got(pending, "", syscall.ECONNRESET)
		e.read(exactly(3), "abc", nil)
	}},
	{number: 95, name: "a reset while a read until close waits", tornado: "succeeds with what came", eddy: "returns that, and ECONNRESET",
		why: "nil means that the peer has ended it", over: overTCP, run: func(e *env) {
			pending := e.start(untilClose(0))
			e.send("abc")
			e.received(3)
			e.reset()
			e.got(pending, "abc", syscall.ECONNRESET)
		}},
	{number: 96, name: "data and a reset before any read", tornado: "the data, then ECONNRESET (on Linux)", over: overTCP, run: func(e *env) {
		e.send("abc")
		e.reset()
		e.quiet()
		e.read(exactly(3), "abc", nil)
		e.read(exactly(1), "", syscall.ECONNRESET)
	}},
	{number: 97, name: "a reset while a write waits", tornado: "the write fails with ECONNRESET", over: overTCP, once: true, run: func(e *env) {
		e.block()
		done := make(chan error, 1)
		require.NoError(e, e.out.WaitSentFunc(e.out.Mark(), func(err error) { done <- err }))
		e.reset()
		requireIs(e.T, receive(e.T, done), syscall.ECONNRESET)
	}},
	{number: 98, name: "a reset while idle with buffered bytes", tornado: "not noticed; the bytes, then ECONNRESET",
		eddy: "noticed; the bytes, then ECONNRESET", why: uniform, over: overTCP, run: func(e *env) {
			e.send("abcd")
			e.buffered(4)
			e.read(exactly(1), "a", nil)
			e.reset()
			require.ErrorIs(e, e.closed(), syscall.ECONNRESET)
			e.read(exactly(3), "bcd", nil)
			e.read(exactly(1), "", syscall.ECONNRESET)
		}},
	{number: 99, name: "write after a reset", tornado: "the first fails later, the next one in the call",
		eddy: "Write returns ECONNRESET once it is known", why: "one way to deliver an error", over: overTCP, once: true, run: func(e *env) {
			e.reset()
			e.closed()
			for range 2 {
				_, err := e.out.Write([]byte("x"))
				requireIs(e.T, err, syscall.ECONNRESET)
			}
		}},
	{number: 100, name: "write after the peer has closed", tornado: "the first write succeeds, the second is EPIPE",
		over: sockets, once: true, run: func(e *env) {
			e.hangUp()
			err := e.writeUntilError()
			require.True(e, isAny(err, syscall.EPIPE, syscall.ECONNRESET), "%v", err)
		}},
	{number: 101, name: `"bye" and a close; write until EPIPE, then read`, tornado: "bye is lost", eddy: "bye is read",
		why: "an error of writing does not discard what was received", over: overTCP, run: func(e *env) {
			e.send("bye")
			e.hangUp()
			_ = e.writeUntilError()
			e.read(exactly(3), "bye", nil)
		}},
	{number: 102, name: "the peer ends its side after the request; the reply", tornado: "cannot be written",
		eddy: "is written", why: "half-close is how many protocols end a request", over: sockets,
		run: func(e *env) {
			e.send("request")
			e.fin()
			e.read(untilClose(0), "request", nil)
			e.write("reply")
			e.expect("reply")
		}},
	{number: 103, name: "the same, the request read by its length", tornado: "the reply is written",
		over: sockets, run: func(e *env) {
			e.send("request")
			e.fin()
			e.read(exactly(7), "request", nil)
			e.quiet()
			e.write("reply")
			e.expect("reply")
		}},
	{number: 104, name: "the peer ends its side while much waits to be sent", tornado: "the write fails", eddy: "all of it is sent",
		why: "the end of one direction does not end the other", over: sockets, run: func(e *env) {
			n := e.block()
			pending := e.start(exactly(1))
			e.fin()
			e.got(pending, "", io.EOF)
			e.drain(n)
		}},
	{number: 105, name: "an exact read above the limit, nothing buffered", tornado: "the stream is closed without a cause",
		eddy: "ErrTooLong; the stream stays open", why: tooMuch, config: &iostream.Config{ReadLimit: 1000}, run: func(e *env) {
			e.read(exactly(5000), "", iostream.ErrTooLong)
			e.send("abc")
			e.read(exactly(3), "abc", nil)
		}},
	{number: 106, name: "the same with bytes buffered", tornado: "the call raises it", eddy: "ErrTooLong; the stream stays open",
		why: tooMuch, config: &iostream.Config{ReadLimit: 1000}, run: func(e *env) {
			e.send("abc")
			e.buffered(3)
			e.read(exactly(5000), "", iostream.ErrTooLong)
			e.read(exactly(3), "abc", nil)
		}},
	{number: 107, name: "more than the limit comes for a read until close", tornado: "succeeds with some of it, the stream is closed",
		eddy: staysOpen, why: notFatal, config: &iostream.Config{ReadLimit: 1000}, run: func(e *env) {
			pending := e.start(untilClose(0))
			e.send(strings.Repeat("x", 1001))
			e.got(pending, "", iostream.ErrTooLong)
			e.read(exactly(1000), strings.Repeat("x", 1000), nil)
		}},
	{number: 108, name: "the same, it is there already", tornado: "the call raises it", eddy: staysOpen, why: notFatal,
		config: &iostream.Config{ReadLimit: 1000}, run: func(e *env) {
			e.send(strings.Repeat("x", 1500))
			e.read(untilClose(0), "", iostream.ErrTooLong)
			e.read(exactly(1000), strings.Repeat("x", 1000), nil)
		}},
	{number: 109, name: "a delimiter within the arrival that exceeds the limit", tornado: "found, the stream is closed",
		eddy: "found, the stream stays open", why: "the message is within its limit", config: &iostream.Config{ReadLimit: 10}, run: func(e *env) {
			e.send("abc\n" + strings.Repeat("x", 100))
			e.read(until("\n", 0), "abc\n", nil)
			e.read(exactly(10), strings.Repeat("x", 10), nil)
		}},
	{number: 110, name: "an exact read of the limit", tornado: "works", config: &iostream.Config{ReadLimit: 10}, run: func(e *env) {
		e.send("0123456789")
		e.read(exactly(10), "0123456789", nil)
	}},
	{number: 111, name: "read into a buffer larger than the limit", tornado: "fills it and closes the stream, or fails",
		eddy: "fills it", why: "the buffer is the caller's, the limit is the stream's", config: &iostream.Config{ReadLimit: 1000}, run: func(e *env) {
			e.send(strings.Repeat("x", 2500), strings.Repeat("x", 2500))
			e.read(into(5000), strings.Repeat("x", 5000), nil)
		}},
	{number: 112, name: "a limit of 1", tornado: "the first read closes the stream", eddy: "reads of 1 byte work",
		why: "what one receive brings does not count against the limit", config: &iostream.Config{ReadLimit: 1}, run: func(e *env) {
			e.send("abc")
			for _, b := range []string{"a", "b", "c"} {
				e.read(exactly(1), b, nil)
			}
		}},
}

func isAny(err error, targets ...error) bool {
	for _, target := range targets {
		if errors.Is(err, target) {
			return true
		}
	}
	return false
}

var tornadoPipes = []scenario{
	{number: 145, name: "everything above, over pipes", tornado: "the same where it makes sense",
		eddy: "the same; see the last column", why: "resets, half-close and connecting are a socket's"},
	{number: 146, name: "write when the reader has gone", tornado: "EPIPE", over: piped, once: true, run: func(e *env) {
		require.NoError(e, e.getter.Close())
		requireIs(e.T, e.writeUntilError(), syscall.EPIPE)
	}},
	{number: 147, name: "an idle writer whose reader goes", tornado: "closed with EBADF", eddy: "closed with EPIPE",
		why: "that is what a write would say", over: piped, once: true, run: func(e *env) {
			e.quiet()
			require.NoError(e, e.getter.Close())
			require.NoError(e, e.out.WaitClosed(patient(e.T)))
			require.ErrorIs(e, e.out.Err(), syscall.EPIPE)
		}},
	{number: 148, name: "read from the writing end, write to the reading end", tornado: "EBADF, and the stream is closed",
		eddy: "EBADF; the stream stays open", why: "arguments are checked before anything changes", over: piped, run: func(e *env) {
			_, err := e.in.Write([]byte("x"))
			requireIs(e.T, err, syscall.EBADF)
			e.got(e.face.read(e.T, e.out, exactly(1)), "", syscall.EBADF)
			e.send("abc")
			e.read(exactly(3), "abc", nil)
			e.write("def")
			e.expect("def")
		}},
	{number: 149, name: "the reader of a full pipe goes", tornado: "the pending write fails", over: piped, once: true, run: func(e *env) {
		e.block()
		done := make(chan error, 1)
		require.NoError(e, e.out.WaitSentFunc(e.out.Mark(), func(err error) { done <- err }))
		require.NoError(e, e.getter.Close())
		requireIs(e.T, receive(e.T, done), syscall.EPIPE)
	}},
	{number: 150, name: "the writer of an empty pipe goes", tornado: "the pending read sees the end", over: piped, run: func(e *env) {
		pending := e.start(exactly(1))
		e.hangUp()
		e.got(pending, "", io.EOF)
	}},
}

// bare returns a socket that is not connected.
func bare(e *env) *iostream.Stream {
	fd, err := posix.Socket(posix.AF_INET, posix.SOCK_STREAM, 0)
	require.NoError(e, err)
	s, err := iostream.NewSocket(e.loop, fd, nil)
	require.NoError(e, err)
	e.Cleanup(func() { _ = s.Close() })
	return s
}
