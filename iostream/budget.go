package iostream

import (
	"cmp"
	"slices"
	"sync"
	"sync/atomic"
)

// Budget is how much memory the streams that share it, by Config.Budget, may
// hold in buffers: of bytes that were received and not read, and of bytes that
// wait to be sent. When they come to hold more, those that hold most are closed
// with ErrBudget until the others hold at most seven eighths of it. Growth is
// noticed at the end of a stream's turn, so that a stream can be beyond its
// limits by what one turn brings; buffers that hold no bytes, and the kernel's,
// do not count.
//
// A Budget may serve servers and dialers at once. It must not be copied.
type Budget struct {
	limit int64
	used  atomic.Int64

	mu        sync.Mutex
	held      map[*Stream]int64
	relieving bool // relieve is on its way
}

// NewBudget returns a Budget of limit bytes. It returns ErrInvalid for a limit
// below 1.
func NewBudget(limit int64) (*Budget, error) {
	if limit < 1 {
		return nil, opError("new budget", ErrInvalid)
	}
	return &Budget{limit: limit, held: map[*Stream]int64{}}, nil
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
	return int64(n)
}

// charge tells the budget what the stream holds, if that has changed. A stream
// that keeps up with its messages holds nothing whenever this is called.
func (s *Stream) charge() {
	b := s.config.Budget
	if b == nil {
		return
	}
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
		b.held[s] = now
	}
	if b.used.Add(now-before) > b.limit && !b.relieving {
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
	excess := b.used.Load() - b.limit
	if excess <= 0 {
		return nil
	}
	excess += b.limit / 8
	streams := make([]*Stream, 0, len(b.held))
	for s := range b.held {
		streams = append(streams, s)
	}
	slices.SortFunc(streams, func(x, y *Stream) int { return cmp.Compare(b.held[y], b.held[x]) })
	for i, s := range streams {
		if excess <= 0 {
			return streams[:i]
		}
		excess -= b.held[s]
	}
	return streams
}
