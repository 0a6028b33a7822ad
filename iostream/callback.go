package iostream

import "regexp"

// The Func forms of the reads call fn once, on the loop, with what the waiting
// form would return; the bytes are fn's until it returns. They return an error,
// and fn is not called, only where the call itself is wrong: ErrInvalid,
// ErrTooLong or ErrReadPending. When fn runs, the next read can begin.
//
// The Handle forms call fn for one result after another until it returns false
// or has been given an error. The read stays pending meanwhile. While more than
// Config.HighWaterMark bytes wait to be sent, they hold back: a peer that does
// not read is not read from.

// ReadUntilFunc is ReadUntil with a callback.
func (s *Stream) ReadUntilFunc(delim string, max int, fn func([]byte, error)) error {
	op, err := s.untilOp(delim, max)
	op.fn = fn
	return s.submit(op, fn == nil, err)
}

// ReadUntilRegexpFunc is ReadUntilRegexp with a callback.
func (s *Stream) ReadUntilRegexpFunc(re *regexp.Regexp, max int, fn func([]byte, error)) error {
	op, err := s.regexpOp(re, max)
	op.fn = fn
	return s.submit(op, fn == nil, err)
}

// ReadBytesFunc is ReadBytes with a callback.
func (s *Stream) ReadBytesFunc(n int, fn func([]byte, error)) error {
	op, err := s.sizeOp(readBytes, n)
	op.fn = fn
	return s.submit(op, fn == nil, err)
}

// PeekFunc is Peek with a callback.
func (s *Stream) PeekFunc(n int, fn func([]byte, error)) error {
	op, err := s.sizeOp(readPeek, n)
	op.fn = fn
	return s.submit(op, fn == nil, err)
}

// ReadSomeFunc is ReadSome with a callback.
func (s *Stream) ReadSomeFunc(max int, fn func([]byte, error)) error {
	op, err := s.limitOp(readSome, max)
	op.fn = fn
	return s.submit(op, fn == nil, err)
}

// ReadUntilCloseFunc is ReadUntilClose with a callback.
func (s *Stream) ReadUntilCloseFunc(max int, fn func([]byte, error)) error {
	op, err := s.limitOp(readUntilClose, max)
	op.fn = fn
	return s.submit(op, fn == nil, err)
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
	op, err := s.untilOp(delim, max)
	op.each = fn
	return s.submit(op, fn == nil, err)
}

// HandleBytes calls fn for each n bytes.
func (s *Stream) HandleBytes(n int, fn func([]byte, error) bool) error {
	op, err := s.sizeOp(readBytes, n)
	op.each = fn
	return s.submit(op, fn == nil || n == 0, err)
}

// HandleSome calls fn with the bytes as they come, at most max at a time.
func (s *Stream) HandleSome(max int, fn func([]byte, error) bool) error {
	op, err := s.limitOp(readSome, max)
	op.each = fn
	return s.submit(op, fn == nil, err)
}

// submit begins a read with a callback.
func (s *Stream) submit(op readOp, invalid bool, err error) error {
	if err != nil {
		return err
	}
	if invalid {
		return opError(readNames[op.kind], ErrInvalid)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.begin(op); err != nil {
		return err
	}
	if s.in.len() > 0 || s.readEnd() != nil || op.size == 0 {
		s.poke() // it may be satisfied already
	}
	s.listen()
	return nil
}

func (s *Stream) submitInto(kind readKind, p []byte, fn func(int, error)) error {
	w := waitOps.Get().(*waitOp)
	w.into, w.intoFn = p, fn
	err := s.submit(readOp{kind: kind, size: int32(min(len(p), 1)), wait: w}, fn == nil, nil)
	if err != nil {
		w.release()
	}
	return err
}
