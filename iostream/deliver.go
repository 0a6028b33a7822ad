package iostream

import (
	"io"
	"os"
)

// deliver calls the next callback that is due, or completes the next waiting
// call. A read comes first, then what waits for writes, then the news of the
// end: data, errors, close.
func (s *Stream) deliver() step {
	if s.any(handshaking) && s.deliverHandshake() {
		return something
	}
	if did := s.deliverRead(); did != nothing {
		return did
	}
	if s.out == nil && !s.any(eofSeen|closed) {
		return nothing // nobody waits for writes, and there is no news
	}
	if s.deliverSent() || s.deliverReadClosed() || s.deliverClosed() {
		return something
	}
	return nothing
}

func (s *Stream) deliverRead() step {
	op := &s.op
	if op.kind == readNone || op.running {
		return nothing
	}
	if op.task() != nil && s.any(handling) {
		return nothing
	}
	if s.in.len() == 0 && op.size > 0 && !op.isInto() && s.readEnd() == nil && !op.expired {
		return nothing // there is nothing to look at
	}
	if op.task() != nil {
		return s.deliverTask()
	}
	if s.paused() {
		if !op.expired {
			return nothing
		}
		s.callReader(nil, opError(readNames[op.kind], os.ErrDeadlineExceeded))
		return something
	}
	waiting := op.wait() != nil
	if waiting {
		s.in.own() // the caller keeps the bytes for longer than the scratch buffer does
	}
	if op.cut {
		s.callReader(nil, opError(readNames[op.kind], s.readEnd()))
		return something
	}
	data, err, ok := s.outcome(op)
	switch {
	case !ok:
		return nothing
	case op.split != nil && op.split.crashed && !s.any(closed):
		s.closeLocked(op.split.err) // which tells the reader, now or next
	case waiting && err != nil:
		s.completeRead(data, err) // the pump goes on with the stream's end meanwhile
	case waiting:
		s.resumeReader(data)
	case op.each() != nil && err == nil:
		s.callEach(data)
	default:
		s.callReader(data, err)
	}
	return something
}

// outcome returns what a read has come to and takes the bytes; it is not ok while
// the read has to wait.
func (s *Stream) outcome(op *readOp) (data []byte, err error, ok bool) {
	if op.isInto() {
		if op.into.fill(&s.in) {
			return nil, nil, true
		}
	} else {
		n, err := s.match(op)
		if err != nil {
			return nil, opError(readNames[op.kind], err), true
		}
		if n >= 0 {
			return s.takeMessage(op, n), nil, true
		}
	}
	if op.kind == readUntilClose && s.any(inputEnded|closing|closed) {
		end := s.readEnd()
		data = s.in.take(s.in.len())
		if end == io.EOF {
			return data, nil, true
		}
		return data, opError(readNames[op.kind], end), true
	}
	err = s.readFailure(op.kind, op.placed(), op.expired)
	return nil, err, err != nil
}

// readFailure returns the error of a read that has not got what it wants, with so many bytes
// placed; nil if it has to wait.
func (s *Stream) readFailure(kind readKind, placed int, expired bool) error {
	end := s.readEnd()
	if end == nil && expired {
		end = os.ErrDeadlineExceeded
	}
	if end == nil {
		return nil
	}
	if end == io.EOF && placed > 0 {
		end = io.ErrUnexpectedEOF // as io.ReadFull says it
	}
	return opError(readNames[kind], end)
}

// readEnd returns why a read does not wait for input, nil if it does.
func (s *Stream) readEnd() error {
	if !s.any(closed | closing | inputEnded | readExpired) {
		return nil
	}
	switch {
	case s.any(closed):
		return s.details.err
	case s.any(closing):
		return s.details.reason
	case s.any(inputEnded):
		return s.details.readErr
	}
	return os.ErrDeadlineExceeded
}

// completeRead ends the pending read of a waiting call.
func (s *Stream) completeRead(data []byte, err error) {
	w := s.op.wait()
	s.op = readOp{}
	s.in.lent = len(data) > 0
	w.data, w.err = data, err
	s.loop.Kit().WakeWaiter(&w.Waiter)
}

