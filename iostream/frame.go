package iostream

import (
	"bufio"
	"encoding/binary"
	"regexp"

	"github.com/eddyloop/eddy/internal/regexscan"
)

// Frame says what a read reads: where a message ends. It is a small value,
// which costs no allocation and can be kept, in a variable of a protocol's
// package for instance, and used by any number of reads and streams.
//
//	var line = iostream.Until("\r\n").Limit(8 << 10)
//
// A Frame has a limit, the most bytes that a message may have: [Frame.Limit], or
// else Config.ReadLimit. A read of a stream that has more than that without a
// message's end fails with ErrTooLong, and the bytes stay.
//
// Arguments that make no sense, such as an empty delimiter, are refused with
// ErrInvalid by the method that is given the Frame. So is the zero Frame.
type Frame struct {
	kind  readKind
	n     int // of bytes
	limit int // 0: Config.ReadLimit
	delim string
	re    *regexscan.Program
	split bufio.SplitFunc
	shape prefix
}

// Until is a message that ends in delim, which is part of the message.
func Until(delim string) Frame { return Frame{kind: readUntil, delim: delim} }

// UntilRegexp is a message that ends where the first match of re ends. It gives
// what running re on all buffered bytes after each arrival gives: where a match
// can go on (`ab+`), and for `$`, the result depends on how the bytes arrive. A
// match of no bytes is an empty message once there is input.
//
// re is prepared here, which costs more than a read: make the Frame once. (The 64
// expressions that were used last are remembered, for those who do not.)
//
// Package regexp reads UTF-8: `.` is a rune, `\xff` is the two bytes of U+00FF, and
// a byte that belongs to no rune is `\x{FFFD}`, whichever it is. For a certain byte
// above 0x7f use [Until] or [Split].
//
// Each byte is looked at once by an automaton; when it finds that there is a
// match, re itself runs once over what is buffered to say where it ends. So the
// cost is linear if messages arrive one by one. Beyond that:
//   - an expression that must look behind the end of its match, such as
//     `(?s)/\*.*\*/|\n`, costs each message as much as is buffered: with 512 KiB
//     behind it some 20 ms;
//   - an expression of very many states, such as `(a|b)*a(a|b){12}c`, costs half
//     a microsecond for each byte, as in package regexp, and no loop waits for another.
//
// Neither comes from a peer without the expression allowing it: bound what an
// untrusted peer may send by Config.ReadLimit.
func UntilRegexp(re *regexp.Regexp) Frame {
	f := Frame{kind: readRegexp}
	if re != nil {
		f.re = regexscan.For(re)
	}
	return f
}

// Bytes is a message of exactly n bytes. A read of Bytes(0) does not wait.
func Bytes(n int) Frame { return Frame{kind: readBytes, n: n} }

// Some is what there is, at least 1 and at most max bytes. A max of 0 is the
// limit, as is one above it.
func Some(max int) Frame { return Frame{kind: readSome, n: max} }

// UntilClose is everything up to the end of the stream. It is one message,
// which may be empty. A read returns it without an error only if the peer has
// ended the stream in good order; otherwise the error comes with the bytes that
// had arrived.
func UntilClose() Frame { return Frame{kind: readUntilClose} }

// Split is what fn makes of the input, as bufio.Scanner has it: a token, which
// is the message, input to pass over, or an error, which the read returns. It is
// called once for each arrival, with all that is buffered, and once more with
// atEOF at an end in good order. So a fn that begins anew each time, such as
// bufio.ScanLines, costs a message that comes in k pieces k looks at it; [Until]
// and [LengthPrefix] look at each byte once.
//
// bufio.ErrFinalToken ends the messages: what follows is io.EOF. A fn that
// advances by less than nothing or beyond the data is bufio.ErrNegativeAdvance
// or bufio.ErrAdvanceTooFar, one that returns 100 tokens in a row without
// advancing io.ErrNoProgress. One that panics, or calls runtime.Goexit, fails the
// stream with a *ioloop.PanicError, or ioloop.ErrGoexit. A token need not be part of
// the data. fn must not call methods of the stream.
func Split(fn bufio.SplitFunc) Frame { return Frame{kind: readSplit, split: fn} }

// LengthPrefix is a message behind its length, a number of size bytes (1, 2, 3, 4
// or 8) in the given order. The length is that of what follows, and the message
// is without it; [Frame.CountsHeader] and [Frame.KeepHeader] say otherwise. A
// length that announces more than the limit is ErrTooLong at once. An empty
// message is a message. The order of a single byte may be nil.
func LengthPrefix(size int, order binary.ByteOrder) Frame {
	return Frame{kind: readPrefix, shape: newPrefix(size, order)}
}

// Varint is a message behind its length, an unsigned varint as encoding/binary
// and Protocol Buffers have it. One beyond 64 bits is ErrTooLong.
func Varint() Frame { return Frame{kind: readPrefix} }

// KeepHeader returns f, a LengthPrefix or Varint, with the length as part of the
// message and of its limit.
func (f Frame) KeepHeader() Frame {
	f.shape |= keepHeader
	return f
}

// CountsHeader returns f, a LengthPrefix, whose length counts itself. A length
// below its own size is ErrMalformed.
func (f Frame) CountsHeader() Frame {
	f.shape |= countsHeader
	return f
}

// Limit returns f with the most bytes that a message may have. 0 is
// Config.ReadLimit; a read returns ErrTooLong if n is above that.
func (f Frame) Limit(n int) Frame {
	f.limit = n
	return f
}

// mostEmpties is how many messages in a row may take no input: a SplitFunc may be
// in the middle of something, a regexp will say the same again.
func (f *Frame) mostEmpties() int {
	if f.kind == readSplit {
		return maxEmpties + 1
	}
	return 1
}

// endless reports whether there would be no end of messages without input.
func (f *Frame) endless() bool { return f.kind == readBytes && f.n == 0 }
