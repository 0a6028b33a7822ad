package iostreamtest_test

import (
	"bytes"
	"fmt"
	"time"

	"github.com/eddyloop/eddy/iostream"
	"github.com/eddyloop/eddy/iostreamtest"
)

// shared is a Budget that the stream of a schedule shares with others, which only hold
// bytes. Of each the model knows the least and the most that it can hold.
type shared struct {
	budget *iostream.Budget
	limit  int64
	own    sharer    // the schedule's stream
	others []*sharer // oldest first
	failed bool      // a callback has failed, which may have kept its bytes
}

// sharer is a stream that shares the Budget.
type sharer struct {
	stream *iostream.Stream
	wire   *iostreamtest.Wire

	came      int // bytes, ever
	moved     int // bytes that came, or were written, since the loop was last at rest
	in, out   int // bytes that it had then
	largest   int // bytes that its buffer has had to have room for
	least     int64
	emptyAt   time.Duration // it held nothing
	movedAt   time.Duration // bytes came or were written
	handling  bool          // it has a message whose function works
	dismissed bool          // it was sent away, which has been judged
}

// maxSharers is how many there are besides the schedule's stream.
const maxSharers = 4

// room is the largest buffer for so many bytes: it doubles when what was read and what
// was not have no room in it together, and less than half of it was read.
func room(n int) int64 {
	if n == 0 {
		return 0
	}
	return int64(max(512, 4*n))
}

// grow says that n bytes have come or were written.
func (h *sharer) grow(n int, now time.Duration) {
	h.came += n
	h.moved += n
	if n > 0 {
		h.movedAt = now
	}
}

// most is the most that it can have held since the loop was last at rest.
func (h *sharer) most() int64 {
	return int64(h.out+h.moved) + h.buffers(max(h.largest, h.in+h.moved))
}

// buffers is how large the buffers are that have had n bytes: the function of a message can
// have one that the stream has no more.
func (h *sharer) buffers(n int) int64 {
	if h.handling {
		return 2 * room(n)
	}
	return room(n)
}

// holds returns what it can hold now that its loop is at rest; somebody may keep bytes
// that it has received.
func (h *sharer) holds(kept bool) (least, most int64) {
	h.largest = max(h.largest, h.in+h.moved)
	unread, backlog := h.stream.Buffered(), h.stream.Backlog()
	switch {
	case h.stream.Err() != nil && !h.handling:
		return 0, 0
	case h.stream.Err() != nil:
		return 0, h.buffers(h.largest)
	case unread == 0 && !kept:
		h.largest = 0
		return int64(backlog), int64(backlog)
	}
	return int64(unread + backlog), int64(backlog) + h.buffers(h.largest)
}

// all returns those that share the Budget.
func (b *shared) all() []*sharer { return append([]*sharer{&b.own}, b.others...) }

// observe takes in who was sent away, and says whether that may be.
func (p *player) observeBudget() {
	b := p.shared
	if b == nil {
		return
	}
	received := p.wire.State().Received
	b.own.handling = b.own.handling || p.model.handling != nil
	b.own.grow(received+p.model.accepted-b.own.came, p.world.Clock.Now())
	for i, h := range b.all() {
		if h.dismissed || h.stream.Err() == nil || h.stream.Err() != iostream.ErrBudget {
			continue
		}
		h.dismissed = true
		p.note("  %d is sent away", i)
		var most int64
		for _, h := range b.all() {
			most += h.most()
		}
		if most < b.limit {
			p.fail("%d is sent away, though all held at most %d of %d bytes", i, most, b.limit)
		}
		p.judgeDismissal(h)
		if i == 0 {
			m := p.model
			if c := m.pending(); c != nil && c.task && m.frozen == endless {
				// It may have closed for a bad message before, and dropped what came then.
				m.frozen, m.reasons = m.consumed+p.stream.Buffered(), []error{iostream.ErrBudget}
			}
			m.cut()
			m.abort(iostream.ErrBudget)
		}
	}
}

