package iostream

import (
	"context"
	"errors"
	"io"
	"iter"
	"regexp"

	"github.com/eddyloop/eddy/internal/regexscan"
	"github.com/eddyloop/eddy/ioloop"
)

// ReadUntil reads up to and including the first occurrence of delim. The result
// has at most max bytes; if the stream has more than that without delim, the
// error is ErrTooLong and the bytes stay. A max of 0 is Config.ReadLimit.
//
// What all reads have in common: invalid arguments (here an empty delim, or a
// max below 0 or above Config.ReadLimit) return ErrInvalid or ErrTooLong and
// change nothing. If another read is pending, the error is ErrReadPending. A
// read that the buffered bytes satisfy succeeds also on a closed stream. At the
// end of the stream the error is io.EOF, or why it was closed; when ctx is done
// first, the context's error; past the read deadline, os.ErrDeadlineExceeded.
// Bytes that were not returned stay buffered.
func (s *Stream) ReadUntil(ctx context.Context, delim string, max int) ([]byte, error) {
	op, err := s.untilOp(delim, max)
	if err != nil {
		return nil, err
	}
	return s.read(ctx, op)
}

// ReadUntilRegexp reads up to the end of the first match of re. It gives what
// running re on all buffered bytes after each arrival gives: where a match can
// go on (`ab+`), and for `$`, the result depends on how the bytes arrive. A
// match of no bytes returns none once there is input. For max see ReadUntil.
func (s *Stream) ReadUntilRegexp(ctx context.Context, re *regexp.Regexp, max int) ([]byte, error) {
	op, err := s.regexpOp(re, max)
	if err != nil {
		return nil, err
	}
	return s.read(ctx, op)
}

// ReadBytes reads exactly n bytes. It returns ErrTooLong if n is above
// Config.ReadLimit.
func (s *Stream) ReadBytes(ctx context.Context, n int) ([]byte, error) {
	op, err := s.sizeOp(readBytes, n)
	if err != nil {
		return nil, err
	}
	return s.read(ctx, op)
}

// Peek waits until n bytes are buffered and returns them without reading them:
// the next read begins with them. It returns ErrTooLong if n is above
// Config.ReadLimit. Peek(ctx, s.Buffered()) does not wait.
func (s *Stream) Peek(ctx context.Context, n int) ([]byte, error) {
	op, err := s.sizeOp(readPeek, n)
	if err != nil {
		return nil, err
	}
	return s.read(ctx, op)
}

// ReadSome reads what there is, at least 1 and at most max bytes. A max of 0 is
// Config.ReadLimit.
func (s *Stream) ReadSome(ctx context.Context, max int) ([]byte, error) {
	op, err := s.limitOp(readSome, max)
	if err != nil {
		return nil, err
	}
	return s.read(ctx, op)
}

// ReadInto fills p and returns len(p), or how many bytes it has placed in p and
// the error. The stream uses p until ReadInto returns. Config.ReadLimit does
// not count.
func (s *Stream) ReadInto(ctx context.Context, p []byte) (int, error) {
	return s.readInto(ctx, readInto, p)
}

// ReadSomeInto reads what there is into p, at least 1 byte unless p is empty,
// and returns how many.
func (s *Stream) ReadSomeInto(ctx context.Context, p []byte) (int, error) {
	return s.readInto(ctx, readSomeInto, p)
}

// ReadUntilClose reads everything up to the end of the stream. The error is nil
// only if the peer has ended it in good order; otherwise it comes with the
// bytes that had arrived. With more than max bytes it is ErrTooLong, and they
// stay. A max of 0 is Config.ReadLimit.
func (s *Stream) ReadUntilClose(ctx context.Context, max int) ([]byte, error) {
	op, err := s.limitOp(readUntilClose, max)
	if err != nil {
		return nil, err
	}
	return s.read(ctx, op)
}

// Messages returns an iterator over the messages that end in delim, each as
// ReadUntil returns it and valid until the next. It ends at the end of the
// stream; anything else, also an end within a message (io.ErrUnexpectedEOF), is
// its last error.
func (s *Stream) Messages(ctx context.Context, delim string, max int) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		for {
			message, err := s.ReadUntil(ctx, delim, max)
			if errors.Is(err, io.EOF) {
				if s.Buffered() == 0 {
					return
				}
				err = opError("messages", io.ErrUnexpectedEOF)
			}
			if !yield(message, err) || err != nil {
				return
			}
		}
	}
}

// Buffered returns how many bytes have been received and not read.
func (s *Stream) Buffered() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.in.len()
}

