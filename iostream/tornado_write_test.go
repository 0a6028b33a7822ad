//go:build unix || windows

package iostream_test

import (
	"context"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/eddyloop/eddy/iostream"
	"github.com/stretchr/testify/require"
)

var tornadoWrites = []scenario{
	{number: 1, name: "write no bytes on an idle stream", tornado: "completes at once", once: true, run: func(e *env) {
		e.write("")
		require.NoError(e, e.out.Flush(patient(e.T)))
		e.quiet()
		before := e.loop.Stats().Turns
		time.Sleep(10 * time.Millisecond)
		require.Less(e, e.loop.Stats().Turns-before, uint64(100), "the loop spins")
	}},
	{number: 2, name: "write no bytes behind a blocked backlog", tornado: "completes when the backlog is out", once: true,
		run: func(e *env) {
			n := e.block()
			done := make(chan error, 1)
			e.write("")
			require.NoError(e, e.out.WaitSentFunc(e.out.Mark(), func(err error) { done <- err }))
			e.quiet()
			require.Empty(e, done)
			e.drain(n)
			require.NoError(e, receive(e.T, done))
		}},
	{number: 3, name: "write no bytes on a closed stream", tornado: "fails: closed", once: true, run: func(e *env) {
		require.NoError(e, e.out.Close())
		_, err := e.out.Write(nil)
		requireIs(e.T, err, net.ErrClosed)
	}},
	{number: 4, name: "read 4 of 5 bytes", tornado: "the fifth stays buffered", run: func(e *env) {
		e.send("hello")
		e.read(exactly(4), "hell", nil)
		e.read(exactly(1), "o", nil)
	}},
	{number: 5, name: "write a view of larger elements", tornado: "counts bytes", eddy: "does not arise",
		why: "a Go write takes bytes"},
	{number: 6, name: "ten writers at once, each waiting for every write", tornado: "every write completes, nothing is lost", once: true,
		run: func(e *env) {
			const writers, writes = 10, 50
			var wait sync.WaitGroup
			for range writers {
				wait.Go(func() {
					for range writes {
						_, err := e.out.Write(make([]byte, 5000))
						if err == nil {
							err = e.out.Flush(context.Background())
						}
						if err != nil {
							e.Error(err)
						}
					}
				})
			}
			e.drain(writers * writes * 5000)
			wait.Wait()
		}},
	{number: 7, name: "three large writes and an empty one", tornado: "complete in order", once: true, run: func(e *env) {
		order := make(chan int, 4)
		for i := range 4 {
			e.write(strings.Repeat("x", []int{4 << 20, 4 << 20, 4 << 20, 0}[i]))
			require.NoError(e, e.out.WaitSentFunc(e.out.Mark(), func(err error) {
				require.NoError(e, err)
				order <- i
			}))
		}
		e.drain(12 << 20)
		for i := range 4 {
			require.Equal(e, i, receive(e.T, order))
		}
	}},
	{number: 8, name: "write 1 MiB to a pipe that holds 64 KiB", tornado: "arrives intact", once: true, run: func(e *env) {
		text := string(pattern(1 << 20))
		e.write(text)
		e.expect(text)
	}},
	{number: 9, name: "words written in pieces, read in others", tornado: "only the bytes count, not the writes", run: func(e *env) {
		e.send("hel", "lo world")
		e.read(until(" ", 0), "hello ", nil)
		e.read(exactly(3), "wor", nil)
		e.fin()
		e.read(untilClose(0), "ld", nil)
	}},
	{number: 10, name: "write more than the write limit", tornado: "refused at once; the stream goes on", once: true,
		config: &iostream.Config{WriteLimit: 100}, run: func(e *env) {
			_, err := e.out.Write(make([]byte, 200))
			requireIs(e.T, err, iostream.ErrBufferFull)
			e.write(strings.Repeat("x", 100))
			e.expect(strings.Repeat("x", 100))
		}},
	{number: 11, name: "the same where the kernel could take it", tornado: "refused", once: true,
		config: &iostream.Config{WriteLimit: 10}, run: func(e *env) {
			_, err := e.out.Write(make([]byte, 11))
			requireIs(e.T, err, iostream.ErrBufferFull)
		}},
	{number: 12, name: "change a buffer after it was written", tornado: "large writes send the change, small ones do not",
		eddy: "what was written is sent", why: "one rule: Write is done with its argument when it returns", once: true,
		run: func(e *env) {
			n := e.block()
			b := []byte(strings.Repeat("y", 100_000))
			_, err := e.out.Write(b)
			require.NoError(e, err)
			clear(b)
			e.drain(n)
			e.expect(strings.Repeat("y", 100_000))
		}},
	{number: 13, name: "cancel the wait for a write", tornado: "the bytes are sent all the same", once: true, run: func(e *env) {
		n := e.block()
		e.write("behind")
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		requireIs(e.T, e.out.Flush(ctx), context.Canceled)
		e.drain(n)
		e.expect("behind")
	}},
	{number: 14, name: "close with much to send", tornado: "the write fails, nothing is left to send",
		eddy: "Close sends it; Abort drops it", why: "a last message should not need a protocol of its own", once: true,
		run: func(e *env) {
			e.block()
			done := make(chan error, 1)
			require.NoError(e, e.out.WaitSentFunc(e.out.Mark(), func(err error) { done <- err }))
			e.out.Abort(nil)
			requireIs(e.T, receive(e.T, done), net.ErrClosed)
			require.Zero(e, e.out.Backlog())
		}},
	{number: 15, name: "write something that is not bytes", tornado: "TypeError; the stream goes on", eddy: "does not compile",
		why: "types"},
}

