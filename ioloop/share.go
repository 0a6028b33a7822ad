package ioloop

import (
	"sync/atomic"
	"time"

	"github.com/eddyloop/eddy/internal/turnshare"
)

const (
	bytesPerPiece = 4 << 10 // that are sent or received count as a piece of work

	// The clock is read after a number of pieces of work that is adapted to take
	// about lookTime, so that cheap ones pay next to nothing for it.
	lookTime   = 100 * time.Microsecond
	maxPerLook = 32
)

// kind is a kind of work of a turn. Each has a share of the turn to itself, so
// that none keeps the others waiting.
type kind uint8

const (
	ofEvents kind = iota
	ofPosts
	ofTimers
	ofTurnEnd
	ofTasks // of any kind above, whose work was mostly to resume tasks
	kinds
)

func (k kind) String() string {
	return [kinds]string{"events", "posts", "timers", "turn end", "tasks"}[k]
}

// turnShare measures the share of the turn that the present kind of work has.
// It goes by the loop's clock, so that under a ManualClock, on which no time
// passes meanwhile, the number of pieces alone decides, every time alike.
type turnShare struct {
	// The clock is read again when left is no more than moved. What is moved is counted
	// apart, as anybody may do so; see Kit.ChargeMoved.
	left    int32
	moved   atomic.Int32
	perLook int // of the present kind, from 1 to turnshare.Pieces

	adapted [kinds]int    // perLook of each
	done    int           // pieces at the last reading
	begun   time.Duration // of the present kind
	read    time.Duration // the clock's last reading
	usedUp  bool
	kind    kind
	tasks   int // resumed, of the pieces since the last reading
	took    [kinds]time.Duration
	offered time.Duration // to other goroutines, in this turn
}

func (s *turnShare) init() {
	for k := range s.adapted {
		s.adapted[k] = min(maxPerLook, turnshare.Pieces)
	}
	s.perLook = s.adapted[ofEvents]
}

// turnUsedUp counts a piece of work, and reports whether the turn has done as
// much of the present kind of work as it may. Only for the loop's goroutine
// and tasks.
func (l *Loop) turnUsedUp() bool {
	l.share.left--
	return l.share.left <= l.share.moved.Load() && l.lookAtShare()
}

func (l *Loop) lookAtShare() bool {
	s := &l.share
	if s.usedUp {
		return true
	}
	pieces, before := s.perLook-int(s.left-s.moved.Swap(0)), s.read
	l.readClock()
	s.done += pieces
	s.adapt(pieces, s.read-before)
	if s.done >= turnshare.Pieces || s.read-s.begun >= turnshare.Time {
		s.usedUp, s.left = true, 0 // so that whoever asks is told again
	}
	return s.usedUp
}

// adapt sets after how many pieces the clock is read again.
func (s *turnShare) adapt(pieces int, took time.Duration) {
	each := took / time.Duration(pieces)
	s.perLook = maxPerLook
	if each > lookTime/maxPerLook {
		s.perLook = max(1, int(lookTime/each))
	}
	s.adapted[s.kind] = s.perLook
	s.perLook = min(s.perLook, turnshare.Pieces-s.done)
	s.left = int32(s.perLook)
}

// readClock puts the time since the last reading to the account of the present
// kind.
func (l *Loop) readClock() {
	s := &l.share
	now := l.clock.Now()
	k := s.kind
	if 2*s.tasks > s.perLook-int(s.left) {
		k = ofTasks
	}
	s.took[k] += now - s.read
	s.read, s.tasks = now, 0
}

// startTurn begins to measure a turn.
func (s *turnShare) startTurn(now time.Duration) {
	s.read = now
	s.took = [kinds]time.Duration{}
	s.offered = 0
	if s.moved.Load() != 0 {
		s.moved.Store(0) // while the loop slept
	}
	s.start(ofEvents)
}

// startKind gives the share of another kind of work, of which there is some.
func (l *Loop) startKind(k kind) {
	s := &l.share
	if s.left == int32(s.perLook) && s.done == 0 && s.tasks == 0 && s.adapted[k] == s.perLook {
		s.kind = k // the whole share is still there
		return
	}
	l.readClock()
	s.start(k)
}

func (s *turnShare) start(k kind) {
	s.kind, s.begun = k, s.read
	s.usedUp, s.done, s.tasks = false, 0, 0
	s.perLook = s.adapted[k]
	s.left = int32(s.perLook)
}

// most returns the kind that has taken most of the turn.
func (s *turnShare) most() (most kind) {
	for k, took := range s.took {
		if took > s.took[most] {
			most = kind(k)
		}
	}
	return most
}
