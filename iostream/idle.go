package iostream

import "time"

// idleTimeout closes a stream that is silent.
type idleTimeout struct {
	alarm
	after  time.Duration
	since  time.Duration // when something was seen last, on the loop's clock
	busy   bool          // something was under way when it looked last
	unsent *stall        // what was on its way to the peer then
}

// SetIdleTimeout has the stream closed in good order, with ErrIdle, when for d
// no byte has come from the peer and nothing was under way: no Hold, no Handler
// at work (one that waits for a message is not at work), and no bytes that the
// peer goes on taking. 0 is never; below 0 is ErrInvalid. A closed stream
// returns why it is closed. If something was under way, the time may be a
// quarter longer or shorter.
func (s *Stream) SetIdleTimeout(d time.Duration) error {
	if d < 0 {
		return opError("set idle timeout", ErrInvalid)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.any(closed | closing) {
		return opError("set idle timeout", s.readEnd())
	}
	s.setIdleTimeout(d)
	return nil
}

func (s *Stream) setIdleTimeout(d time.Duration) {
	m := s.ensureDetails()
	if m.idle == nil {
		m.idle = new(idleTimeout)
	}
	*m.idle = idleTimeout{alarm: m.idle.alarm, after: d, since: s.loop.Now()}
	m.idle.off()
	if d > 0 {
		m.idle.ringAt(s, s.loop.Now()+m.idle.soon(), (*Stream).checkIdle)
	}
}

// noteReceived notes that bytes have come.
func (s *Stream) noteReceived() {
	if s.details != nil && s.details.idle != nil {
		s.details.idle.heard(s)
	}
}

//go:noinline // so that noteReceived, which hardly ever calls it, is inlined
func (t *idleTimeout) heard(s *Stream) {
	if t.on {
		t.since = s.loop.Now()
		t.due = t.since + t.soon()
	}
}

// soon is how long the clock waits before it looks again. It looks often so that what is
// under way is not missed for being over when the time is.
func (t *idleTimeout) soon() time.Duration { return max(1, t.after/looksPerLimit) }

// noteWorkOver notes that work has ended: silence begins now.
func (s *Stream) noteWorkOver() {
	if s.details != nil && s.details.idle != nil {
		t := s.details.idle
		t.heard(s)
		t.busy = false
	}
}

func (s *Stream) checkIdle() {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.details.idle
	if !t.rings(s.loop) || s.any(closing|closed) {
		return
	}
	now := s.loop.Now()
	if busy := s.isWorking(); busy || t.busy {
		t.since, t.busy = now, busy // the work may have ended just now
	}
	unsent := s.backlog() > 0 || kernelQueue(s.transport) > 0
	switch {
	case !unsent && t.unsent == nil:
	case !unsent:
		t.unsent = nil
		t.since = now // the last of it may have gone just now
	case t.unsent == nil:
		t.unsent = &stall{since: now}
		t.unsent.moved(s)
		t.since = now
	case t.unsent.moved(s):
		t.since = now
	}
	switch left := t.since + t.after - now; {
	case left > 0:
		t.ringAt(s, now+min(left, t.soon()), (*Stream).checkIdle)
	case s.backlog() > 0:
		s.abort(ErrIdle)
	default:
		s.closeQuiet(ErrIdle)
	}
}

// isWorking reports whether somebody is at work for the stream.
func (s *Stream) isWorking() bool {
	return s.any(held|handshaking|handling) || s.any(served) && s.op.kind == readNone
}
