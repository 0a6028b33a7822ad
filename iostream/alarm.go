package iostream

import (
	"time"

	"github.com/eddyloop/eddy/ioloop"
)

// alarm rings on the loop at a moment that may move with every message. Moving
// it later only notes the moment: a timer that finds itself early sets itself
// again. The zero value is off.
type alarm struct {
	timer *ioloop.Timer
	due   time.Duration // when to ring, on the loop's clock
	fires time.Duration // when the timer looks, if it is set
	on    bool
	set   bool
}

// ringAt has ring called for s at due, or later if it is moved meanwhile. It calls
// rings to find out.
func (a *alarm) ringAt(s *Stream, due time.Duration, ring func(*Stream)) {
	a.due, a.on = due, true
	if a.set && a.fires <= due {
		return
	}
	a.set, a.fires = true, due
	if a.timer == nil {
		a.timer = s.loop.AfterFunc(due-s.loop.Now(), func() { ring(s) })
	} else {
		a.timer.Reset(due - s.loop.Now())
	}
}

// rings is called by ring, and reports whether the moment has come.
func (a *alarm) rings(l *ioloop.Loop) bool {
	a.set = false
	if !a.on {
		return false
	}
	now := l.Now()
	if a.due > now {
		a.set, a.fires = true, a.due
		a.timer.Reset(a.due - now)
		return false
	}
	a.on = false
	return true
}

// off prevents it from ringing. The timer, if it is set, is left to find out.
func (a *alarm) off() { a.on = false }

func (a *alarm) stop() {
	if a.timer != nil {
		a.timer.Stop()
	}
}
