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
	if s.is(closed) {
		return opError("set idle timeout", s.more.err)
	}
	m := s.extra()
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

// touch notes that bytes have moved.
func (s *Stream) touch() {
	if s.more != nil && s.more.idle != nil {
		s.more.idle.postpone(s.loop)
	}
}

//go:noinline // so that touch, which hardly ever calls it, is inlined
func (t *idleTimeout) postpone(l *ioloop.Loop) {
	if t.on {
		t.due = l.Now() + t.after
	}
}

func (s *Stream) checkIdle() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.more.idle.rings(s.loop) && !s.is(closed) {
		s.closeLocked(ErrIdle)
		s.poke()
	}
}
