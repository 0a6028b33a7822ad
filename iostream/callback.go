package iostream

import "fmt"

// ReadFunc has fn called once on the loop, with the next message or an error,
// as Read would return them. msg is valid until fn returns. fn may begin the
// next read.
//
// ReadFunc returns an error, and fn is not called, only if the read could not
// begin: ErrInvalid (also for a nil fn), ErrTooLong, ErrReadPending, EBADF on a
// write-only stream (see NewPipe), or ioloop.ErrClosed once the loop is closed.
// Every other error goes to fn. See Handle for what then ends the stream.
func (s *Stream) ReadFunc(f Frame, fn func(msg []byte, err error)) error {
	if fn == nil {
		return opError(readNames[f.kind], ErrInvalid)
	}
	return s.submit(&f, &readOp{reader: fn})
}

// Handle has fn called on the loop for one message after another, until fn
// returns false or was told an error. msg is valid until fn returns. The errors
// of Handle, and those that fn is told, are those of ReadFunc; and Handle
// returns ErrInvalid for Bytes(0), which would never end. A second empty
// message in a row that takes no input is io.ErrNoProgress.
//
// The read is pending until it ends. While more than Config.HighWaterMark bytes
// wait to be sent, nothing is read: a peer that does not read is not read from.
//
// In fn the stream can go on in another way. [Stream.SetFrame] sets the frame
// of the next message, and [Stream.Pause] puts the next message off. Any other
// read, Handle, Detach, RelayFunc and StartTLS end this one
// and take over; then the result of fn does not count.
//
// When fn has returned false or was told an error, nobody reads any more. Then
// the stream is closed in good order, unless fn has begun another read, a Hold
// is in force, or a Handler of tcp.Server runs. The same holds for a ReadFunc
// that was told an error.
func (s *Stream) Handle(f Frame, fn func(msg []byte, err error) bool) error {
	if err := f.checkRepeating(fn == nil); err != nil {
		return opError(readNames[f.kind], err)
	}
	return s.submit(&f, &readOp{reader: fn})
}

// SetFrame sets the frame of the repeating read (Handle, HandleTask) from the
// next message on. For instance the function that gets a header sets the frame
// of the body. It may be called in that function, and while the read is paused.
// If the read waits for a message, SetFrame returns ErrReadPending; without a
// repeating read it returns ErrInvalid. After an error the frame is unchanged.
// At the end of the stream, and on a closed one, the new frame reads what is
// still buffered before the function is told the end.
//
// Bytes(0) is one empty message, at once. If the function does not set another
// frame then, it is told io.ErrNoProgress next.
func (s *Stream) SetFrame(f Frame) error {
	var next readOp
	err := next.setFrame(&f, s.config)
	if err == nil && f.kind == readPeek {
		err = errEndless
	}
	if err != nil {
		return opError("set frame", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	op := s.repeating()
	switch {
	case op == nil:
		return opError("set frame", fmt.Errorf("%w: there is no repeating read", ErrInvalid))
	case !op.running && !op.stopped:
		return opError("set frame", ErrReadPending)
	}
	op.scan, op.split = nil, nil // nothing refuses the new one any more
	s.equip(&next, &f)
	op.nextFrame(&next)
	return nil
}

// Pause pauses the repeating read (Handle, HandleTask): until Resume, its
// function is called for no message and nothing is received. A call in progress
// is not interrupted. If the stream is closed or the read deadline passes, the
// function is told at once; the peer's end of the stream it is told after
// Resume. The pause ends with the read, and with Close. Without a repeating
// read, Pause does nothing.
func (s *Stream) Pause() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if op := s.repeating(); op != nil {
		op.stopped = true
	}
}

// Resume ends a Pause. Without one it does nothing.
func (s *Stream) Resume() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if op := s.repeating(); op != nil && op.stopped {
		op.stopped = false
		s.schedule()
	}
}

// ReadAtLeastFunc is ReadAtLeast with a callback. The stream uses p until fn is
// called.
func (s *Stream) ReadAtLeastFunc(p []byte, least int, fn func(int, error)) error {
	err := checkTarget(p, least)
	if fn == nil {
		err = ErrInvalid
	}
	if err != nil {
		return opError(readNames[readInto], err)
	}
	t := newTarget(p, least)
	t.fn = fn
	return s.start(&readOp{kind: readInto, size: t.size(), into: t, reader: t.tell}, &Frame{})
}

// submit begins a read with a callback.
func (s *Stream) submit(f *Frame, op *readOp) error {
	if err := op.setFrame(f, s.config); err != nil {
		return opError(readNames[f.kind], err)
	}
	return s.start(op, f)
}

// start puts a read with a callback into the slot.
func (s *Stream) start(op *readOp, f *Frame) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.begin(op.kind); err != nil {
		return err
	}
	s.equip(op, f)
	s.takeOver()
	if op.each() != nil && s.details != nil {
		s.details.aside = nil // it is over
	}
	s.op = *op
	s.op.expired = s.any(readExpired)
	if s.in.len() > 0 || s.readEnd() != nil || op.size == 0 {
		if err := s.scheduleOrClosed(); err != nil { // it may be satisfied already
			s.op = readOp{}
			return opError(readNames[op.kind], err)
		}
	}
	s.listen()
	return nil
}