// resumeReader ends the pending read of a waiting call well; a task goes on at
// once.
func (s *Stream) resumeReader(data []byte) {
	w := s.op.wait()
	s.op = readOp{}
	s.in.lent = len(data) > 0
	w.data = data
	s.loop.Kit().ResumeWaiter(&w.Waiter, &s.mu)
}

// callReader calls the callback of the pending read, which gives up the slot.
func (s *Stream) callReader(data []byte, err error) {
	fn, each := s.op.fn(), s.op.each()
	s.op = readOp{}
	s.in.pinned = true
	s.mu.Unlock()
	if each != nil {
		each(data, err)
	} else {
		fn(data, err)
	}
	s.mu.Lock()
	s.in.pinned = false
	if !s.any(takenOver) {
		s.readerReturned(err != nil, err)
	}
	s.unset(takenOver)
}

// eachBatch is how many results of a repeating read count as one delivery.
const eachBatch = 32

// callEach calls the callback of a repeating read, which keeps the slot
// meanwhile, and goes on with the results that are there already. The states of
// a repeating read, and what leads from one to another, stand in
// docs/architecture.md.
func (s *Stream) callEach(data []byte) {
	op, each := &s.op, s.op.each()
	op.running, s.in.pinned = true, true
	for left := eachBatch; ; left-- {
		op.nextMessage(data)
		s.unset(inMessage)
		s.mu.Unlock()
		more := each(data, nil)
		s.mu.Lock()
		if s.any(takenOver) {
			break // the slot is another's
		}
		if !more {
			*op = readOp{}
			s.readerReturned(true, nil)
			break
		}
		if op.cut {
			op.running = false
			break
		}
		ok := false
		if left > 1 && s.in.len() > 0 && !op.stopped &&
			(s.keepsUp() || !s.holdsBack()) && !s.loop.Kit().TurnUsedUp() {
			data, ok = s.next(op)
		}
		if !ok {
			op.running = false
			break
		}
	}
	s.in.pinned = false
	s.unset(takenOver)
}

// deliverSent tells the first of those who wait for writes, if its time has
// come.
func (s *Stream) deliverSent() bool {
	if s.out == nil || s.out.next() == nil {
		return false
	}
	w, err, due := s.nextSent()
	if !due {
		return false
	}
	s.out.pop()
	if w.fn == nil {
		s.completeSent(w.wait, err)
		return true
	}
	s.mu.Unlock()
	w.fn(err)
	s.mu.Lock()
	return true
}

// wakeSent completes waiting calls without the loop's help, up to the first
// callback.
func (s *Stream) wakeSent() {
	for {
		w, err, due := s.nextSent()
		if !due || w.fn != nil {
			return
		}
		s.out.pop()
		s.completeSent(w.wait, err)
	}
}

func (s *Stream) completeSent(w *waitOp, err error) {
	w.err = err
	s.loop.Kit().WakeWaiter(&w.Waiter)
}

// nextSent returns the first of those who wait for writes, and whether there is
// something to tell it.
func (s *Stream) nextSent() (w sentWaiter, err error, due bool) {
	if s.out == nil || s.out.next() == nil {
		return sentWaiter{}, nil, false
	}
	w = *s.out.next()
	switch {
	case w.failed != nil:
		return w, opError(w.op, w.failed), true
	case w.index <= s.sent():
		return w, nil, true
	}
	if end := s.waitEnd(); end != nil {
		return w, opError(w.op, end), true
	}
	return w, nil, false
}

func (s *Stream) deliverReadClosed() bool {
	return s.any(eofSeen) && s.details != nil && s.callEnd(&s.details.readCloses)
}

// deliverClosed releases the transport of a closed stream, and then tells of
// the close: first the stream's own callback, then that of its Config.
func (s *Stream) deliverClosed() bool {
	switch {
	case !s.any(closed):
		return false
	case s.mustFinish():
		s.finish()
	case !s.any(finished):
		return false // the descriptor is in use
	case s.callEnd(&s.details.closes):
	case !s.details.reported && s.config.OnClosed != nil:
		s.details.reported = true
		s.mu.Unlock()
		s.config.OnClosed(s, s.details.err)
		s.mu.Lock()
	default:
		return false
	}
	return true
}