// Discard drops up to n buffered bytes and returns how many; it waits for none.
// Like a read, it ends the life of the last result. It returns ErrInvalid if n
// is negative, and ErrReadPending while a read waits for input.
func (s *Stream) Discard(n int) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case n < 0:
		return 0, opError("discard", ErrInvalid)
	case s.op.kind != readNone && !s.op.running:
		return 0, opError("discard", ErrReadPending)
	}
	n = min(n, s.in.len())
	s.in.take(n)
	s.in.lent = false
	s.in.release()
	return n, nil
}

// Reading reports whether a read is pending.
func (s *Stream) Reading() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.op.kind != readNone
}

func (s *Stream) untilOp(delim string, max int) (readOp, error) {
	op, err := s.limitOp(readUntil, max)
	if delim == "" {
		err = opError("read until", ErrInvalid)
	}
	op.delim = delim
	return op, err
}

func (s *Stream) regexpOp(re *regexp.Regexp, max int) (readOp, error) {
	op, err := s.limitOp(readRegexp, max)
	if re == nil {
		return op, opError("read until regexp", ErrInvalid)
	}
	scanner := regexscan.For(re).NewScanner()
	op.scan = &scanner
	return op, err
}

// limitOp is a read of at most max bytes, 0 standing for the stream's limit.
func (s *Stream) limitOp(kind readKind, max int) (readOp, error) {
	op, err := s.sizeOp(kind, max)
	if max == 0 {
		op.size = int32(s.config.readLimit())
	}
	return op, err
}

func (s *Stream) sizeOp(kind readKind, n int) (readOp, error) {
	op := readOp{kind: kind}
	switch {
	case n < 0:
		return op, opError(readNames[kind], ErrInvalid)
	case n > s.config.readLimit():
		return op, opError(readNames[kind], ErrTooLong)
	}
	op.size = int32(n)
	return op, nil
}

// begin puts a read into the slot. From here on the last result is no longer
// the caller's.
func (s *Stream) begin(op readOp) error {
	if s.op.kind != readNone {
		return opError(readNames[op.kind], ErrReadPending)
	}
	s.op = op
	s.in.lent = false
	s.in.release()
	return nil
}

// listen has the loop see to a read that has to wait. In the steady state it
// listens already.
func (s *Stream) listen() {
	read, _ := s.transport.Want()
	if s.armed&read != read || s.transport.Buffered() {
		s.poke()
	}
}

func (s *Stream) read(ctx context.Context, op readOp) ([]byte, error) {
	name := readNames[op.kind]
	if err := ioloop.CheckContext(ctx); err != nil {
		return nil, opError(name, err)
	}
	s.mu.Lock()
	if err := s.begin(op); err != nil {
		s.mu.Unlock()
		return nil, err
	}
	s.in.own()
	if data, err, ok := s.outcome(); ok {
		s.op = readOp{}
		s.in.lent = len(data) > 0
		s.mu.Unlock()
		return data, err
	}
	w, err := s.park(ctx, nil)
	s.mu.Unlock()
	if err != nil {
		return nil, opError(name, err)
	}
	err = s.await(name, w)
	data := w.data
	w.release()
	return data, err
}

// park gives the pending read a waiting call's waiter.
func (s *Stream) park(ctx context.Context, into []byte) (*waitOp, error) {
	w := waitOps.Get().(*waitOp)
	if err := w.Begin(ctx); err != nil {
		s.op = readOp{}
		return nil, err
	}
	w.into = into
	s.op.wait = w
	s.listen()
	return w, nil
}

func (s *Stream) readInto(ctx context.Context, kind readKind, p []byte) (int, error) {
	name := readNames[kind]
	if err := ioloop.CheckContext(ctx); err != nil {
		return 0, opError(name, err)
	}
	s.mu.Lock()
	err := s.begin(readOp{kind: kind})
	if err != nil {
		s.mu.Unlock()
		return 0, err
	}
	w := waitOps.Get().(*waitOp)
	w.into = p
	s.op.wait = w
	if _, err, ok := s.outcome(); ok {
		n := w.filled
		s.op = readOp{}
		w.release()
		s.mu.Unlock()
		return n, err
	}
	if err = w.Begin(ctx); err != nil {
		s.op = readOp{}
		s.mu.Unlock()
		return w.filled, opError(name, err)
	}
	s.listen()
	s.mu.Unlock()
	err = s.await(name, w)
	n := w.filled
	w.release()
	return n, err
}
