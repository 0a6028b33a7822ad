package iostream

import (
	"bufio"
	"encoding/binary"
	"regexp"

	"github.com/eddyloop/eddy/internal/regexscan"
)

// Frame says what a read reads: where a message ends. It is a small value that
// costs no allocation. It may be kept, for instance in a package's variable,
// and used by any number of reads and streams:
//
//	var line = iostream.Until("\r\n").Limit(8 << 10)
//
// The limit of a Frame is the most bytes that a message may have: Frame.Limit,
// or else Config.ReadLimit. If a stream has received more than that and no end
// of a message, the read fails with ErrTooLong and the bytes stay buffered.
//
// A read returns ErrInvalid for the zero Frame and for a Frame with bad
// arguments, such as an empty delimiter.
type Frame struct {
	kind  readKind
	n     int // of bytes
	limit int // 0: Config.ReadLimit
	delim string
	re    *regexscan.Program
	split bufio.SplitFunc
	shape prefix
}

// Until is a message that ends in delim. The message contains delim.
func Until(delim string) Frame { return Frame{kind: readUntil, delim: delim} }

// UntilRegexp is a message that ends where the first match of re ends, as if re
// ran on all buffered bytes after each arrival. If a match can go on (`ab+`),
// and for `$`, the result depends on how the bytes arrive. A match of no bytes
// is an empty message, once there is input.
//
// UntilRegexp prepares re, which costs more than a read: make the Frame once.
// The 64 expressions used last are cached.
//
// Package regexp reads UTF-8: `.` is a rune, `\xff` is the two bytes of U+00FF,
// and `\x{FFFD}` matches any byte that is part of no rune. For a single byte
// above 0x7f use Until or Split.
//
// An automaton looks at each byte once. When it finds that there is a match, re
// runs once over what is buffered and says where the match ends. So the cost is
// linear if messages arrive one by one. It is higher in two cases:
//   - An expression that must look behind the end of its match, such as
//     `(?s)/\*.*\*/|\n`, costs each message as much as is buffered: some 20 ms
//     with 512 KiB behind it.
//   - An expression of very many states, such as `(a|b)*a(a|b){12}c`, costs half
//     a microsecond for each byte, as in package regexp.
//
// Both depend on the expression and not on the peer alone. Bound what an
// untrusted peer may send by Config.ReadLimit.
func UntilRegexp(re *regexp.Regexp) Frame {
	f := Frame{kind: readRegexp}
	if re != nil {
		f.re = regexscan.For(re)
	}
	return f
}

// Bytes is a message of exactly n bytes. A read returns ErrTooLong if n is
// above the limit, and ErrInvalid if n is negative. A read of Bytes(0) does not
// wait.
func Bytes(n int) Frame { return Frame{kind: readBytes, n: n} }

// Peek is the next n bytes, which stay: the next read begins with them. They are
// valid until that read. Peek(s.Buffered()) does not wait. A repeating read of
// it is ErrInvalid, as there would be no end. For the rest see Bytes.
func Peek(n int) Frame { return Frame{kind: readPeek, n: n} }

// Some is what has been received, at least 1 and at most max bytes. With a max
// of 0 or above the limit, the limit counts.
func Some(max int) Frame { return Frame{kind: readSome, n: max} }

// UntilClose is everything up to the end of the stream. It is one message,
// which may be empty. The read returns no error only if the peer has ended the
// stream in good order; otherwise it returns the bytes that had arrived and the
// error.
func UntilClose() Frame { return Frame{kind: readUntilClose} }

// Split is a message that fn finds, as for a bufio.Scanner: fn returns a token,
// which is the message, input to skip, or an error, which the read returns. fn
// is called once for each arrival with all that is buffered, and once more with
// atEOF when the peer has ended the stream in good order. A function that
// starts anew each time, such as bufio.ScanLines, looks k times at a message
// that comes in k pieces; Until and LengthPrefix look at each byte once.
//
// After bufio.ErrFinalToken the reads return io.EOF. Errors of fn itself are
// bufio.ErrNegativeAdvance and bufio.ErrAdvanceTooFar for a bad advance, and
// io.ErrNoProgress for 100 tokens in a row without an advance. If fn panics or
// calls runtime.Goexit, the stream fails with a *ioloop.PanicError or
// ioloop.ErrGoexit. The token need not be part of the data. fn must not call
// methods of the stream.
func Split(fn bufio.SplitFunc) Frame { return Frame{kind: readSplit, split: fn} }

// LengthPrefix is a message behind its length, a number of size bytes (1, 2, 3,
// 4 or 8) in the given order. The length counts the bytes that follow it, and
// the message does not contain it; Frame.CountsHeader and Frame.KeepHeader
// change that. A length above the limit is ErrTooLong at once. A length of 0 is
// an empty message. With size 1, order may be nil.
func LengthPrefix(size int, order binary.ByteOrder) Frame {
	return Frame{kind: readPrefix, shape: newPrefix(size, order)}
}

// Varint is a message behind its length, an unsigned varint as encoding/binary
// and Protocol Buffers write it. A length above 64 bits is ErrTooLong.
func Varint() Frame { return Frame{kind: readPrefix} }

// KeepHeader returns f, a LengthPrefix or Varint, with the length as part of
// the message and of its limit. A read returns ErrInvalid for another f.
func (f Frame) KeepHeader() Frame {
	f.shape |= keepHeader
	return f
}

// CountsHeader returns f, a LengthPrefix, with a length that counts itself. A
// length below its own size is ErrMalformed. A read returns ErrInvalid if f is
// no LengthPrefix.
func (f Frame) CountsHeader() Frame {
	f.shape |= countsHeader
	return f
}

// Limit returns f with a limit of n bytes for a message. 0 is Config.ReadLimit.
// A read returns ErrTooLong if n is above Config.ReadLimit, and ErrInvalid if n
// is negative.
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

// checkRepeating returns what is wrong with a repeating read of the frame by a function.
func (f *Frame) checkRepeating(noFunction bool) error {
	switch {
	case noFunction:
		return errNoFunction
	case f.kind == readBytes && f.n == 0 || f.kind == readPeek:
		return errEndless
	}
	return nil
}
