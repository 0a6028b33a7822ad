package iostream

import (
	"cmp"
	"slices"
	"sync"
	"sync/atomic"
)

// Budget is how much memory the streams that share it, by Config.Budget, may
// hold in buffers: of bytes that were received and not read, and of bytes that
// wait to be sent, TLS's own buffers included once the handshake is over. When they hold
// that much, those that hold most are aborted with ErrBudget until the others hold less than
// seven eighths of it. Growth is
// noticed at the end of a stream's turn, so that a stream can be beyond its
// limits by what one turn brings; buffers that hold no bytes, and the kernel's,
// do not count.
//
// A Budget may serve servers and dialers at once. It must not be copied.
type Budget struct {
	limit int64
	used  atomic.Int64

	mu        sync.Mutex
	held      map[*Stream]holding
	charges   uint64
	relieving bool // relieve is on its way
}

// holding is what a stream holds, and when that last changed, in order. Buffers double, so
// many hold the same; of these the one that has grown last goes first.
type holding struct {
	bytes int64
	when  uint64
}

// NewBudget returns a Budget of limit bytes. It returns ErrInvalid for a limit
// below 1.
func NewBudget(limit int64) (*Budget, error) {
	if limit < 1 {
		return nil, opError("new budget", ErrInvalid)
	}
	return &Budget{limit: limit, held: map[*Stream]holding{}}, nil
}

// Used returns how many bytes the streams hold.
func (b *Budget) Used() int64 { return b.used.Load() }

// Full reports whether they hold as much as they may, so that it is no time to
// open further ones. A nil Budget is never full.
func (b *Budget) Full() bool { return b != nil && b.used.Load() >= b.limit }

// holds returns how much the stream's buffers count for.
func (s *Stream) holds() int64 {
	if s.any(closed) {
		return 0
	}
	n := s.backlog() - s.out.lent()
	if s.in.len() > 0 && !s.in.borrowed {
		n += cap(s.in.data)
	}
	if t, ok := s.transport.(*tlsTransport); ok && !s.any(handshaking) {
		n += t.holds()
	}
	return int64(n)
}

// holds returns how much TLS itself buffers, one record of plaintext in crypto/tls included.
func (t *tlsTransport) holds() int {
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

func (s *Stream) chargeBudget() {
	b := s.config.Budget
	now, before := s.holds(), int64(0)
	if s.details != nil {
		before = s.details.charged
	}
	if now == before {
		return
	}
	s.ensureDetails().charged = now
	b.mu.Lock()
	defer b.mu.Unlock()
	if now == 0 {
		delete(b.held, s)
	} else {
		b.charges++
		b.held[s] = holding{now, b.charges}
	}
	if b.used.Add(now-before) >= b.limit && !b.relieving {
		b.relieving = s.loop.Kit().Schedule((*relief)(b)) == nil
	}
}

// relief is a Budget that a loop has to bring back within its limit.
type relief Budget

func (r *relief) Run() {
	for _, s := range (*Budget)(r).worst() {
		s.Abort(ErrBudget)
	}
}

// worst returns the streams that hold most, as many as have to go.
func (b *Budget) worst() []*Stream {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.relieving = false
	if b.used.Load() < b.limit {
		return nil
	}
	excess := b.used.Load() - b.limit + max(1, b.limit/8)
	streams := make([]*Stream, 0, len(b.held))
	for s := range b.held {
		streams = append(streams, s)
	}
	slices.SortFunc(streams, func(x, y *Stream) int {
		hx, hy := b.held[x], b.held[y]
		return cmp.Or(cmp.Compare(hy.bytes, hx.bytes), cmp.Compare(hy.when, hx.when))
	})
	for i, s := range streams {
		if excess <= 0 {
			return streams[:i]
		}
		excess -= b.held[s].bytes
	}
	return streams
}
