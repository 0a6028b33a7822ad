//go:build unix || windows

package iostream_test

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"

	"github.com/eddyloop/eddy/internal/wine"
	"github.com/eddyloop/eddy/iostream"
	"github.com/stretchr/testify/require"
)

const uniform = "one rule for every idle stream: the end is noticed, and nothing is consumed"

// inTheCallback runs fn in the callback of the close.
func (e *env) inTheCallback(fn func(error)) <-chan struct{} {
	done := make(chan struct{}, 9)
	_ = e.in.WaitClosedFunc(func(err error) {
		fn(err)
		done <- struct{}{}
	})
	return done
}

// atTheEnd runs fn in the callback that tells of the peer's end.
func (e *env) atTheEnd(fn func(error)) <-chan struct{} {
	done := make(chan struct{}, 9)
	_ = e.in.WaitReadClosedFunc(func() {
		fn(io.EOF)
		done <- struct{}{}
	})
	return done
}

var tornadoEnds = []scenario{
	{number: 60, late: true, name: "an idle stream that was never used, without a callback; the peer closes", tornado: "not noticed",
		eddy: "noticed", why: uniform, once: true, run: func(e *env) {
			e.hangUp()
			require.Equal(e, io.EOF, e.ended())
		}},
	{number: 61, late: true, name: "the same with a callback", tornado: "noticed, the callback runs", once: true, run: func(e *env) {
		done := e.atTheEnd(func(err error) { require.Equal(e, io.EOF, err) })
		e.hangUp()
		receive(e.T, done)
	}},
	{number: 62, late: true, name: "idle after a read that had to wait, nothing buffered", tornado: "noticed", run: func(e *env) {
		pending := e.start(exactly(3))
		e.send("abc")
		e.got(pending, "abc", nil)
		e.hangUp()
		require.Equal(e, io.EOF, e.ended())
	}},
	{number: 63, late: true, name: "idle after a read that was satisfied at once", tornado: "not noticed", eddy: "noticed", why: uniform, run: func(e *env) {
		e.send("abcd")
		e.buffered(4)
		e.read(exactly(4), "abcd", nil)
		e.hangUp()
		require.Equal(e, io.EOF, e.ended())
	}},
	{number: 64, late: true, name: "idle with bytes left in the buffer", tornado: "not noticed until they are read",
		eddy: "noticed; they can be read", why: uniform, run: func(e *env) {
			e.send("abcd")
			e.buffered(4)
			e.read(exactly(1), "a", nil)
			e.hangUp()
			require.Equal(e, io.EOF, e.ended())
			e.read(exactly(3), "bcd", nil)
		}},
	{number: 65, name: `"12" and a close; read 1 and 1`, tornado: "both", run: func(e *env) {
		e.send("12")
		e.read(exactly(1), "1", nil)
		e.hangUp()
		e.read(exactly(1), "2", nil)
	}},
	{number: 66, name: "half of what was sent is read, the peer closes, the other half is read", tornado: "delivered", run: func(e *env) {
		text := strings.Repeat("a", 256) + strings.Repeat("b", 256)
		e.send(text)
		e.read(exactly(256), text[:256], nil)
		e.hangUp()
		e.quiet()
		e.read(exactly(256), text[256:], nil)
	}},
	{number: 67, name: `"1234"; read 1, the peer closes, read until close`, tornado: "234", run: func(e *env) {
		e.send("1234")
		e.read(exactly(1), "1", nil)
		e.hangUp()
		e.read(untilClose(0), "234", nil)
	}},
	{number: 68, name: "2 KiB, then the delimiter together with the close", tornado: "found", run: func(e *env) {
		pending := e.start(until("done", 0))
		e.send(strings.Repeat("x", 2048))
		e.quiet()
		e.send("done")
		e.hangUp()
		e.got(pending, strings.Repeat("x", 2048)+"done", nil)
	}},
	{number: 69, name: "the same without the delimiter", tornado: "fails: closed", run: func(e *env) {
		pending := e.start(until("done", 0))
		e.send(strings.Repeat("x", 2048))
		e.quiet()
		e.send("foo")
		e.hangUp()
		e.got(pending, "", io.EOF)
	}},
	{number: 70, name: "a callback, one read done, another pending; the peer closes", tornado: "the callback runs", run: func(e *env) {
		done := e.atTheEnd(func(error) {})
		e.send("a")
		e.read(exactly(1), "a", nil)
		pending := e.start(exactly(1))
		e.hangUp()
		e.got(pending, "", io.EOF)
		receive(e.T, done)
	}},
	{number: 71, late: true, name: "the same with none pending", tornado: "the callback runs", run: func(e *env) {
		done := e.atTheEnd(func(error) {})
		e.send("a")
		e.read(exactly(1), "a", nil)
		e.hangUp()
		receive(e.T, done)
	}},
	{number: 72, name: "a response that ends with the connection", tornado: "all of it can be read first", run: func(e *env) {
		body := strings.Repeat("body ", 1000)
		e.send("HTTP/1.0 200 OK\r\n\r\n" + body)
		e.hangUp()
		e.read(until("\r\n\r\n", 0), "HTTP/1.0 200 OK\r\n\r\n", nil)
		e.read(untilClose(0), body, nil)
	}},
	{number: 73, name: "a request, and its response until close", tornado: "all of it", over: sockets, run: func(e *env) {
		e.write("GET / HTTP/1.0\r\n\r\n")
		e.expect("GET / HTTP/1.0\r\n\r\n")
		e.send("HTTP/1.0 200 OK\r\n\r\nhello")
		e.hangUp()
		e.read(untilClose(0), "HTTP/1.0 200 OK\r\n\r\nhello", nil)
	}},
	{number: 74, late: true, name: "a read that the last bytes satisfy, and a close callback", tornado: "the read comes first", once: true, run: func(e *env) {
		order := make(chan string, 2)
		require.NoError(e, e.in.ReadFunc(iostream.Bytes(3), func(b []byte, err error) { order <- string(b) }))
		_ = e.in.WaitReadClosedFunc(func() { order <- "closed" })
		e.send("abc")
		e.hangUp()
		require.Equal(e, "abc", receive(e.T, order))
		require.Equal(e, "closed", receive(e.T, order))
	}},
	{number: 75, name: "close with a read, a write and a callback pending", tornado: "read, write, callback", over: sockets, once: true,
		run: func(e *env) {
			e.block()
			order := make(chan string, 3)
			require.NoError(e, e.in.ReadFunc(iostream.Bytes(3), func(_ []byte, err error) {
				requireIs(e.T, err, net.ErrClosed)
				order <- "read"
			}))
			require.NoError(e, e.in.WaitSentFunc(e.in.Mark(), func(err error) {
				requireIs(e.T, err, net.ErrClosed)
				order <- "write"
			}))
			_ = e.in.WaitClosedFunc(func(error) { order <- "closed" })
			e.in.Abort(nil)
			for _, want := range []string{"read", "write", "closed"} {
				require.Equal(e, want, receive(e.T, order))
			}
		}},
	{number: 76, name: "close twice, with two callbacks set", tornado: "the last one runs, once, and never inside of close",
		eddy: "both run, once, and never inside of close", why: "nobody replaces another's callback", once: true,
		run: func(e *env) {
			first := e.inTheCallback(func(error) {})
			inside := false
			done := e.inTheCallback(func(error) { require.False(e, inside) })
			onLoop(e.T, e.loop, func() {
				inside = true
				e.in.Abort(nil)
				e.in.Abort(nil)
				inside = false
			})
			receive(e.T, first)
			receive(e.T, done)
			e.quiet()
			require.Empty(e, done)
		}},
	{number: 77, late: true, name: "a callback that is set after the close", tornado: "runs at the next close", eddy: "runs soon",
		why: "a close cannot be missed", once: true, run: func(e *env) {
			e.hangUp()
			require.Equal(e, io.EOF, e.ended())
			receive(e.T, e.atTheEnd(func(err error) { require.Equal(e, io.EOF, err) }))
		}},
	{number: 78, name: "read what is buffered from inside the close callback", tornado: "works", once: true, run: func(e *env) {
		done := e.atTheEnd(func(error) {
			b, err := e.in.Read(context.Background(), iostream.Bytes(2))
			require.NoError(e, err)
			require.Equal(e, "bc", string(b))
		})
		e.send("abc")
		e.buffered(3)
		e.read(exactly(1), "a", nil)
		require.NoError(e, e.in.Close())
		receive(e.T, done)
	}},
	{number: 79, late: true, name: "5 bytes, 1 read, the peer closes", tornado: "depends on when the callback was set",
		eddy: "closed, and 4 bytes to read", why: uniform, run: func(e *env) {
			done := e.atTheEnd(func(error) {})
			e.send("abcde")
			e.buffered(5)
			e.read(exactly(1), "a", nil)
			e.hangUp()
			receive(e.T, done)
			e.read(exactly(4), "bcde", nil)
		}},
	{number: 80, name: "an exact read fails at the end; then a shorter one", tornado: "fails too, though the bytes are there",
		eddy: "the bytes", why: "a read that the buffer satisfies succeeds", run: func(e *env) {
			pending := e.start(exactly(10))
			e.send("hello")
			e.hangUp()
			e.got(pending, "", io.EOF)
			e.read(exactly(10), "", io.EOF)
			e.read(exactly(5), "hello", nil)
			e.read(untilClose(0), "", nil)
		}},
	{number: 81, name: "a delimiter fails at the end; then others", tornado: "some work, a regexp looks for the old delimiter",
		eddy: "all that the buffer satisfies work", why: "a failed read leaves nothing behind", run: func(e *env) {
			pending := e.start(until("X", 0))
			e.send("abc\ndef\n")
			e.hangUp()
			e.got(pending, "", io.EOF)
			e.read(until("\n", 0), "abc\n", nil)
			e.read(exactly(2), "de", nil)
			e.read(untilRegexp("\n", 0), "f\n", nil)
		}},
	{number: 82, name: "close while a read until close waits", tornado: "succeeds with what has come",
		eddy: "returns that, and net.ErrClosed", why: "nil means that the peer has ended it", run: func(e *env) {
			pending := e.start(untilClose(0))
			e.send("abc")
			e.received(3)
			require.NoError(e, e.in.Close())
			e.got(pending, "abc", net.ErrClosed)
		}},
	{number: 83, name: "close while the awaited bytes are in the kernel", tornado: "the read fails", run: func(e *env) {
		pending := e.start(exactly(10))
		onLoop(e.T, e.loop, func() {
			e.send("0123456789")
			require.NoError(e, e.in.Close())
		})
		e.got(pending, "", net.ErrClosed)
	}},
	{number: 84, name: "close with unread bytes in the kernel", tornado: "the peer gets a reset",
		eddy: "Abort does; Close reads them away first", why: "a reset can destroy what was sent last", over: tcpOnly, once: true,
		run: func(e *env) {
			wine.SkipResets(e.T)
			e.send("unread")
			e.quiet()
			e.in.Abort(nil)
			_, err := e.getter.Read(make([]byte, 1))
			require.ErrorIs(e, err, syscall.ECONNRESET)
		}},
	{number: 85, name: "close when a read can be satisfied from the buffer", tornado: "it succeeds", eddy: "a callback is told of the close; a later read succeeds", why: "no callback is called for messages after Close", once: true, run: func(e *env) {
		e.send("abc")
		e.buffered(3)
		got := make(chan result, 1)
		onLoop(e.T, e.loop, func() {
			require.NoError(e, e.in.ReadFunc(iostream.Bytes(3), func(b []byte, err error) { got <- bytesResult(b, err) }))
			require.NoError(e, e.in.Close())
		})
		e.got(got, "", net.ErrClosed)
		e.read(exactly(3), "abc", nil)
	}},
	{number: 86, name: "a second read while one is pending", tornado: "refused; the first goes on", run: func(e *env) {
		pending := e.start(exactly(3))
		e.read(exactly(1), "", iostream.ErrReadPending)
		e.send("abc")
		e.got(pending, "abc", nil)
	}},
	{number: 87, name: "a second read after the first has failed", tornado: "fails: closed", run: func(e *env) {
		pending := e.start(exactly(3))
		require.NoError(e, e.in.Close())
		e.got(pending, "", net.ErrClosed)
		e.read(exactly(3), "", net.ErrClosed)
	}},
	{number: 88, name: "cancel a read", tornado: "the stream stays occupied, and what comes for that read is lost",
		eddy: "the next read begins with the bytes", why: "a cancelled read takes nothing", once: true, run: func(e *env) {
			ctx, cancel := context.WithCancel(context.Background())
			failed := make(chan error)
			go func() {
				_, err := e.in.Read(ctx, iostream.Until("\n"))
				failed <- err
			}()
			awaitRead(e.T, e.in)
			e.send("abc")
			e.received(3)
			cancel()
			requireIs(e.T, receive(e.T, failed), context.Canceled)
			e.send("def")
			e.read(exactly(6), "abcdef", nil)
		}},
	{number: 89, name: "cancel a read into a buffer", tornado: "the buffer is written to later",
		eddy: "it is not; the read tells how much it had placed", why: "the buffer is the caller's again", once: true, run: func(e *env) {
			ctx, cancel := context.WithCancel(context.Background())
			buf := []byte("......")
			failed := make(chan result)
			go func() {
				n, err := e.in.ReadAtLeast(ctx, buf, len(buf))
				failed <- result{n: n, err: err}
			}()
			awaitRead(e.T, e.in)
			cancel()
			r := receive(e.T, failed)
			requireIs(e.T, r.err, context.Canceled)
			require.Zero(e, r.n)
			e.send("abc")
			e.read(exactly(3), "abc", nil)
			require.Equal(e, "......", string(buf))
		}},
	{number: 90, name: "close with an exception", tornado: "pending and later operations carry it", run: func(e *env) {
		pending := e.start(exactly(3))
		reason := errors.New("out of paper")
		e.in.Abort(reason)
		e.got(pending, "", reason)
		e.read(exactly(3), "", reason)
		require.Equal(e, reason, e.in.Err())
	}},
	{number: 91, name: "a receive fails while a read waits", tornado: "logged, the callback runs", eddy: "the read and the callback get the errno",
		why: "an error is told once, to whom it concerns", over: overTCP, run: func(e *env) {
			wine.SkipResets(e.T) // before the callback is there
			done := e.inTheCallback(func(err error) { require.ErrorIs(e, err, syscall.ECONNRESET) })
			pending := e.start(exactly(3))
			e.reset()
			e.got(pending, "", syscall.ECONNRESET)
			receive(e.T, done)
		}},
	{number: 92, name: "a receive fails in the call of a read", tornado: "the call raises it", eddy: "the read returns it as when it fails later",
		why: "one way to deliver an error", over: overTCP, run: func(e *env) {
			e.reset()
			e.closed()
			e.read(exactly(3), "", syscall.ECONNRESET)
		}},
	{number: 93, name: "the same for a read until close", tornado: "the call raises it", eddy: "the read returns it",
		why: "one way to deliver an error", over: overTCP, run: func(e *env) {
			e.reset()
			e.closed()
			e.read(untilClose(0), "", syscall.ECONNRESET)
		}},
}

// received waits until n bytes have come for the pending read.
func (e *env) received(n int) {
	e.Helper()
	for e.in.Buffered() < n {
		e.quiet()
	}
}