var tornadoReads = []scenario{
	{number: 16, name: "read 9, 0 and 3 bytes", tornado: "the data, nothing, the next data", run: func(e *env) {
		e.send("some bytesabc")
		e.read(exactly(9), "some byte", nil)
		e.read(exactly(0), "", nil)
		e.read(exactly(3), "sab", nil)
	}},
	{number: 17, name: "read 0 bytes of a closed stream", tornado: "nothing, no error", run: func(e *env) {
		require.NoError(e, e.in.Close())
		e.read(exactly(0), "", nil)
	}},
	{number: 18, name: "read up to 50 when 5 have come", tornado: "those 5", run: func(e *env) {
		e.send("hello")
		e.read(some(50), "hello", nil)
	}},
	{number: 19, name: "read up to 3 when 5 have come", tornado: "3, the rest stays", run: func(e *env) {
		e.send("hello")
		e.read(some(3), "hel", nil)
		e.read(some(3), "lo", nil)
	}},
	{number: 20, name: "read up to 0 bytes", tornado: "nothing, at once",
		eddy: "ReadAtLeast into an empty buffer is that; a max of 0 is the stream's limit", why: "0 means the default everywhere",
		run: func(e *env) {
			e.read(someInto(0), "", nil)
			e.send("hello")
			e.read(some(0), "hello", nil)
		}},
	{number: 21, name: "read some of 2 bytes, and again after the end", tornado: "2 bytes, then closed", run: func(e *env) {
		e.send("ab")
		e.fin()
		e.read(some(50), "ab", nil)
		e.read(some(50), "", io.EOF)
	}},
	{number: 22, name: "the peer ends within an exact read", tornado: "fails: closed; what came can be read", run: func(e *env) {
		pending := e.start(exactly(10))
		e.send("abc")
		e.fin()
		e.got(pending, "", io.EOF)
		e.read(exactly(3), "abc", nil)
	}},
	{number: 23, name: "headers, then a body until close", tornado: "both, and after that closed", run: func(e *env) {
		e.send("HTTP/1.0 200\r\n\r\nHel", "lo")
		e.fin()
		e.read(until("\r\n\r\n", 0), "HTTP/1.0 200\r\n\r\n", nil)
		e.read(untilClose(0), "Hello", nil)
		e.read(exactly(1), "", io.EOF)
	}},
	{number: 24, name: "read into a buffer that fills in two arrivals", tornado: "waits until it is full", run: func(e *env) {
		pending := e.start(into(10))
		e.send("hello")
		e.quiet()
		require.True(e, e.in.Reading())
		e.send("world!!")
		e.got(pending, "helloworld", nil)
		require.False(e, e.in.Reading())
	}},
	{number: 25, name: "read into a buffer from what is left and what comes", tornado: "both, in order", run: func(e *env) {
		e.send("0123456789!!")
		e.read(into(10), "0123456789", nil)
		pending := e.start(into(10))
		e.send("1234567890")
		e.got(pending, "!!12345678", nil)
	}},
	{number: 26, name: "read 7 bytes after that", tornado: "the remainder", run: func(e *env) {
		e.send("ab")
		e.buffered(2)
		e.send("cdefghijk")
		e.read(into(4), "abcd", nil)
		e.read(exactly(7), "efghijk", nil)
	}},
	{number: 27, name: "read some into a buffer of 10", tornado: "5 bytes, the rest of it untouched", once: true, run: func(e *env) {
		e.send("hello")
		p := []byte("..........")
		n, err := e.in.ReadAtLeast(patient(e.T), p, min(1, len(p)))
		require.NoError(e, err)
		require.Equal(e, 5, n)
		require.Equal(e, "hello.....", string(p))
	}},
	{number: 28, name: "the same twice with 16 bytes there", tornado: "10, then 6", run: func(e *env) {
		e.send("0123456789abcdef")
		e.buffered(16)
		e.read(someInto(10), "0123456789", nil)
		e.read(someInto(10), "abcdef", nil)
	}},
	{number: 29, name: "read into an empty buffer", tornado: "0 at once, of a closed stream too", run: func(e *env) {
		e.read(into(0), "", nil)
		require.NoError(e, e.in.Close())
		e.read(into(0), "", nil)
	}},
	{number: 30, name: "1 MiB in random pieces of both kinds", tornado: "every byte, in order", run: func(e *env) {
		all := string(pattern(1 << 18))
		go func() { _, _ = io.WriteString(e.sender, all) }()
		for i, text := 0, all; len(text) > 0; i++ {
			n := min(1+i*7919%1000, len(text))
			op := exactly(n)
			if i%3 == 0 {
				op = into(n)
			}
			e.read(op, text[:n], nil)
			text = text[n:]
		}
	}},
	{number: 31, name: "the end within a read into a buffer", tornado: "fails; the buffer has been written to",
		eddy: "fails, and says how many bytes it placed", why: "they are in the caller's hands", run: func(e *env) {
			e.send("abc")
			e.fin()
			e.read(into(5), "abc", io.ErrUnexpectedEOF)
		}},
	{number: 32, name: "other reads after that", tornado: "return numbers in place of bytes",
		eddy: "return bytes, or io.EOF", why: "a failed read leaves nothing behind", run: func(e *env) {
			e.send("abc")
			e.fin()
			e.read(into(5), "abc", io.ErrUnexpectedEOF)
			e.read(exactly(2), "", io.EOF)
			e.read(untilClose(0), "", nil)
		}},
	{number: 33, name: "read into what cannot be written", tornado: "TypeError; the stream takes no read any more",
		eddy: "a nil callback is ErrInvalid; the next read works", why: "arguments are checked before anything changes", once: true,
		run: func(e *env) {
			requireIs(e.T, e.in.ReadAtLeastFunc(make([]byte, 5), 5, nil), iostream.ErrInvalid)
			e.send("hello")
			e.read(into(5), "hello", nil)
		}},
	{number: 34, name: "read -1 bytes", tornado: "returns something, and counts wrongly from then on",
		eddy: "ErrInvalid", why: "arguments are checked before anything changes", run: func(e *env) {
			e.read(exactly(-1), "", iostream.ErrInvalid)
			e.send("hello")
			e.read(exactly(5), "hello", nil)
		}},
	{number: 35, name: "100 reads of 1 KiB when 100 KiB come, limit 10 KiB", tornado: "all succeed",
		config: &iostream.Config{ReadLimit: 10 << 10}, run: func(e *env) {
			go func() { _, _ = e.sender.Write(make([]byte, 100<<10)) }()
			for range 100 {
				e.read(exactly(1<<10), strings.Repeat("\x00", 1<<10), nil)
			}
		}},
	{number: 36, name: "the same with lines", tornado: "all succeed", config: &iostream.Config{ReadLimit: 10 << 10}, run: func(e *env) {
		line := strings.Repeat("x", 1023) + "\n"
		go func() { _, _ = io.WriteString(e.sender, strings.Repeat(line, 100)) }()
		for range 100 {
			e.read(until("\n", 4096), line, nil)
		}
	}},
	{number: 37, name: "the peer sends 10 MiB to a slow reader", tornado: "the peer is held back, nothing is lost",
		once: true, run: func(e *env) {
			sent := make(chan error, 1)
			go func() {
				_, err := e.sender.Write(make([]byte, 10<<20))
				sent <- err
			}()
			e.read(exactly(1<<20), strings.Repeat("\x00", 1<<20), nil)
			e.quiet()
			require.LessOrEqual(e, e.in.Buffered(), 64<<10)
			for range 9 {
				e.read(exactly(1<<20), strings.Repeat("\x00", 1<<20), nil)
			}
			require.NoError(e, receive(e.T, sent))
		}},
	{number: 38, name: "what is received beyond a satisfied read", tornado: "up to 64 KiB more, once",
		eddy: "what the same receive brings, at most 64 KiB, and nothing more", why: "nothing is received that no read asks for",
		once: true, run: func(e *env) {
			go func() { _, _ = e.sender.Write(make([]byte, 1<<20)) }()
			e.read(exactly(1), "\x00", nil)
			e.quiet()
			n := e.in.Buffered()
			require.LessOrEqual(e, n, 64<<10)
			time.Sleep(5 * time.Millisecond)
			e.quiet()
			require.Equal(e, n, e.in.Buffered())
		}},
	{number: 39, name: "two reads that one arrival satisfies", tornado: "the second is done at once", run: func(e *env) {
		e.send("onetwo")
		e.buffered(6)
		e.read(exactly(3), "one", nil)
		e.read(exactly(3), "two", nil)
	}},
}