// weight is bytes by seconds without progress.
func weight(bytes int64, still time.Duration) float64 {
	return float64(bytes) * min(max(still, time.Second), time.Minute).Seconds()
}

// judgeDismissal says whether somebody else should have been sent away instead: those who
// have not moved since the loop was at rest are well known.
func (p *player) judgeDismissal(gone *sharer) {
	now := p.world.Clock.Now()
	heaviest := weight(gone.most(), now-gone.emptyAt)
	for i, h := range p.shared.all() {
		if h.stream.Err() == nil && h.moved == 0 && h.least > 0 && weight(h.least, now-h.movedAt) > heaviest {
			p.fail("%d stays, though it holds %d bytes since %v", i, h.least, h.movedAt)
		}
	}
}

// restBudget says what is wrong with the Budget though the loop is at rest.
func (p *player) restBudget() {
	b := p.shared
	if b == nil || p.failed != nil {
		return
	}
	now := p.world.Clock.Now()
	handling := p.model.handling != nil
	var least, most int64
	b.own.handling = handling
	for i, h := range b.all() {
		lo, hi := h.holds(i == 0 && (handling || len(p.kept) > 0 || b.failed))
		h.in, h.out, h.moved, h.least = h.stream.Buffered(), h.stream.Backlog(), 0, lo
		least, most = least+lo, most+hi
		if hi == 0 {
			h.emptyAt = now
		}
	}
	used := b.budget.Used()
	switch {
	case used < least || used > most:
		p.fail("at rest: %d bytes of the budget are used, %d to %d are held", used, least, most)
	case b.budget.Full() && !(p.stream.Err() != nil && handling):
		p.fail("at rest: the budget is full, %d of %d bytes", used, b.limit)
	}
}

// sharer has another stream that shares the Budget come, hold more, or go.
func (p *player) sharer(s *step) {
	b := p.shared
	if b == nil {
		return
	}
	var open []*sharer
	for _, h := range b.others {
		if h.stream.Err() == nil {
			open = append(open, h)
		}
	}
	if len(open) == 0 || len(open) < maxSharers && s.b%4 == 0 {
		h, err := p.newSharer()
		if err != nil {
			p.fail("sharer: %v", err)
			return
		}
		b.others = append(b.others, h)
		open = append(open[:0], h)
	}
	h, n := open[int(s.b/4)%len(open)], size(s.a)
	switch s.b % 5 {
	case 0, 1, 2:
		h.grow(n, p.model.now)
		h.wire.Arrive(bytes.Repeat([]byte{'?'}, n))
	case 3:
		h.grow(n, p.model.now)
		if _, err := h.stream.Write(make([]byte, n)); err != nil && h.stream.Err() == nil {
			p.fail("sharer: %v", err)
		}
	case 4:
		if s.a%2 == 0 {
			h.wire.Arrive([]byte("\n"))
			h.grow(1, p.model.now)
		} else {
			h.stream.Abort(errOwn)
		}
	}
}

func (p *player) newSharer() (*sharer, error) {
	wire := iostreamtest.NewWire(iostreamtest.Options{Window: iostreamtest.NoWindow})
	s, err := iostream.New(p.world.Loop, wire.Transport(), &iostream.Config{Budget: p.shared.budget})
	if err != nil {
		return nil, err
	}
	now := p.world.Clock.Now()
	return &sharer{stream: s, wire: wire, emptyAt: now, movedAt: now},
		s.Handle(iostream.Until("\n"), func(_ []byte, err error) bool { return err == nil })
}

// concludeBudget ends the others: nothing is used then.
func (p *player) concludeBudget() error {
	if p.shared == nil {
		return nil
	}
	for _, h := range p.shared.others {
		h.stream.Abort(errOwn)
	}
	if used := p.shared.budget.Used(); used != 0 {
		return fmt.Errorf("%d bytes of the budget are used at the end", used)
	}
	return nil
}
