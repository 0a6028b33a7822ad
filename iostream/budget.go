package iostream

import (
	"cmp"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/eddyloop/eddy/ioloop"
)

// Budget limits the memory that the streams which share it (Config.Budget) hold
// in buffers: bytes received and not read, messages that a task or a waiting
// call still uses, and bytes that wait to be sent, with TLS's own buffers and
// handshakes.
//
// When they hold that much, streams are aborted with ErrBudget until the others
// hold less than seven eighths of the limit. The first to go are those with the
// greatest product of bytes held and time without progress, which counts as at
// least one second and at most one minute. Of equal ones, the one whose progress
// is the latest goes. Progress is that bytes come, are read or are sent, together
// a sixteenth of what the stream holds. A message that is read and answered in
// one turn of the loop is never counted, so even a Budget of one byte lets such
// streams work.
//
// A stream is counted at the end of its turn, so it can exceed its limits by
// what one turn brings. Empty buffers, the kernel's buffers, and what the
// program makes of the bytes are not counted. A message whose function still
// works counts also after its stream has closed.
//
// One Budget may be shared by servers and dialers. Its methods may be called
// from any goroutine. It must not be copied.
type Budget struct {
	limit int64
	used  atomic.Int64

	mu    sync.Mutex
	held  map[*Stream]*holding
	asked *ioloop.Loop // it has been asked for relief
	room  []func()     // are called once there is room
}

// holding is what a stream holds.
type holding struct {
	bytes   int64
	leaving bool // it was told to go
	stays   bool // its stream has closed: there is nobody to send away

	since atomic.Int64 // when it has got on last, on its loop's clock

	// Under the stream's lock: what it had when it was looked at last, and how many bytes
	// have moved since it got on.
	unread int
	sent   int64
	moved  int64

	message int // size of the buffer with the message whose function works
}

// NewBudget returns a Budget of limit bytes, or ErrInvalid if limit is below 1.
func NewBudget(limit int64) (*Budget, error) {
	if limit < 1 {
		return nil, opError("new budget", ErrInvalid)
	}
	return &Budget{limit: limit, held: map[*Stream]*holding{}}, nil
}

// Used returns how many bytes the streams hold. It must not be called on a nil
// Budget.
func (b *Budget) Used() int64 { return b.used.Load() }

// Full reports whether the streams hold as much as they may, so that no further
// ones should be opened. A nil Budget is never full.
func (b *Budget) Full() bool { return b != nil && b.used.Load() >= b.limit }

// holds returns how much the stream's buffers count for.
func (s *Stream) holds() int64 {
	n := 0
	if s.in.kept || !s.any(closed) && (s.in.len() > 0 || s.in.lent) && !s.in.borrowed {
		n = cap(s.in.data)
	}
	if s.any(closed) {
		return int64(n)
	}
	n += s.backlog() - s.out.lent() - s.out.elsewhere()
	if t, ok := s.transport.(*tlsTransport); ok {
		n += t.holds()
	}
	return int64(n)
}

// handshakeCost is what a handshake holds in any case: crypto/tls's state and a stack.
const handshakeCost = 8 << 10

// holds returns how much TLS itself buffers, one record of plaintext in crypto/tls included.
func (t *tlsTransport) holds() int {
	if hs := t.hs; hs != nil && !t.ready {
		if !hs.running && hs.next != nil {
			hs.held = handshakeCost + 2*hs.received + cap(t.rxBuffer) + cap(t.tx) // messages stand in buffers that double
		}
		return hs.held
	}
	n := 0
	if len(t.rx) > 0 {
		n += cap(t.rxBuffer)
	}
	if len(t.tx) > t.txDone {
		n += cap(t.tx)
	}
	if t.Buffered() || t.Incomplete() {
		n += 16 << 10
	}
	return n
}

// charge tells the budget what the stream holds, if that has changed. A stream
// that keeps up with its messages holds nothing whenever this is called.
func (s *Stream) charge() {
	if s.config.Budget != nil {
		s.chargeBudget()
	}
}

