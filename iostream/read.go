package iostream

import (
	"bytes"
	"context"
	"errors"
	"io"
	"iter"
)

// Read waits for a message and returns it. The message is valid until the next
// read on the stream.
//
// The errors of all reads: ErrInvalid or ErrTooLong for a Frame or argument out
// of range, and ErrReadPending if another read is pending; then nothing has
// changed. io.EOF at the end of the stream, io.ErrUnexpectedEOF if TLS or a
// simulated transport ended too early, or why the stream was closed. The error
// of ctx if ctx is done first. os.ErrDeadlineExceeded after the read deadline.
// ErrTooLong if the message exceeds its limit, and ErrMalformed. Bytes that
// were not returned stay buffered. A read that the buffered bytes satisfy
// succeeds also on a closed stream.
func (s *Stream) Read(ctx context.Context, f Frame) ([]byte, error) {
	data, w, err := s.tryRead(ctx, &f)
	if w != nil {
		err = s.await(readNames[f.kind], w)
		data = w.data
		w.release()
	}
	return data, err
}

// ReadAtLeast reads into p until at least the given number of bytes are there,
// and returns how many it has placed in p, also with an error. With least 1 it
// reads what there is, with len(p) it fills p, with 0 it does not wait. The
// stream uses p until ReadAtLeast returns. Config.ReadLimit does not limit
// len(p).
//
// As in io.ReadAtLeast, the end of the stream is io.EOF if no bytes came and
// io.ErrUnexpectedEOF otherwise. A negative least is ErrInvalid; a least above
// len(p) is ErrInvalid and io.ErrShortBuffer. Other errors are those of Read.
func (s *Stream) ReadAtLeast(ctx context.Context, p []byte, least int) (int, error) {
	if err := checkReadInto(ctx, p, least); err != nil {
		return 0, err
	}
	t := newTarget(p, least)
	w, err := s.tryReadInto(ctx, t, nil)
	if w != nil {
		err = s.await(readNames[readInto], w)
		w.release()
	}
	n := t.filled
	t.release()
	return n, err
}

func checkReadInto(ctx context.Context, p []byte, least int) error {
	err := checkTarget(p, least)
	if err == nil {
		err = checkContext(ctx)
	}
	return opError(readNames[readInto], err)
}

// tryReadInto is tryRead for a read into t, which waits with own unless that is nil.
func (s *Stream) tryReadInto(ctx context.Context, t *target, own *waitOp) (*waitOp, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.begin(readInto); err != nil {
		return nil, err
	}
	done := t.fill(&s.in)
	if !done && s.knowsOfInput() {
		done = s.receiveInto(t)
		s.countOfTask(ctx, t.filled)
	}
	var w *waitOp
	var err error
	if !done {
		err = s.readFailure(readInto, t.filled, false)
	}
	if done || err != nil {
		s.takeOver()
	} else {
		w, err = s.waitInto(ctx, t, own)
	}
	s.in.release() // if the last of it has been placed
	s.chargeUnlessLater()
	return w, err
}

// waitInto puts a read into t that has to wait into the slot.
func (s *Stream) waitInto(ctx context.Context, t *target, w *waitOp) (*waitOp, error) {
	if w == nil {
		w = waitOps.Get().(*waitOp)
	}
	if err := w.Begin(ctx); err != nil {
		return nil, opError(readNames[readInto], err)
	}
	s.takeOver()
	s.op = readOp{}
	s.op.kind, s.op.size, s.op.into, s.op.reader = readInto, t.size(), t, w // not by way of the stack
	s.listen()
	return w, nil
}

// Messages returns an iterator over the messages of a stream. Each is valid
// until the next. It waits with ctx as Read does, and stops without an error at
// the end of the stream. Any other error is its last value, for instance
// io.ErrUnexpectedEOF for an end within a message, and io.ErrNoProgress for
// messages that take no input. Leaving the loop does not close the stream.
func (s *Stream) Messages(ctx context.Context, f Frame) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		if err := f.checkRepeating(false); err != nil {
			yield(nil, opError("messages", err))
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

// begin makes way for a read. From here on the last result is no longer the
// caller's.
func (s *Stream) begin(kind readKind) error {
	if s.any(writeOnly) || s.readPending() {
		return s.cannotBegin(kind)
	}
	s.unset(abandoned)
	s.in.lent = false
	s.in.release()
	s.unset(inMessage)
	s.chargeUnlessLater()
	return nil
}

func (s *Stream) cannotBegin(kind readKind) error {
	if s.any(writeOnly) {
		return opError(readNames[kind], errWriteOnly)
	}
	return opError(readNames[kind], ErrReadPending)
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
// listens already. A stream that closes when idle may be so now, and the time of a
// message that is here in part runs.
func (s *Stream) listen() {
	read, _ := s.wants()
	if s.armed&read != read || s.holdsPlaintext() || s.any(draining) || s.config.MessageTimeout > 0 && s.hasPart() {
		s.schedule()
	}
}

// tryRead does a read that need not wait. Otherwise it puts the read into the
// slot, and returns what to wait for. While Read waits, little stands on the
// stack, which a task finds out of the cache when it goes on.
func (s *Stream) tryRead(ctx context.Context, f *Frame) ([]byte, *waitOp, error) {
	var op readOp
	plain := f.isPlain()
	if !plain {
		if err := op.setFrame(f, s.config); err != nil {
			return nil, nil, opError(readNames[f.kind], err)
		}
	}
	if err := checkContext(ctx); err != nil {
		return nil, nil, opError(readNames[f.kind], err)
	}
	s.mu.Lock()
	if err := s.begin(f.kind); err != nil {
		s.mu.Unlock()
		return nil, nil, err
	}
	if plain {
		if data := s.readPlain(f); data != nil {
			s.mu.Unlock()
			return data, nil, nil
		}
		_ = op.setFrame(f, s.config) // a plain one has nothing that could be wrong
	}
	s.equip(&op, f)
	if s.in.len() > 0 || op.size == 0 || s.readEnd() != nil {
		s.in.own()
		if data, err, ok := s.outcome(&op); ok {
			s.takeOver()
			s.in.lent = len(data) > 0 // of an error the Budget would count a buffer
			s.abortIfCrashed(&op)
			s.mu.Unlock()
			return data, nil, err
		}
	}
	w := waitOps.Get().(*waitOp)
	err := s.occupy(ctx, &op, w)
	s.mu.Unlock()
	if err != nil {
		return nil, nil, err
	}
	return nil, w, nil
}

// isPlain reports whether a message ends in a single byte, and only Config bounds it.
func (f *Frame) isPlain() bool {
	return len(f.delim) == 1 && f.n|f.limit|int(f.shape) == 0
}

// readPlain is outcome for a plain frame whose message is there: pipelined lines pay
// for no read operation. It returns nil if the message is not there or too long.
func (s *Stream) readPlain(f *Frame) []byte {
	n := bytes.IndexByte(s.in.bytes(), f.delim[0]) + 1
	if n == 0 || n > s.config.readLimit() {
		return nil
	}
	s.in.own()
	s.takeOver()
	s.in.lent = true
	return s.in.take(n)
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
