package iostream

// ReadFunc has fn called with the next message, once, on the loop, with what
// Read would return; the bytes are fn's until it returns. ReadFunc returns an
// error, and fn is not called, only where the call itself is wrong: ErrInvalid,
// ErrTooLong or ErrReadPending, or ioloop.ErrClosed once the loop is closed. When
// fn runs, the next read can begin.
func (s *Stream) ReadFunc(f Frame, fn func(msg []byte, err error)) error {
	if fn == nil {
		return opError(readNames[f.kind], ErrInvalid)
	}
	return s.submit(&f, &readOp{fn: fn})
}

// Handle has fn called for one message after another, as ReadFunc does, until it
// returns false or has been given an error. The read stays pending meanwhile.
// While more than Config.HighWaterMark bytes wait to be sent, it holds back: a
// peer that does not read is not read from. A Frame of no bytes, Bytes(0), is
// ErrInvalid.
func (s *Stream) Handle(f Frame, fn func(msg []byte, err error) bool) error {
	if fn == nil || f.endless() {
		return opError(readNames[f.kind], ErrInvalid)
	}
	return s.submit(&f, &readOp{each: fn})
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
	if fn == nil || least < 0 || least > len(p) {
		return opError(readNames[readInto], ErrInvalid)
	}
	t := targets.Get().(*target)
	t.p, t.least, t.fn = p, least, fn
	err := s.start(&readOp{kind: readInto, size: t.size(), into: t, fn: t.tell})
	if err != nil {
		t.release()
	}
	return err
}

// submit begins a read with a callback.
func (s *Stream) submit(f *Frame, op *readOp) error {
	if err := op.setFrame(f, s.config); err != nil {
		return opError(readNames[f.kind], err)
	}
	return s.start(op)
}

// start puts a read with a callback into the slot.
func (s *Stream) start(op *readOp) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.begin(op.kind); err != nil {
		return err
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