// chargeUnlessLater is charge, but where the loop does so anyway.
func (s *Stream) chargeUnlessLater() {
	if !s.any(pumping | dirty) {
		s.charge()
	}
}

func (s *Stream) chargeBudget() {
	b := s.config.Budget
	now := s.holds()
	if s.details == nil || s.details.holding == nil {
		if now == 0 {
			return
		}
		s.ensureDetails().holding = new(holding)
	}
	h := s.details.holding
	now += h.left(s)
	if now == 0 && h.bytes == 0 {
		return
	}
	h.look(s, now)
	if now != h.bytes {
		b.take(s, h, now)
	}
}

// left returns the size of the buffer that only a message's function still has, as the stream
// has moved to another one for what the function reads itself.
func (h *holding) left(s *Stream) int64 {
	switch {
	case s.in.kept:
		h.message = cap(s.in.data)
	case s.any(handling):
		return int64(h.message)
	default:
		h.message = 0
	}
	return 0
}

// look notes whether the stream, which holds so many bytes, has got on.
func (h *holding) look(s *Stream, bytes int64) {
	unread, sent := s.in.len(), s.sent()
	h.moved += int64(max(unread-h.unread, h.unread-unread)) + sent - h.sent
	h.unread, h.sent = unread, sent
	if h.bytes == 0 || 16*h.moved >= bytes {
		h.moved = 0
		h.since.Store(int64(s.loop.Now()))
	}
}

// take has a stream hold so many bytes.
func (b *Budget) take(s *Stream, h *holding, bytes int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	used := b.used.Add(bytes - h.bytes)
	h.bytes, h.stays = bytes, s.any(closed)
	if bytes == 0 {
		delete(b.held, s)
	} else {
		b.held[s] = h
	}
	if used < b.limit {
		b.tellRoom()
		return
	}
	// Another loop is not relied on: it may never get round to it.
	if b.asked != s.loop && s.loop.Kit().Schedule((*relief)(b)) == nil {
		b.asked = s.loop
	}
}

// whenRoom has tell called once the budget is no longer full. It returns false if
// it is not full now. The budget's lock is held in tell, maybe a stream's too: it must not
// wait, and not use them.
func (b *Budget) whenRoom(tell func()) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.used.Load() < b.limit {
		return false
	}
	b.room = append(b.room, tell)
	return true
}

func (b *Budget) tellRoom() {
	for _, tell := range b.room {
		tell()
	}
	b.room = nil
}

// relief is a Budget that a loop has to bring back within its limit.
type relief Budget

func (r *relief) Run() {
	for _, s := range (*Budget)(r).worst() {
		s.Abort(ErrBudget)
	}
}

// worst returns the streams that have to go.
func (b *Budget) worst() []*Stream {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asked = nil
	if b.used.Load() < b.limit {
		return nil
	}
	excess := b.used.Load() - b.limit + max(1, b.limit/8)
	var candidates []candidate
	for s, h := range b.held {
		switch {
		case h.stays:
		case h.leaving:
			excess -= h.bytes
		default:
			candidates = append(candidates, candidate{s, h, h.weight(s)})
		}
	}
	// Equal weights are common, as buffers double: who grows now goes, not who did before.
	slices.SortFunc(candidates, func(x, y candidate) int {
		return cmp.Or(cmp.Compare(y.weight, x.weight), cmp.Compare(y.since.Load(), x.since.Load()))
	})
	var worst []*Stream
	for _, c := range candidates {
		if excess <= 0 {
			break
		}
		c.leaving = true
		excess -= c.bytes
		worst = append(worst, c.stream)
	}
	return worst
}

// candidate is a stream that may have to go.
type candidate struct {
	stream *Stream
	*holding
	weight float64
}

// weight is what a stream costs the others: byte seconds.
func (h *holding) weight(s *Stream) float64 {
	still := s.loop.Now() - time.Duration(h.since.Load())
	return float64(h.bytes) * min(max(still, time.Second), time.Minute).Seconds()
}
