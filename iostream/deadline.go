package iostream

import "time"

// deadlines are absent from most streams.
type deadlines struct {
	read, write alarm
}

// SetReadDeadline has reads fail with os.ErrDeadlineExceeded instead of waiting
// beyond t: the pending one and later ones, until another deadline is set. What
// has arrived stays buffered, and a read that it satisfies still succeeds. A t
// in the past ends the pending read at once. The zero Time is no deadline.
//
// It is cheap enough to be called for each message. A closed stream returns why
// it is closed.
func (s *Stream) SetReadDeadline(t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.any(closed) {
		return opError("set read deadline", s.details.err)
	}
	if s.expires(t, (*deadlines).ofReads, readExpired, (*Stream).checkReadDeadline) {
		s.expireRead()
	}
	return nil
}

// SetWriteDeadline has writes, and waits for what was written, fail with
// os.ErrDeadlineExceeded from t on, until another deadline is set. Bytes that
// Write has taken are still sent. The zero Time is no deadline. A closed stream
// returns why it is closed.
func (s *Stream) SetWriteDeadline(t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.any(closed) {
		return opError("set write deadline", s.details.err)
	}
	if s.expires(t, (*deadlines).ofWrites, writeExpired, (*Stream).checkWriteDeadline) {
		s.expireWrite()
	}
	return nil
}

func (s *Stream) hasDeadlines() bool { return s.details != nil && s.details.deadlines != nil }

func (s *Stream) deadlines() *deadlines {
	m := s.ensureDetails()
	if m.deadlines == nil {
		m.deadlines = new(deadlines)
	}
	return m.deadlines
}

func (d *deadlines) ofReads() *alarm  { return &d.read }
func (d *deadlines) ofWrites() *alarm { return &d.write }

// expires sets a deadline, and reports whether it has passed already: net/http sets such
// ones to end a read, and they need no alarm.
func (s *Stream) expires(t time.Time, of func(*deadlines) *alarm, expired state, ring func(*Stream)) bool {
	s.unset(expired)
	if s.hasDeadlines() {
		of(s.details.deadlines).off()
	}
	if t.IsZero() {
		return false
	}
	left := time.Until(t)
	if left <= 0 {
		return true
	}
	of(s.deadlines()).ringAt(s, s.loop.Now()+left, ring)
	return false
}

func (s *Stream) checkReadDeadline() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.details.deadlines.read.rings(s.loop) && !s.any(closed) {
		s.expireRead()
	}
}

func (s *Stream) checkWriteDeadline() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.details.deadlines.write.rings(s.loop) && !s.any(closed) {
		s.expireWrite()
	}
}

func (s *Stream) expireRead() {
	s.set(readExpired)
	s.endWaitingRead()
	if s.op.kind != readNone {
		s.op.expired = true // a callback is told later, whatever the deadline is then
		s.schedule()
	}
}

func (s *Stream) expireWrite() {
	s.set(writeExpired)
	if s.out == nil || s.out.next() == nil {
		return
	}
	s.out.expire(s.sent()) // callbacks are told later, whatever the deadline is then
	s.wakeSent()
	s.schedule()
}

// stopAlarms lets go of the timers of a closed stream.
func (m *details) stopAlarms() {
	if m.idle != nil {
		m.idle.stop()
	}
	m.sending.stop()
	if m.message != nil {
		m.message.stop()
	}
	if m.deadlines != nil {
		m.deadlines.read.stop()
		m.deadlines.write.stop()
	}
}
