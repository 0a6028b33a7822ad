package iostream

import "fmt"

// Control calls fn with the stream's file descriptor, for instance to set
// socket options. The descriptor stays open until fn returns. fn must not close
// it, read from it, write to it or make it blocking. Control returns nil, or
// the error for which it has not called fn: ErrInvalid if fn is nil or the
// stream has no descriptor, otherwise why the stream is closed.
func (s *Stream) Control(fn func(fd uintptr)) error {
	fd, err := s.hold(fn != nil)
	if err != nil {
		return opError("control", err)
	}
	defer s.letGo()
	fn(uintptr(fd))
	return nil
}

// hold keeps the transport from being closed until letGo is called.
func (s *Stream) hold(valid bool) (fd int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	transport := s.transport
	if secured, ok := transport.(*tlsTransport); ok {
		transport = secured.lower
	}
	t, ok := transport.(Descriptor)
	switch {
	case !valid:
		return -1, ErrInvalid
	case s.any(closed):
		return -1, s.details.err
	case !ok:
		return -1, fmt.Errorf("%w: no descriptor", ErrInvalid)
	}
	s.ensureDetails().controls++
	s.mayLinger()
	return t.FD(), nil
}

func (s *Stream) letGo() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.details.controls--
	if !s.any(closed) {
		return
	}
	s.schedule()
	if !s.any(pumping | scheduled | finished) {
		s.finish() // the loop has closed meanwhile
	}
}
