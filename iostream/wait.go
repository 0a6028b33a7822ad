package iostream

import "context"

// endWaiters are those who wait for an end of a stream.
type endWaiters struct {
	calls []*waitOp
	funcs []func(error)
}

// WaitClosed waits until the stream has closed and returns nil, or the error of
// ctx. Err says why it closed.
func (s *Stream) WaitClosed(ctx context.Context) error {
	return s.waitEndOf(ctx, "wait closed", finished, (*details).closeWaiters)
}

// WaitClosedFunc has fn called once on the loop when the stream has closed and
// its operations have been told, with what Err returns. On a closed stream it
// is called soon. WaitClosedFunc returns ErrInvalid if fn is nil, and
// ioloop.ErrClosed once the loop is closed; then fn is not called.
func (s *Stream) WaitClosedFunc(fn func(error)) error {
	return s.callAtEnd("wait closed", fn, (*details).closeWaiters)
}

// WaitReadClosed waits until the peer is known to have ended its side, or the
// stream is closed, and returns nil, or the error of ctx. Bytes that came before
// can still be read.
func (s *Stream) WaitReadClosed(ctx context.Context) error {
	return s.waitEndOf(ctx, "wait read closed", eofSeen, (*details).readCloseWaiters)
}

// WaitReadClosedFunc has fn called once on the loop when WaitReadClosed would
// return. Its errors are those of WaitClosedFunc.
func (s *Stream) WaitReadClosedFunc(fn func()) error {
	if fn == nil {
		return opError("wait read closed", ErrInvalid)
	}
	return s.callAtEnd("wait read closed", func(error) { fn() }, (*details).readCloseWaiters)
}

func (m *details) closeWaiters() *endWaiters     { return &m.closes }
func (m *details) readCloseWaiters() *endWaiters { return &m.readCloses }

func (s *Stream) waitEndOf(ctx context.Context, name string, end state, list func(*details) *endWaiters) error {
	if err := checkContext(ctx); err != nil {
		return opError(name, err)
	}
	s.mu.Lock()
	if s.any(end) {
		s.mu.Unlock()
		return nil
	}
	w := waitOps.Get().(*waitOp)
	if err := w.Begin(ctx); err != nil {
		s.mu.Unlock()
		return opError(name, err)
	}
	waiters := list(s.ensureDetails())
	waiters.calls = append(waiters.calls, w)
	s.mu.Unlock()
	err := s.await(name, w)
	w.release()
	return err
}

func (s *Stream) callAtEnd(name string, fn func(error), list func(*details) *endWaiters) error {
	if fn == nil {
		return opError(name, ErrInvalid)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.scheduleOrClosed(); err != nil {
		return opError(name, err)
	}
	waiters := list(s.ensureDetails())
	waiters.funcs = append(waiters.funcs, fn)
	return nil
}

// wakeEnds wakes the waiting calls.
func (s *Stream) wakeEnds(e *endWaiters) {
	for _, w := range e.calls {
		s.loop.Kit().WakeWaiter(&w.Waiter)
	}
	e.calls = nil
}

// callEnd calls the next function, if there is one.
func (s *Stream) callEnd(e *endWaiters) bool {
	if len(e.funcs) == 0 {
		return false
	}
	fn, err := e.funcs[0], s.details.err
	e.funcs = e.funcs[1:]
	s.mu.Unlock()
	fn(err)
	s.mu.Lock()
	return true
}

// withdraw removes a waiting call.
func (e *endWaiters) withdraw(w *waitOp) {
	for i := range e.calls {
		if e.calls[i] == w {
			e.calls = append(e.calls[:i], e.calls[i+1:]...)
			return
		}
	}
}
