package iostream

import (
	"time"

	"github.com/eddyloop/eddy/ioloop"
)

// stall finds out whether sending stands still. It looks now and then, also at
// what the kernel holds for the peer: a peer that reads slowly makes room there
// long before the kernel takes more.
type stall struct {
	timer *ioloop.Timer
	limit time.Duration
	since time.Duration // when progress was seen last, on the loop's clock
	heard time.Duration // when the peer was heard last
	sent  int64

	looking bool // of a stall that is used again
	queue   int
}

// looksPerLimit is how often it looks in the time that sending may stand still.
const looksPerLimit = 4

// lingerTime is how long a peer that has all and is silent may take to end its side, before
// which a close could meet what it still sends, and reset the connection. Package
// net/http has the same (rstAvoidanceDelay).
const lingerTime = 500 * time.Millisecond

func (st *stall) period() time.Duration { return max(1, min(st.limit/looksPerLimit, lingerTime)) }

// start begins to look. The stall must not be looking.
func (st *stall) start(s *Stream, limit time.Duration, look func()) {
	st.limit, st.since = limit, s.loop.Now()
	st.sent, st.queue = s.sent(), kernelQueue(s.transport)
	if st.timer == nil {
		st.timer = s.loop.AfterFunc(st.period(), look)
	} else {
		st.timer.Reset(st.period())
	}
}

// moved takes in whether bytes have left, and reports it. Who sends a file may wait for the
// disk, which is not the peer's fault.
func (st *stall) moved(s *Stream) bool {
	sent, queue := s.sent(), kernelQueue(s.transport)
	moved := sent > st.sent || queue < st.queue || s.out.isReserved()
	st.sent, st.queue = sent, queue
	if moved {
		st.since = s.loop.Now()
	}
	return moved
}

// over reports whether sending has stood still for the limit, or the peer has all and has
// been silent for a while; else it looks again later.
func (st *stall) over(s *Stream) bool {
	st.moved(s)
	end := st.since + st.limit
	if s.backlog() == 0 && st.queue == 0 {
		end = min(end, max(st.since, st.heard)+lingerTime)
	}
	left := end - s.loop.Now()
	if left <= 0 {
		return true
	}
	st.timer.Reset(max(1, min(left, st.period())))
	return false
}

// lookOn has it look again, and take what it finds then for progress.
func (st *stall) lookOn() {
	st.sent = -1
	st.timer.Reset(st.period())
}

func (st *stall) stop() {
	if st != nil && st.timer != nil {
		st.timer.Stop()
	}
}

// noteSent notes the progress that a flush has made, for those who look.
func (m *details) noteSent(s *Stream) {
	if st := m.closing; st != nil && s.sent() > st.sent {
		st.sent, st.since = s.sent(), s.loop.Now()
	}
}

// kernelQueue returns how many bytes the kernel holds for the peer, as far as it
// tells.
func kernelQueue(t Transport) int {
	if q, ok := t.(Queuer); ok {
		return q.Queued()
	}
	return 0
}

// watchClosing bounds a Close that is not done at once.
func (s *Stream) watchClosing() {
	if s.details.closing == nil {
		s.details.closing = new(stall)
		s.details.closing.start(s, s.config.closeTimeout(), s.checkClosing)
	}
}

func (s *Stream) checkClosing() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.any(closed) || !s.details.closing.over(s) {
		return
	}
	if s.backlog() > 0 {
		s.closeLocked(ErrSendTimeout)
	} else {
		s.closeLocked(s.details.reason)
	}
	s.schedule()
}
