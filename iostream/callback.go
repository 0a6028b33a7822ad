package iostream

import "fmt"

// ReadFunc has fn called with the next message, once, on the loop, with what
// Read would return; the bytes are fn's until it returns. ReadFunc returns an
// error, and fn is not called, only where the call itself is wrong: ErrInvalid,
// ErrTooLong or ErrReadPending, or ioloop.ErrClosed once the loop is closed. When
// fn runs, the next read can begin.
func (s *Stream) ReadFunc(f Frame, fn func(msg []byte, err error)) error {
	if fn == nil {
		return opError(readNames[f.kind], ErrInvalid)
	}
	return s.submit(&f, &readOp{reader: fn})
}

// Handle has fn called for one message after another, as ReadFunc does, until it
// returns false or has been given an error. The read stays pending meanwhile.
// While more than Config.HighWaterMark bytes wait to be sent, it holds back: a
// peer that does not read is not read from. A Frame of no bytes, Bytes(0), is
// ErrInvalid; a second empty message that takes no input is io.ErrNoProgress.
//
// Within fn the stream can go on in another way: [Stream.SetFrame] changes what
// the next message is, and [Stream.Pause] puts it off. Another read of any kind,
// Handle, Detach, StartTLSServer and StartTLSClient take the stream over: the
// repeating read is over, and what fn returns does not matter.
func (s *Stream) Handle(f Frame, fn func(msg []byte, err error) bool) error {
	if fn == nil || f.endless() {
		return opError(readNames[f.kind], ErrInvalid)
	}
	return s.submit(&f, &readOp{reader: fn})
}

// SetFrame sets the frame of the repeating read from the next message on: a
// header's function sets the frame of the body. It may be called from within the
// function of Handle, and while the read is paused; a read that waits for a
// message returns ErrReadPending, and without a repeating read the error is
// ErrInvalid. After an error the frame is what it was. At the end of the stream,
// and on one that is closing or closed, what is buffered is read by the new
// frame, or the function is told the end, as without it.
//
// Bytes(0) is one empty message, at once. If its function does not set another
// frame, it is told io.ErrNoProgress next.
func (s *Stream) SetFrame(f Frame) error {
	var next readOp
	if err := next.setFrame(&f, s.config); err != nil {
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

// Pause pauses the repeating read: its function is called for no message until
// Resume, and nothing is received. A function that runs is not interrupted. If
// the stream is closed, or the read deadline passes, the function is told; the
// peer's end of stream it is told after Resume. Without a repeating read, Pause
// does nothing; the pause ends with the read, and with Close.
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

// PeekFunc is Peek with a callback, as ReadFunc.
func (s *Stream) PeekFunc(n int, fn func([]byte, error)) error {
	return s.ReadFunc(Frame{kind: readPeek, n: n}, fn)
}

// ReadFullFunc is ReadFull with a callback. The stream uses p until fn is
// called.
func (s *Stream) ReadFullFunc(p []byte, fn func(int, error)) error {
	return s.ReadAtLeastFunc(p, len(p), fn)
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
	t := targets.Get().(*target)
	t.p, t.least, t.fn = p, least, fn
	if err = s.start(&readOp{kind: readInto, size: t.size(), into: t, reader: t.tell}, &Frame{}); err != nil {
		t.release()
	}
	return err
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
