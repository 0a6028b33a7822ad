package iostream

import (
	"context"
	"io"
	"net"
	"os"
	"time"
)

// Close closes the stream at once. Operations in progress fail with
// net.ErrClosed, except a read that buffered bytes satisfy, and what was
// written but is not with the kernel is dropped. Buffered bytes stay readable.
// Closing a closed stream does nothing.
func (s *Stream) Close() error { return s.CloseWithError(net.ErrClosed) }

// CloseWithError is Close with a reason of the caller's, which operations and
// Err then return. A nil reason is net.ErrClosed.
func (s *Stream) CloseWithError(reason error) error {
	if reason == nil {
		reason = net.ErrClosed
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closeLocked(reason)
	s.schedule()
	return nil
}

// CloseAfterFlush closes the stream in good order: it takes no more reads and
// writes, sends what was written, ends the stream for the peer, and discards
// what still comes until the peer has ended its side too; then it is closed.
// Closing earlier could make the kernel reset the connection and the peer lose
// what was sent last. A pipe or terminal is closed as soon as all is sent:
// nothing can be lost there. After timeout the stream is closed wherever it is.
// A timeout of 0 or less is Close; else a second call changes nothing.
func (s *Stream) CloseAfterFlush(timeout time.Duration) error {
	if timeout <= 0 {
		return s.Close()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.any(closed | closing) {
		return nil
	}
	s.set(closing | finWanted)
	s.endWaitingRead()
	s.ensureDetails().linger = s.loop.AfterFunc(timeout, func() { _ = s.Close() })
	s.schedule()
	return nil
}

// CloseWhenIdle closes the stream as soon as nothing is under way: a read waits
// for input, of which not one byte has come, and everything written is out. It
// is how a server lets its clients finish.
func (s *Stream) CloseWhenIdle() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.set(draining)
	s.schedule()
}

// CloseWrite ends the writing direction behind everything written so far: the
// peer reads io.EOF after it. Reading goes on; a stream that is for writing
// only is closed by it. Further writes fail with net.ErrClosed.
func (s *Stream) CloseWrite() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.writeEnd(); err != nil {
		return opError("close write", err)
	}
	s.set(finWanted)
	s.schedule()
	return nil
}

// advance takes the stream further towards its end, and reports whether it did.
func (s *Stream) advance() bool {
	if s.any(closed) || !s.any(finWanted|closing|inputEnded|draining) {
		return false
	}
	out := s.backlog() == 0 && s.any(attached) && !s.any(handshaking)
	if s.any(finWanted) && !s.any(finSent|outputEnded) && out {
		s.sendFin()
	}
	switch {
	case s.any(closing):
		if s.any(inputEnded|noLinger) && s.any(outputEnded) {
			s.closeLocked(net.ErrClosed)
		}
	case s.any(inputEnded) && s.any(outputEnded) && !s.any(finSent):
		s.closeLocked(s.details.writeErr)
	case s.any(inputEnded) && (s.any(finSent) || out && !s.any(writeOnly|halfClose)):
		s.closeLocked(s.details.readErr)
	case s.any(draining) && out && (s.unbegun() && !s.arrives() || s.any(writeOnly)):
		s.closeLocked(net.ErrClosed)
	}
	return s.any(closed)
}

// oneWay makes a new stream one that can only be read or only be written: the
// other direction is one that has ended in good order.
func (s *Stream) oneWay(access int) {
	switch access {
	case os.O_RDONLY:
		s.set(outputEnded | finSent)
		s.ensureDetails().writeErr = errReadOnly
	case os.O_WRONLY:
		s.set(inputEnded | writeOnly)
		s.ensureDetails().readErr = net.ErrClosed
	}
}

// unbegun reports whether a read waits for a message of which nothing has come.
func (s *Stream) unbegun() bool {
	return s.reading() && s.in.len() == 0 && s.op.placed() == 0
}

// arrives looks a last time whether something has come for the read that waits.
func (s *Stream) arrives() bool {
	s.arm() // as for a read, so that what comes behind it is announced
	s.fill()
	return !s.unbegun()
}

func (s *Stream) sendFin() {
	err := s.transport.CloseWrite()
	if err == ErrWouldBlock {
		s.set(blocked)
		return
	}
	s.set(finSent)
	if err == nil {
		err = net.ErrClosed
	}
	s.endWriting(err)
}

