package iostream

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"sync"
	"unsafe"

	"github.com/eddyloop/eddy/internal/regexscan"
	"github.com/eddyloop/eddy/ioloop"
)

// readKind says what a read is waiting for.
type readKind uint8

const (
	readNone       readKind = iota
	readUntil               // a delimiter
	readRegexp              // a match of a regular expression
	readBytes               // exactly size bytes
	readPeek                // the same, which stay buffered
	readSome                // 1 to size bytes
	readUntilClose          // everything up to the end of the stream
	readInto                // least bytes or more in the caller's buffer
	readSplit               // what a SplitFunc says
	readPrefix              // a length and as many bytes
	readStuck               // nothing: what is awaited has come, and would come for ever
	readOver                // nothing: a SplitFunc has said that its last token was the last
)

var readNames = [...]string{"read", "read until", "read until regexp", "read bytes",
	"peek", "read some", "read until close", "read at least", "split", "read length prefix", "read", "split"}

// readOp is the pending-read slot: what is waited for, and who is told. It is
// assigned whole when a read begins and whole again when it ends, whichever
// way.
type readOp struct {
	kind    readKind
	shape   prefix
	running bool  // the callback of a repeating read is in progress
	held    bool  // a repeating read holds back: too much waits to be sent
	stopped bool  // a repeating read was paused by Pause
	relayed bool  // what is read goes to another stream: this one's backlog does not matter
	cut     bool  // Close or Abort was called since it began: no message is for it
	expired bool  // the read deadline has passed since it began
	size    int32 // exact or greatest number of bytes, within MaxReadLimit
	scanned int32 // bytes of the input that were searched in vain, or of the message that a task begins with
	delim   string
	scan    *regexscan.Scanner
	split   *splitter
	into    *target

	// reader is told: a readFunc, eachFunc, taskFunc or *waitOp. One field for all
	// keeps a quiet stream small.
	reader any
}

type (
	readFunc = func(data []byte, err error)
	eachFunc = func(msg []byte, err error) bool
	taskFunc = func(t *ioloop.Task, s *Stream, msg []byte) error
)

// fn, each, task and wait return who is told, nil if it is another kind of reader.

func (op *readOp) fn() readFunc {
	fn, _ := op.reader.(readFunc)
	return fn
}

func (op *readOp) each() eachFunc {
	fn, _ := op.reader.(eachFunc)
	return fn
}

func (op *readOp) task() taskFunc {
	fn, _ := op.reader.(taskFunc)
	return fn
}

func (op *readOp) wait() *waitOp {
	w, _ := op.reader.(*waitOp)
	return w
}

// target is the caller's buffer that a read fills.
type target struct {
	p      []byte
	filled int
	least  int // bytes that complete the read
	fn     func(int, error)
}

var targets = sync.Pool{New: func() any { return new(target) }}

func newTarget(p []byte, least int) *target {
	t := targets.Get().(*target)
	t.p, t.least = p, least
	return t
}

// checkTarget checks the arguments of a read into p.
func checkTarget(p []byte, least int) error {
	switch {
	case least < 0:
		return ErrInvalid
	case least > len(p):
		return fmt.Errorf("%w: %w", ErrInvalid, io.ErrShortBuffer)
	}
	return nil
}

func (t *target) release() {
	*t = target{}
	targets.Put(t)
}

// size is the read's, which counts no further than MaxReadLimit.
func (t *target) size() int32 { return int32(min(t.least, MaxReadLimit)) }

// tell is the callback of a read with a function.
func (t *target) tell(_ []byte, err error) {
	fn, n := t.fn, t.filled
	t.release()
	fn(n, err)
}

// waitOp is a waiting call: what it waits with and where its outcome goes.
//
// It is a cache line.
type waitOp struct {
	ioloop.Waiter
	data []byte
	err  error
}

var waitOps = sync.Pool{New: func() any { return new(waitOp) }}

func (op *waitOp) release() {
	op.data, op.err = nil, nil
	waitOps.Put(op)
}

