package iostream

import (
	"io"
	"net"
	"os"
)

// Close ends the stream in good order. It returns at once, always nil, and may
// be called from anywhere. What was written is sent in the background, and the
// end of the stream after it. Further writes fail with net.ErrClosed, and so
// does the read in progress; no callback is called for further messages. A read
// that begins later can still read what was buffered. Calls of Conn.Write and
// IO.Write that wait, and Room, return at once; the count of a Write says what
// the kernel has taken. A second call changes nothing.
//
// After the end is sent, the stream waits for the peer's end and drops what the
// peer still sends: if it closed earlier, the kernel could reset the
// connection, and the peer could lose what was sent last. If the peer has
// received everything, the stream waits no longer than half a second of
// silence. A pipe or terminal is closed as soon as all is sent.
//
// If the peer takes nothing for Config.CloseTimeout, the stream is closed. If
// bytes are left then, they are dropped, and Err is ErrSendTimeout. TCP is
// reset and TLS sends no close_notify, so that the peer does not take what it
// has for complete. A pipe, a terminal and most Unix sockets have no such sign.
//
// What the kernel takes at once is sent before Close returns. A program that
// ends, and a loop that closes, send no more than that: call Flush before Close,
// or WaitClosed after it. ioloop.Loop.RunTask waits by itself.
func (s *Stream) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closeInOrder(net.ErrClosed)
	return nil
}

// Abort ends the stream at once. Operations in progress fail with reason, and
// Err and later operations return it; a nil reason stands for net.ErrClosed.
// What was written and has not reached the peer is dropped. If there was any, or
// if the kernel has bytes that were not read, a TCP connection is reset. TLS
// sends no close_notify in any case. A read that begins later can still read
// what was buffered. Abort also cuts a Close short. On a closed stream it does
// nothing.
func (s *Stream) Abort(reason error) {
	if reason == nil {
		reason = net.ErrClosed
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.abort(reason)
}

func (s *Stream) abort(reason error) {
	if s.any(closed) {
		return
	}
	s.set(aborted)
	s.cutRead()
	s.closeLocked(reason)
	s.schedule()
}

// closeInOrder is Close for a reason.
func (s *Stream) closeInOrder(reason error) {
	if s.any(closed | closing) {
		return
	}
	s.ensureDetails().reason = reason
	s.set(closing | finWanted)
	s.cutRead()
	if s.any(handshaking) && s.backlog() == 0 {
		s.closeLocked(reason) // nobody wants what the handshake is for
		s.schedule()
		return
	}
	s.endWaitingRead()
	if s.out != nil {
		s.out.failWriters(reason)
		s.wakeSent()
	}
	// Not later, as the program may end: what the kernel has taken arrives all the same.
	s.flush()
	if !s.any(pumping) { // else pump does
		s.endOutput()
		s.schedule()
	}
	if s.backlog() > 0 {
		s.set(leaving)
		s.loop.Kit().Closing(1)
	}
}

// hasLeft notes that nothing more will be sent.
func (s *Stream) hasLeft() {
	if s.any(leaving) {
		s.unset(leaving)
		s.loop.Kit().Closing(-1)
	}
}

// cutRead has a callback that waits for a message be told of the end, and of no
// message.
func (s *Stream) cutRead() {
	s.op.cut = s.op.fn() != nil && s.op.kind != readUntilClose && !s.op.isInto() || s.op.repeats()
	if s.details != nil && s.details.aside != nil {
		s.details.aside.cut = true
	}
}

// CloseWrite ends the writing direction after everything written so far: the
// peer then reads io.EOF. It returns at once; reading goes on. Further writes,
// and a second CloseWrite, fail with an error that is net.ErrClosed and, as
// package net has it, syscall.EPIPE. A write-only stream is closed. Other
// streams close when the peer has ended its side too.
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
	if s.any(closed) || !s.any(finWanted|inputEnded|draining) {
		return false
	}
	if s.any(draining) {
		s.drain()
	}
	s.endOutput()
	for _, e := range endings {
		if s.state&(e.all|e.none) == e.all {
			s.closeLocked(e.why(s.details))
			return true
		}
	}
	return false
}

// endings is how a stream that nobody aborts comes to its end: it is closed when
// all the facts of a row hold and none of the others, for the row's reason.
var endings = [...]struct {
	all, none state
	why       func(*details) error
}{
	// This side has closed it, and what is left cannot be sent.
	{closing | outputEnded, finSent, (*details).whyWriteEnded},
	// This side has closed it, and the peer has ended its side too.
	{closing | outputEnded | inputEnded, 0, (*details).ownReason},
	// The same where there is nothing to wait for.
	{closing | outputEnded | noLinger, 0, (*details).ownReason},
	// Both sides have ended it.
	{inputEnded | finSent, closing, (*details).whyReadEnded},
	// The peer has ended its side, and what is written cannot be sent.
	{inputEnded | outputEnded, closing | finSent, (*details).whyWriteEnded},
}

