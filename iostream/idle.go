package iostream

import (
	"time"

	"github.com/eddyloop/eddy/ioloop"
)

// idleTimeout closes a stream on which nothing moves.
type idleTimeout struct {
	alarm
	after time.Duration
}

// SetIdleTimeout has the stream closed with ErrIdle when for d no byte has been
// received or sent. 0 means never; below 0 is ErrInvalid.
func (s *Stream) SetIdleTimeout(d time.Duration) error {
	if d < 0 {
		return opError("set idle timeout", ErrInvalid)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.any(closed) {
		return opError("set idle timeout", s.details.err)
	}
	m := s.ensureDetails()
	if m.idle == nil {
		m.idle = new(idleTimeout)
	}
	m.idle.after = d
	m.idle.off()
	if d > 0 {
		m.idle.ringAt(s.loop, s.loop.Now()+d, s.checkIdle)
	}
	return nil
}

// noteProgress notes that bytes have moved.
func (s *Stream) noteProgress() {
	if s.details != nil && s.details.idle != nil {
		s.details.idle.postpone(s.loop)
	}
}

//go:noinline // so that noteProgress, which hardly ever calls it, is inlined
func (t *idleTimeout) postpone(l *ioloop.Loop) {
	if t.on {
		t.due = l.Now() + t.after
	}
}

func (s *Stream) checkIdle() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.details.idle.rings(s.loop) && !s.any(closed) {
		s.closeLocked(ErrIdle)
		s.schedule()
	}
}