// What can be wrong with a frame.
var (
	errNoFrame      = fmt.Errorf("%w: the zero Frame says no message; say what to read, such as Until(\"\\n\")", ErrInvalid)
	errNoDelimiter  = fmt.Errorf("%w: empty delimiter", ErrInvalid)
	errNoRegexp     = fmt.Errorf("%w: nil regular expression", ErrInvalid)
	errNoFunction   = fmt.Errorf("%w: nil function", ErrInvalid)
	errEndless      = fmt.Errorf("%w: Bytes(0) and Peek would repeat for ever", ErrInvalid)
	errNoSplit      = fmt.Errorf("%w: nil SplitFunc", ErrInvalid)
	errFrameShape   = fmt.Errorf("%w: a length prefix has 1, 2, 3, 4 or 8 bytes, and a byte order", ErrInvalid)
	errFrameNumbers = fmt.Errorf("%w: negative number of bytes, or KeepHeader or CountsHeader of a frame without a header", ErrInvalid)
	errFrameLimit   = fmt.Errorf("%w: the frame allows longer messages than Config.ReadLimit", ErrTooLong)
)

// setFrame checks what is to be read, and sets it: what ends the message, and
// how many bytes it has or at most has.
func (op *readOp) setFrame(f *Frame, c *Config) error {
	limit := c.readLimit()
	switch {
	case f.limit < 0 || f.n < 0 || f.shape != 0 && f.kind != readPrefix:
		return errFrameNumbers
	case f.limit > limit:
		return errFrameLimit
	case f.limit > 0:
		limit = f.limit
	}
	switch f.kind {
	case readNone:
		return errNoFrame
	case readUntil:
		if f.delim == "" {
			return errNoDelimiter
		}
		op.delim = f.delim
	case readRegexp:
		if f.re == nil {
			return errNoRegexp
		}
	case readSplit:
		if f.split == nil {
			return errNoSplit
		}
	case readPrefix:
		if !f.shape.valid() {
			return errFrameShape
		}
	case readBytes, readPeek:
		if f.n > limit {
			return errFrameLimit
		}
		limit = f.n
	case readSome:
		if f.n > 0 {
			limit = min(f.n, limit)
		}
	}
	op.kind, op.shape, op.size = f.kind, f.shape, int32(limit)
	return nil
}

// equip gives a read what its frame works with. A stream keeps one of each for its
// next read, unless that of a pending one is in use.
func (s *Stream) equip(op *readOp, f *Frame) {
	if f.split != nil || f.re != nil {
		s.equipWith(op, f)
	}
}

func (s *Stream) equipWith(op *readOp, f *Frame) {
	switch f.kind {
	case readSplit:
		op.split = s.splitterFor(f.split)
	case readRegexp:
		op.scan = s.scannerFor(f.re)
	}
}

func (s *Stream) scannerFor(p *regexscan.Program) *regexscan.Scanner {
	d := s.ensureDetails()
	if d.scan == nil || s.op.scan == d.scan || d.aside != nil && d.aside.scan == d.scan {
		d.scan = new(regexscan.Scanner)
	}
	*d.scan = p.NewScanner()
	return d.scan
}

// nextFrame makes the frame of a repeating read that of next.
func (op *readOp) nextFrame(next *readOp) {
	op.kind, op.shape, op.size, op.scanned = next.kind, next.shape, next.size, 0
	op.delim, op.scan, op.split = next.delim, next.scan, next.split
}

// nextMessage makes a repeating read that got a message wait for the next one.
// What has taken nothing would do so for ever, and what has read to the end of
// the stream has only the end before it; the function may set another frame.
func (op *readOp) nextMessage(message []byte) {
	op.scanned = 0
	if op.kind != readUntil { // nearly always
		op.changeKind(message)
	}
}

func (op *readOp) changeKind(message []byte) {
	switch op.kind {
	case readUntilClose:
		op.kind, op.size = readSome, 1
	case readBytes, readRegexp:
		if len(message) == 0 {
			op.kind, op.size = readStuck, 0
		} else if op.kind == readRegexp {
			op.scan.Reset()
		}
	case readSplit:
		if op.split.next(); op.split.final {
			op.kind, op.size = readOver, 0
		}
	}
}

