package iostream

import (
	"context"
	"errors"
	"io"
	"iter"
)

// Read waits for a message and returns it.
//
// What all reads have in common: a Frame or an argument out of range returns
// ErrInvalid or ErrTooLong and changes nothing. If another read is pending, the
// error is ErrReadPending. A read that the buffered bytes satisfy succeeds also
// on a closed stream. At the end of the stream the error is io.EOF, or why it
// was closed; when ctx is done first, the context's error; past the read
// deadline, os.ErrDeadlineExceeded. Bytes that were not returned stay buffered.
//
// The message is the caller's until the next read on the stream.
func (s *Stream) Read(ctx context.Context, f Frame) ([]byte, error) {
	data, w, err := s.tryRead(ctx, &f)
	if w != nil {
		err = s.await(readNames[f.kind], w)
		data = w.data
		w.release()
	}
	return data, err
}

// Peek waits until n bytes are buffered and returns them without reading them:
// the next read begins with them. It returns ErrTooLong if n is above
// Config.ReadLimit. Peek(ctx, s.Buffered()) does not wait.
func (s *Stream) Peek(ctx context.Context, n int) ([]byte, error) {
	return s.Read(ctx, Frame{kind: readPeek, n: n})
}

// ReadFull fills p and returns len(p), or how many bytes it has placed in p and
// the error, as io.ReadFull: at the end of the stream io.EOF if there are none,
// and else io.ErrUnexpectedEOF. The stream uses p until ReadFull returns.
// Config.ReadLimit does not count.
func (s *Stream) ReadFull(ctx context.Context, p []byte) (int, error) {
	return s.ReadAtLeast(ctx, p, len(p))
}

// ReadAtLeast reads into p, waits until it has placed at least as many bytes
// there, and returns how many: with least 1 it reads what there is, with 0 it
// does not wait. A negative one is ErrInvalid; one above len(p) is that and
// io.ErrShortBuffer. For the rest see ReadFull.
func (s *Stream) ReadAtLeast(ctx context.Context, p []byte, least int) (int, error) {
	name := readNames[readInto]
	if err := checkTarget(p, least); err != nil {
		return 0, opError(name, err)
	}
	if err := checkContext(ctx); err != nil {
		return 0, opError(name, err)
	}
	t := targets.Get().(*target)
	defer t.release()
	t.p, t.least = p, least
	op := readOp{kind: readInto, size: t.size(), into: t}
	s.mu.Lock()
	err := s.begin(op.kind)
	var w *waitOp
	if err == nil {
		var done bool
		_, err, done = s.outcome(&op)
		if !done && s.knowsOfInput() {
			s.receiveInto(t)
			_, err, done = s.outcome(&op)
		}
		if done {
			s.takeOver()
		} else {
			w = waitOps.Get().(*waitOp)
			err = s.occupy(ctx, &op, w)
		}
	}
	s.mu.Unlock()
	if w != nil {
		if err == nil {
			err = s.await(name, w)
		}
		w.release()
	}
	return t.filled, err
}

// Messages returns an iterator over the messages of a stream, each as Read
// returns it and valid until the next. It ends at the end of the stream;
// anything else, also an end within a message (io.ErrUnexpectedEOF), is its last
// error. Messages that take no input would never end: as in Handle, they are
// io.ErrNoProgress.
func (s *Stream) Messages(ctx context.Context, f Frame) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		if f.endless() {
			yield(nil, opError("messages", ErrInvalid))
			return
		}
		for empties := 0; ; {
			message, err := s.Read(ctx, f)
			if errors.Is(err, io.EOF) {
				if s.Buffered() == 0 {
					return
				}
				err = opError("messages", io.ErrUnexpectedEOF)
			}
			took, final := len(message) > 0, f.kind == readUntilClose
			if err == nil && f.kind == readSplit {
				took, final = s.splitTook()
			}
			if took || f.kind == readPrefix {
				empties = 0
			} else if empties++; err == nil && empties > f.mostEmpties() {
				message, err = nil, opError("messages", io.ErrNoProgress)
			}
			if !yield(message, err) || err != nil || final {
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
	case s.readPending():
		return 0, opError("discard", ErrReadPending)
	}
	n = min(n, s.in.len())
	s.in.take(n)
	s.in.lent = false
	s.in.release()
	return n, nil
}

// begin makes way for a read. From here on the last result is no longer the
// caller's.
func (s *Stream) begin(kind readKind) error {
	switch {
	case s.any(writeOnly):
		return opError(readNames[kind], errWriteOnly)
	case s.readPending():
		return opError(readNames[kind], ErrReadPending)
	}
	s.unset(abandoned)
	s.in.lent = false
	s.in.release()
	s.unset(inMessage)
	if !s.any(pumping | dirty) { // else it is done when what was put off is out
		s.charge()
	}
	return nil
}

// readPending reports whether another read has the slot. A repeating read whose
// function runs gives it up to whatever that begins.
func (s *Stream) readPending() bool { return s.op.kind != readNone && !s.op.running }

// takeOver ends the repeating read whose function runs, if one does: something
// else has begun that reads the stream from here on. That of a task is set aside.
func (s *Stream) takeOver() {
	if s.op.running || s.in.pinned { // else none does
		s.endRepeating()
	}
}

func (s *Stream) endRepeating() {
	if s.op.task() != nil && s.op.running {
		s.setAside()
		return
	}
	if !s.in.pinned {
		return
	}
	s.set(takenOver)
	if s.op.running {
		s.op = readOp{}
	}
}

// listen has the loop see to a read that has to wait. In the steady state it
// listens already. A stream that closes when idle may be so now.
func (s *Stream) listen() {
	read, _ := s.wants()
	if s.armed&read != read || s.holdsPlaintext() || s.any(draining) {
		s.schedule()
	}
}

// tryRead does a read that need not wait. Otherwise it puts the read into the
// slot, and returns what to wait for. While Read waits, little stands on the
// stack, which a task finds out of the cache when it goes on.
func (s *Stream) tryRead(ctx context.Context, f *Frame) ([]byte, *waitOp, error) {
	var op readOp
	if err := op.setFrame(f, s.config); err != nil {
		return nil, nil, opError(readNames[f.kind], err)
	}
	if err := checkContext(ctx); err != nil {
		return nil, nil, opError(readNames[f.kind], err)
	}
	s.mu.Lock()
	if err := s.begin(op.kind); err != nil {
		s.mu.Unlock()
		return nil, nil, err
	}
	s.equip(&op, f)
	if s.in.len() > 0 || op.size == 0 || s.readEnd() != nil {
		s.in.own()
		if data, err, ok := s.outcome(&op); ok {
			s.takeOver()
			s.in.lent = len(data) > 0
			s.abortIfCrashed(&op)
			s.mu.Unlock()
			return data, nil, err
		}
	}
	w := waitOps.Get().(*waitOp)
	err := s.occupy(ctx, &op, w)
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
	op.reader = w
	s.takeOver()
	s.op = *op
	s.listen()
	return nil
}
