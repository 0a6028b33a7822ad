package iostream

import (
	"time"

	"github.com/eddyloop/eddy/ioloop"
)

// idleTimer closes a stream on which nothing moves. Moving bytes only notes the
// time; the timer, when it fires too early, sets itself again.
type idleTimer struct {
	timeout time.Duration // 0: none
	last    time.Duration // when a byte moved, on the loop's clock
	timer   *ioloop.Timer
}

func (t *idleTimer) stop() {
	t.timeout = 0
	if t.timer != nil {
		t.timer.Stop()
	}
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
	t := &s.extra().idle
	t.stop()
	t.timeout = d
	if d > 0 {
		t.last = s.loop.Now()
		t.timer = s.loop.AfterFunc(d, s.checkIdle)
	}
	return nil
}

// touch notes that bytes have moved.
func (s *Stream) touch() {
	if s.more != nil && s.more.idle.timeout > 0 {
		s.more.idle.last = s.loop.Now()
	}
}

func (s *Stream) checkIdle() {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := &s.more.idle
	if s.is(closed) || t.timeout == 0 {
		return
	}
	if left := t.last + t.timeout - s.loop.Now(); left > 0 {
		t.timer.Reset(left)
		return
	}
	s.closeLocked(ErrIdle)
	s.poke()
}
