//go:build unix || windows

package iostream_test

import (
	"io"
	"regexp"
	"strings"

	"github.com/eddyloop/eddy/iostream"
	"github.com/stretchr/testify/require"
)

const staysOpen = "ErrTooLong; the stream stays open with its bytes"

const notFatal = "a limit is the reader's business: it can read on, or close"

// tooLong plays a read that its limit ends, and that the bytes are still there.
func tooLong(op operation, early bool, pieces ...string) func(*env) {
	return func(e *env) {
		var pending <-chan result
		if early {
			pending = e.start(op)
		}
		e.send(pieces...)
		all := strings.Join(pieces, "")
		if !early {
			e.buffered(len(all))
			pending = e.face.read(e.T, e.in, op)
		}
		e.got(pending, "", iostream.ErrTooLong)
		e.read(exactly(len(all)), all, nil)
	}
}

var tornadoSearches = []scenario{
	{number: 40, name: "delimiter found below the limit", tornado: "the data and the delimiter", run: func(e *env) {
		e.send("abc\r\ndef")
		e.read(until("\r\n", 50), "abc\r\n", nil)
	}},
	{number: 41, name: "delimiter that ends exactly at the limit", tornado: "found", run: func(e *env) {
		e.send("abcd\nef")
		e.read(until("\n", 5), "abcd\n", nil)
	}},
	{number: 42, name: "6 bytes come without a delimiter, limit 5", tornado: "the stream is closed", eddy: staysOpen, why: notFatal,
		run: tooLong(until("\n", 5), true, "abcdef")},
	{number: 43, name: "the same, they are there already", tornado: "the read fails later, not in the call; the stream is closed",
		eddy: staysOpen, why: notFatal, run: tooLong(until("\n", 5), false, "abcdef")},
	{number: 44, name: "the delimiter ends at byte 6, limit 5", tornado: "fails; the stream is closed", eddy: staysOpen, why: notFatal,
		run: tooLong(until("\n", 5), true, "abcde\n")},
	{number: 45, name: "as 42 with a regexp", tornado: "the stream is closed", eddy: staysOpen, why: notFatal,
		run: tooLong(untilRegexp("x", 5), true, "abcdef")},
	{number: 46, name: "as 43 with a regexp", tornado: "the read fails later; the stream is closed", eddy: staysOpen, why: notFatal,
		run: tooLong(untilRegexp("x", 5), false, "abcdef")},
	{number: 47, name: "as 44 with a regexp, and as 40 and 41", tornado: "fails; the stream is closed", eddy: staysOpen, why: notFatal,
		run: func(e *env) {
			tooLong(untilRegexp("f", 5), true, "abcdef")(e)
			e.send("abcdef")
			e.read(untilRegexp("c", 50), "abc", nil)
			e.read(untilRegexp("f", 3), "def", nil)
		}},
	{number: 48, name: "exactly as many bytes as the limit, and one more", tornado: "waits, then the stream is closed",
		eddy: "waits, then " + staysOpen, why: notFatal, run: func(e *env) {
			pending := e.start(until("\n", 5))
			e.send("abcde")
			e.quiet()
			require.True(e, e.in.Reading())
			e.send("f")
			e.got(pending, "", iostream.ErrTooLong)
			e.read(exactly(6), "abcdef", nil)
		}},
	{number: 49, name: "a short line with much behind it, limit 5", tornado: "the line", run: func(e *env) {
		e.send("ab\n0123456789")
		e.read(until("\n", 5), "ab\n", nil)
	}},
	{number: 50, name: "a delimiter of two bytes across arrivals, limit exact", tornado: "found", run: func(e *env) {
		pending := e.start(until("\r\n", 5))
		e.send("abc\r")
		e.quiet()
		e.send("\n")
		e.got(pending, "abc\r\n", nil)
	}},
	{number: 51, name: `delimiter "aab" in "aa", "aab"`, tornado: "aaaab", run: func(e *env) {
		pending := e.start(until("aab", 0))
		e.send("aa")
		e.quiet()
		e.send("aab")
		e.got(pending, "aaaab", nil)
	}},
	{number: 52, name: "a limit of 0, and one above the buffer's", tornado: "any byte fails; fails without a cause",
		eddy: "0 is the stream's limit; ErrTooLong before anything is read", why: "0 means the default everywhere; every error has a cause",
		config: &iostream.Config{ReadLimit: 16}, run: func(e *env) {
			e.send("abc\n")
			e.read(until("\n", 17), "", iostream.ErrTooLong)
			e.read(until("\n", 0), "abc\n", nil)
		}},
	{number: 53, name: "an empty delimiter", tornado: "waits for a byte and returns nothing", eddy: "ErrInvalid",
		why: "it is a mistake, and would read nothing for ever", run: func(e *env) {
			e.send("abc")
			e.read(until("", 0), "", iostream.ErrInvalid)
			e.read(exactly(3), "abc", nil)
		}},
	{number: 54, name: "a regexp that matches nothing at all (x*)", tornado: "returns nothing once there is input", run: func(e *env) {
		e.send("abc")
		e.read(untilRegexp("x*", 0), "", nil)
		e.read(exactly(3), "abc", nil)
	}},
	{number: 55, name: "a greedy regexp (ab+) whose match comes in two", tornado: "the match in what has come first", run: func(e *env) {
		pending := e.start(untilRegexp("ab+", 0))
		e.send("abb")
		e.got(pending, "abb", nil)
		e.send("bb")
		e.read(exactly(2), "bb", nil)
	}},
	{number: 56, name: "c$ before the end of the stream", tornado: "matches at the end of what has come", run: func(e *env) {
		pending := e.start(untilRegexp("c$", 0))
		e.send("abcd")
		e.quiet()
		require.True(e, e.in.Reading())
		e.send("c")
		e.got(pending, "abcdc", nil)
	}},
	{number: 57, name: "a line of 4 MiB", tornado: "found", config: &iostream.Config{ReadLimit: 8 << 20}, once: true, run: func(e *env) {
		text := strings.Repeat(strings.Repeat("x", 1024), 4096) + "\r\n"
		go func() { _, _ = io.WriteString(e.sender, text) }()
		e.read(until("\r\n", 0), text, nil)
	}},
	{number: 58, name: "a line that comes in drips", tornado: "the cost grows with the square of its length",
		eddy: "the cost grows with its length (`-bench Search ./iostream`)", why: "every byte is looked at once", run: func(e *env) {
			text := strings.Repeat("\r", 2000) + "\r\n"
			pending := e.start(untilRegexp("\r\n", 0))
			for i := range text {
				e.send(text[i : i+1])
			}
			e.got(pending, text, nil)
		}},
	{number: 59, name: "an invalid regexp", tornado: "an error, and no further read is taken",
		eddy: "regexp.Compile has refused it; a nil one is ErrInvalid, and the next read works",
		why:  "arguments are checked before anything changes", once: true, run: func(e *env) {
			_, err := e.in.Read(patient(e.T), iostream.UntilRegexp((*regexp.Regexp)(nil)))
			requireIs(e.T, err, iostream.ErrInvalid)
			e.send("abc")
			e.read(exactly(3), "abc", nil)
		}},
}