func (m *details) ownReason() error     { return m.reason }
func (m *details) whyReadEnded() error  { return m.readErr }
func (m *details) whyWriteEnded() error { return m.writeErr }

// closeWithLoop closes the stream of a loop that closes. There is no later.
func (s *Stream) closeWithLoop(err error) {
	s.set(attached | finWanted)
	s.unset(blocked)
	s.flush()
	s.endOutput()
	if s.any(finSent) && !s.any(inputEnded|noLinger|closed) {
		s.discard() // what lies there unread would make the kernel reset the connection
	}
	s.closeLocked(err)
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

// endOutput ends the writing direction if that is wanted and everything is out.
func (s *Stream) endOutput() {
	if !s.any(finWanted) || s.any(finSent|outputEnded|handshaking|closed) || !s.takesWrites() || s.backlog() > 0 {
		return
	}
	err := s.transport.CloseWrite()
	if err == ErrWouldBlock {
		s.set(blocked)
		return
	}
	s.set(finSent)
	s.endWriting(net.ErrClosed)
}

// discard throws away input of a stream that is closing.
func (s *Stream) discard() {
	for range maxFills {
		n, err := s.transport.Read(s.loop.Kit().Scratch())
		if err != nil {
			s.readFailed(err)
			return
		}
		if st := s.details.closing; st != nil {
			st.heard = s.loop.Now()
		}
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
	s.ensureDetails().readErr = err
	s.set(inputEnded)
	s.noteEOF()
}

// noteEOF notes that the peer's end of stream is known of.
func (s *Stream) noteEOF() {
	s.set(eofSeen)
	if s.details != nil {
		s.wakeEnds(&s.details.readCloses)
	}
}

// closeLocked marks the stream closed and fails the waiting calls. Everything
// else follows on the loop.
func (s *Stream) closeLocked(reason error) {
	if s.any(closed) {
		return
	}
	if s.any(closing) && !s.any(aborted) && s.backlog() == 0 && (s.any(finSent) || !s.any(outputEnded)) {
		reason = s.details.reason // it was this side's wish, and nothing is lost
	}
	sent := s.sent()
	m := s.ensureDetails()
	m.sent, m.err = sent, reason
	s.set(closed)
	s.hasLeft()
	s.noteEOF()
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
	if s.op.wait() == nil {
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

// markTruncated has the close of the transport tell the peer that something is
// missing, if so, where there is a way.
func (s *Stream) markTruncated() {
	t, ok := s.transport.(Resetter)
	if !ok || s.any(detached) || s.toldOfFailure() {
		return
	}
	fin := 0
	if s.any(finSent) {
		fin = 1 // the kernel counts it as a byte
	}
	if s.details.sent < s.accepted || s.details.incomplete ||
		s.any(aborted) && (kernelQueue(s.transport) > fin || hasUnread(s.transport)) {
		t.ResetOnClose()
	}
}

// hasUnread reports whether t is known to have bytes that nobody has read. What Linux does by
// itself when a connection with such bytes is closed, others do not: reset it.
func hasUnread(t Transport) bool {
	u, ok := t.(interface{ hasUnread() bool })
	return ok && u.hasUnread()
}

// toldOfFailure reports whether the peer has an alert of TLS: it takes nothing for complete.
func (s *Stream) toldOfFailure() bool {
	t, ok := s.transport.(*tlsTransport)
	return ok && t.failed
}

// finish releases what a closed stream holds, on the loop.
func (s *Stream) finish() {
	s.set(finished)
	m := s.details
	m.stopAlarms()
	m.closing.stop()
	s.markTruncated()
	_ = s.transport.Close(s.loop) // the kernel has let go of it, whatever it says
	s.wakeEnds(&m.closes)
	if s.out != nil && s.out.idle() {
		outputs.Put(s.out)
		s.out = nil
	}
}

func (s *Stream) readClosed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.any(eofSeen)
}

// Err returns why the stream is closed: io.EOF if the peer has ended it in good
// order, net.ErrClosed if this side has closed it, the reason of Abort, or the
// cause of a failure. It returns nil while the stream is open.
func (s *Stream) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.any(closed) {
		return nil
	}
	return s.details.err
}

var _ io.WriteCloser = (*Stream)(nil)