// match looks whether b, the unread input, satisfies the read. It returns how
// many bytes the result has, or -1; err is ErrTooLong if no further input can
// make it good.
func (op *readOp) match(b []byte) (int, error) {
	switch op.kind {
	case readUntil:
		return op.matchDelimiter(b)
	case readRegexp:
		return op.matchRegexp(b)
	case readBytes, readPeek:
		if len(b) >= int(op.size) {
			return int(op.size), nil
		}
	case readSome:
		if len(b) > 0 {
			return min(len(b), int(op.size)), nil
		}
	case readUntilClose:
		return -1, op.limit(b)
	case readPrefix:
		return op.shape.match(b, int(op.size))
	case readStuck:
		return -1, io.ErrNoProgress
	case readOver:
		return -1, io.EOF
	}
	return -1, nil
}

// match is readOp.match for the stream's input.
func (s *Stream) match(op *readOp) (int, error) {
	switch op.kind {
	case readUntil: // nearly always
		return op.matchDelimiter(s.in.bytes())
	case readSplit:
		return s.matchSplit(op)
	}
	return op.match(s.in.bytes())
}

// next takes the next message of a read, if it is there. Nothing of it has been searched.
func (s *Stream) next(op *readOp) (message []byte, ok bool) {
	if len(op.delim) == 1 { // nearly always
		b := s.in.bytes()
		if n := bytes.IndexByte(b, op.delim[0]) + 1; n > 0 && n <= int(op.size) {
			return s.in.take(n), true
		} else if n == 0 {
			op.scanned = int32(len(b))
			return nil, false
		}
	}
	n, _ := s.match(op)
	if n < 0 {
		return nil, false
	}
	return s.takeMessage(op, n), true
}

// takeMessage takes the n bytes that op has matched, and returns the message in them.
func (s *Stream) takeMessage(op *readOp, n int) []byte {
	switch op.kind {
	case readUntil: // nearly always
	case readPeek:
		return s.in.bytes()[:n:n]
	case readSplit:
		return op.split.strip(s.in.take(n))
	case readPrefix:
		return op.shape.strip(s.in.take(n))
	}
	return s.in.take(n)
}

// limit returns ErrTooLong once b has more bytes than may be searched.
func (op *readOp) limit(b []byte) error {
	if len(b) > int(op.size) {
		return ErrTooLong
	}
	return nil
}

func (op *readOp) within(end int) (int, error) {
	if end > int(op.size) {
		return -1, ErrTooLong
	}
	return end, nil
}

// matchDelimiter goes on where the last search ended, less what could be the
// start of a delimiter, so that every byte is looked at once.
func (op *readOp) matchDelimiter(b []byte) (int, error) {
	from := max(0, int(op.scanned)-len(op.delim)+1)
	var i int
	if len(op.delim) == 1 {
		i = bytes.IndexByte(b[from:], op.delim[0])
	} else {
		i = strings.Index(unsafe.String(unsafe.SliceData(b), len(b))[from:], op.delim)
	}
	if i >= 0 {
		op.scanned = int32(from + i + len(op.delim) - 1) // another look finds it at once
		return op.within(from + i + len(op.delim))
	}
	op.scanned = int32(len(b))
	return -1, op.limit(b)
}

// matchRegexp may be asked again about the same input, and must answer the same.
func (op *readOp) matchRegexp(b []byte) (int, error) {
	if len(b) == int(op.scanned) { // in vain, or empty, which is not searched
		return -1, op.limit(b)
	}
	if end := op.scan.Scan(b); end >= 0 {
		return op.within(end)
	}
	op.scanned = int32(len(b))
	return -1, op.limit(b)
}

// fill moves what it can from in to the caller's buffer, and reports whether
// that completes the read.
func (t *target) fill(in *input) bool {
	n := min(in.len(), len(t.p)-t.filled)
	copy(t.p[t.filled:], in.take(n))
	t.filled += n
	return t.filled >= t.least
}

// isExact reports whether a number of bytes is awaited.
func (op *readOp) isExact() bool { return op.kind == readBytes || op.kind == readPeek }

func (op *readOp) isInto() bool { return op.kind == readInto }

// placed returns how many bytes stand in the caller's buffer already.
func (op *readOp) placed() int {
	if !op.isInto() {
		return 0
	}
	return op.into.filled
}
