package iostream

import (
	"context"
	"errors"
	"io"
	"iter"
	"regexp"

	"github.com/eddyloop/eddy/internal/regexscan"
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
	op := readOp{kind: readUntil, delim: delim}
	return s.read(ctx, &op, max)
}

// ReadUntilRegexp reads up to the end of the first match of re. It gives what
// running re on all buffered bytes after each arrival gives: where a match can
// go on (`ab+`), and for `$`, the result depends on how the bytes arrive. A
// match of no bytes returns none once there is input. What re is made into is
// kept for further reads with the same re. For max see ReadUntil.
func (s *Stream) ReadUntilRegexp(ctx context.Context, re *regexp.Regexp, max int) ([]byte, error) {
	op := regexpOp(re)
	return s.read(ctx, &op, max)
}

// ReadBytes reads exactly n bytes. It returns ErrTooLong if n is above
// Config.ReadLimit.
func (s *Stream) ReadBytes(ctx context.Context, n int) ([]byte, error) {
	op := readOp{kind: readBytes}
	return s.read(ctx, &op, n)
}

// Peek waits until n bytes are buffered and returns them without reading them:
// the next read begins with them. It returns ErrTooLong if n is above
// Config.ReadLimit. Peek(ctx, s.Buffered()) does not wait.
func (s *Stream) Peek(ctx context.Context, n int) ([]byte, error) {
	op := readOp{kind: readPeek}
	return s.read(ctx, &op, n)
}

// ReadSome reads what there is, at least 1 and at most max bytes. A max of 0 is
// Config.ReadLimit.
func (s *Stream) ReadSome(ctx context.Context, max int) ([]byte, error) {
	op := readOp{kind: readSome}
	return s.read(ctx, &op, max)
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
	op := readOp{kind: readUntilClose}
	return s.read(ctx, &op, max)
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

func regexpOp(re *regexp.Regexp) readOp {
	op := readOp{kind: readRegexp}
	if re != nil {
		scanner := regexscan.For(re).NewScanner()
		op.scan = &scanner
	}
	return op
}

// begin makes way for a read. From here on the last result is no longer the
// caller's.
func (s *Stream) begin(op *readOp) error {
	switch {
	case s.any(writeOnly):
		return opError(readNames[op.kind], errWriteOnly)
	case s.op.kind != readNone:
		return opError(readNames[op.kind], ErrReadPending)
	}
	s.in.lent = false
	s.in.release()
	if !s.any(pumping | dirty) { // else it is done when what was put off is out
		s.charge()
	}
	return nil
}

// listen has the loop see to a read that has to wait. In the steady state it
// listens already. A stream that closes when idle may be so now.
func (s *Stream) listen() {
	read, _ := s.wants()
	if s.armed&read != read || s.holdsPlaintext() || s.any(draining) {
		s.schedule()
	}
}

// read does a read that waits. While it does, little stands on the stack, which
// a task finds out of the cache when it goes on.
func (s *Stream) read(ctx context.Context, op *readOp, size int) ([]byte, error) {
	data, w, err := s.tryRead(ctx, op, size)
	if w != nil {
		err = s.await(readNames[op.kind], w)
		data = w.data
		w.release()
	}
	return data, err
}

// tryRead does a read that need not wait. Otherwise it puts the read into the slot,
// and returns what to wait for.
func (s *Stream) tryRead(ctx context.Context, op *readOp, size int) ([]byte, *waitOp, error) {
	if err := op.setSize(s.config, size); err != nil {
		return nil, nil, opError(readNames[op.kind], err)
	}
	if err := checkContext(ctx); err != nil {
		return nil, nil, opError(readNames[op.kind], err)
	}
	s.mu.Lock()
	if err := s.begin(op); err != nil {
		s.mu.Unlock()
		return nil, nil, err
	}
	if s.in.len() > 0 || op.size == 0 || s.readEnd() != nil {
		s.in.own()
		if data, err, ok := s.outcome(op); ok {
			s.in.lent = len(data) > 0
			s.mu.Unlock()
			return data, nil, err
		}
	}
	w := waitOps.Get().(*waitOp)
	err := s.occupy(ctx, op, w)
	s.mu.Unlock()
	if err != nil {
		w.release()
		return nil, nil, err
	}
	return nil, w, nil
}

// occupy puts a read that has to wait into the slot.
func (s *Stream) occupy(ctx context.Context, op *readOp, w *waitOp) error {
	if err := w.Begin(ctx); err != nil {
		return opError(readNames[op.kind], err)
	}
	op.wait = w
	s.op = *op
	s.listen()
	return nil
}

func (s *Stream) readInto(ctx context.Context, kind readKind, p []byte) (int, error) {
	name := readNames[kind]
	if err := checkContext(ctx); err != nil {
		return 0, opError(name, err)
	}
	w := waitOps.Get().(*waitOp)
	defer w.releaseInto()
	w.into = p
	op := readOp{kind: kind, wait: w}
	s.mu.Lock()
	err, done := s.begin(&op), true
	if err == nil {
		if _, err, done = s.outcome(&op); !done {
			err = s.occupy(ctx, &op, w)
		}
	}
	s.mu.Unlock()
	if err == nil && !done {
		err = s.await(name, w)
	}
	return w.filled, err
}
