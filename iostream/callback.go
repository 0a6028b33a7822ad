package iostream

import "regexp"

// The Func forms of the reads call fn once, on the loop, with what the waiting
// form would return; the bytes are fn's until it returns. They return an error,
// and fn is not called, only where the call itself is wrong: ErrInvalid,
// ErrTooLong or ErrReadPending, or ioloop.ErrClosed once the loop is closed. When
// fn runs, the next read can begin.
//
// The Handle forms call fn for one result after another until it returns false
// or has been given an error. The read stays pending meanwhile. While more than
// Config.HighWaterMark bytes wait to be sent, they hold back: a peer that does
// not read is not read from.

// ReadUntilFunc is ReadUntil with a callback.
func (s *Stream) ReadUntilFunc(delim string, max int, fn func([]byte, error)) error {
	op := readOp{kind: readUntil, delim: delim, fn: fn}
	return s.submit(&op, max)
}

// ReadUntilRegexpFunc is ReadUntilRegexp with a callback.
func (s *Stream) ReadUntilRegexpFunc(re *regexp.Regexp, max int, fn func([]byte, error)) error {
	op := regexpOp(re)
	op.fn = fn
	return s.submit(&op, max)
}

// ReadBytesFunc is ReadBytes with a callback.
func (s *Stream) ReadBytesFunc(n int, fn func([]byte, error)) error {
	op := readOp{kind: readBytes, fn: fn}
	return s.submit(&op, n)
}

// PeekFunc is Peek with a callback.
func (s *Stream) PeekFunc(n int, fn func([]byte, error)) error {
	op := readOp{kind: readPeek, fn: fn}
	return s.submit(&op, n)
}

// ReadSomeFunc is ReadSome with a callback.
func (s *Stream) ReadSomeFunc(max int, fn func([]byte, error)) error {
	op := readOp{kind: readSome, fn: fn}
	return s.submit(&op, max)
}

// ReadUntilCloseFunc is ReadUntilClose with a callback.
func (s *Stream) ReadUntilCloseFunc(max int, fn func([]byte, error)) error {
	op := readOp{kind: readUntilClose, fn: fn}
	return s.submit(&op, max)
}

// ReadIntoFunc is ReadInto with a callback. The stream uses p until fn is
// called.
func (s *Stream) ReadIntoFunc(p []byte, fn func(int, error)) error {
	return s.submitInto(readInto, p, fn)
}

// ReadSomeIntoFunc is ReadSomeInto with a callback. The stream uses p until fn
// is called.
func (s *Stream) ReadSomeIntoFunc(p []byte, fn func(int, error)) error {
	return s.submitInto(readSomeInto, p, fn)
}

// HandleUntil calls fn for each message that ends in delim, as ReadUntil
// returns it.
func (s *Stream) HandleUntil(delim string, max int, fn func([]byte, error) bool) error {
	op := readOp{kind: readUntil, delim: delim, each: fn}
	return s.submit(&op, max)
}

// HandleBytes calls fn for each n bytes.
func (s *Stream) HandleBytes(n int, fn func([]byte, error) bool) error {
	op := readOp{kind: readBytes, each: fn}
	if n == 0 {
		return opError(readNames[op.kind], ErrInvalid)
	}
	return s.submit(&op, n)
}

// HandleSome calls fn with the bytes as they come, at most max at a time.
func (s *Stream) HandleSome(max int, fn func([]byte, error) bool) error {
	op := readOp{kind: readSome, each: fn}
	return s.submit(&op, max)
}

// submit begins a read with a callback.
func (s *Stream) submit(op *readOp, size int) error {
	err := op.setSize(s.config, size)
	if op.fn == nil && op.each == nil {
		err = ErrInvalid
	}
	if err != nil {
		return opError(readNames[op.kind], err)
	}
	return s.start(op)
}

func (s *Stream) submitInto(kind readKind, p []byte, fn func(int, error)) error {
	if fn == nil {
		return opError(readNames[kind], ErrInvalid)
	}
	w := waitOps.Get().(*waitOp)
	w.into, w.intoFn = p, fn
	err := s.start(&readOp{kind: kind, size: int32(min(len(p), 1)), wait: w})
	if err != nil {
		w.releaseInto()
	}
	return err
}

// start puts a read with a callback into the slot.
func (s *Stream) start(op *readOp) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.begin(op); err != nil {
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