// discard throws away input of a stream that is closing.
func (s *Stream) discard() {
	for range maxFills {
		n, err := s.transport.Read(s.loop.Kit().Scratch())
		if err != nil {
			s.readFailed(err)
			return
		}
		s.noteProgress()
		if n < maxRead && !s.holdsPlaintext() {
			return
		}
	}
}

// endReading latches the end of the input.
func (s *Stream) endReading(err error) {
	if s.any(inputEnded) {
		return
	}
	s.set(inputEnded | eofSeen)
	s.ensureDetails().readErr = err
}

// closeLocked marks the stream closed and fails the waiting calls. Everything
// else follows on the loop.
func (s *Stream) closeLocked(reason error) {
	if s.any(closed) {
		return
	}
	if s.any(closing) {
		reason = net.ErrClosed // it was this side's wish, however it went
	}
	sent := s.sent()
	m := s.ensureDetails()
	m.sent, m.err = sent, reason
	s.set(closed | eofSeen)
	if s.out != nil {
		s.out.drop()
	}
	s.charge() // before anybody is told
	if s.any(handshaking) {
		s.tellHandshake(s.transport.(*tlsTransport), reason)
	}
	s.endWaitingRead()
	s.wakeSent()
}

// endWaitingRead completes the read of a waiting call, now that nothing more
// will be read.
func (s *Stream) endWaitingRead() {
	if s.op.wait == nil {
		return
	}
	s.in.own()
	if s.op.split != nil && !s.any(pumping) {
		s.op.split.over = true // it has seen all there is, and must not end a goroutine that has the lock
	}
	if data, err, ok := s.outcome(&s.op); ok {
		s.completeRead(data, err)
	}
}

// mustFinish reports whether a closed stream's transport can be released. While
// Control uses the descriptor it cannot; Control looks after that.
func (s *Stream) mustFinish() bool {
	return s.any(closed) && !s.any(finished) && s.details.controls == 0
}

// finish releases what a closed stream holds, on the loop.
func (s *Stream) finish() {
	s.set(finished)
	m := s.details
	m.stopAlarms()
	if m.linger != nil {
		m.linger.Stop()
	}
	s.sendCloseNotify()
	_ = s.transport.Close(s.loop) // the kernel has let go of it, whatever it says
	for _, w := range m.closeWaiters {
		w.done = true
		s.loop.Kit().WakeWaiter(&w.Waiter)
	}
	m.closeWaiters = nil
	if s.out != nil && s.out.idle() {
		outputs.Put(s.out)
		s.out = nil
	}
}

// Closed reports whether the stream is closed, by either side.
func (s *Stream) Closed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.any(closed)
}

// ReadClosed reports whether the peer is known to have finished writing, or the
// stream is closed. Before the bytes that had come are read to their end, reads
// still succeed.
func (s *Stream) ReadClosed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.any(eofSeen)
}

// Err returns why the stream is closed: io.EOF if the peer ended it in good
// order, net.ErrClosed if this side closed it, or what failed. It is nil while
// the stream is open.
func (s *Stream) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.any(closed) {
		return nil
	}
	return s.details.err
}

// OnClosed has fn called on the loop, once, when the stream has closed and its
// operations have been told, with what Err returns. On a closed stream it is
// called soon, unless the loop is closed too. A second call replaces fn.
func (s *Stream) OnClosed(fn func(error)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.onClosed = fn
	if s.any(closed) {
		s.schedule()
	}
}

// OnReadClosed has fn called on the loop, once, when ReadClosed reports true:
// unread input may still be there. A second call replaces fn.
func (s *Stream) OnReadClosed(fn func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ensureDetails().onReadClosed = fn
	s.schedule()
}

// WaitClosed waits until the stream has closed and returns nil, or the
// context's error. Why it closed is for Err to tell.
func (s *Stream) WaitClosed(ctx context.Context) error {
	if err := checkContext(ctx); err != nil {
		return opError("wait closed", err)
	}
	s.mu.Lock()
	if s.any(finished) {
		s.mu.Unlock()
		return nil
	}
	w := waitOps.Get().(*waitOp)
	if err := w.Begin(ctx); err != nil {
		s.mu.Unlock()
		return opError("wait closed", err)
	}
	m := s.ensureDetails()
	m.closeWaiters = append(m.closeWaiters, w)
	s.mu.Unlock()
	err := s.await("wait closed", w)
	w.release()
	return err
}

func remove(waiters []*waitOp, w *waitOp) []*waitOp {
	for i := range waiters {
		if waiters[i] == w {
			return append(waiters[:i], waiters[i+1:]...)
		}
	}
	return waiters
}

var _ io.WriteCloser = (*Stream)(nil)
