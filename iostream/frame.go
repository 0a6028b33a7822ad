package iostream

import "regexp"

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
	re    *regexp.Regexp
}

// Until is a message that ends in delim, which is part of the message.
func Until(delim string) Frame { return Frame{kind: readUntil, delim: delim} }

// UntilRegexp is a message that ends where the first match of re ends. It gives
// what running re on all buffered bytes after each arrival gives: where a match
// can go on (`ab+`), and for `$`, the result depends on how the bytes arrive. A
// match of no bytes is an empty message once there is input.
func UntilRegexp(re *regexp.Regexp) Frame { return Frame{kind: readRegexp, re: re} }

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

// Limit returns f with the most bytes that a message may have. 0 is
// Config.ReadLimit; a read returns ErrTooLong if n is above that.
func (f Frame) Limit(n int) Frame {
	f.limit = n
	return f
}

// endless reports whether there would be no end of messages without input.
func (f *Frame) endless() bool { return f.kind == readBytes && f.n == 0 }
