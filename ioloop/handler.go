package ioloop

import (
	"sync/atomic"

	"github.com/eddyloop/eddy/poller"
)

// Handler is called by the loop when a descriptor is ready. It must not block.
// See Failer.
type Handler interface {
	HandleEvent(ready poller.Interest, hints poller.Hint)
}

// HandlerFunc makes a function a Handler.
type HandlerFunc func(ready poller.Interest, hints poller.Hint)

// HandleEvent calls f.
func (f HandlerFunc) HandleEvent(ready poller.Interest, hints poller.Hint) { f(ready, hints) }

// Registration names a handler of a loop. The zero value names none.
type Registration struct {
	fd         int32
	slot       int32
	generation uint32
}

// Registered reports whether r names a handler, which may have been removed since.
func (r Registration) Registered() bool { return r.generation != 0 }

// FD returns the descriptor of r.
func (r Registration) FD() int { return int(r.fd) }

func (r Registration) token() poller.Token {
	return poller.Token(r.generation)<<32 | poller.Token(uint32(r.slot))
}

// handlerTable finds the handler of an event. It is dense, not indexed by
// descriptor: the descriptors of a process are shared out over many loops.
type handlerTable struct {
	slots   []handlerSlot
	free    []int32
	live    atomic.Int64
	failed  int // slots that have been told of the loop's end
	removed int // handlers since it was last looked whether memory can be given back

	generation uint32 // of the last handler that was added
}

// handlerSlot holds a handler, or nil if it is free. No two handlers of the table
// have the same generation, which is never 0, so that an event of a removed
// handler finds nothing, also when it was fetched before the removal.
type handlerSlot struct {
	handler    Handler
	generation uint32
	interest   poller.Interest
}

// find returns the slot that a token names, nil if it has another use by now.
func (t *handlerTable) find(token poller.Token) *handlerSlot {
	i, generation := uint32(token), uint32(token>>32)
	if i >= uint32(len(t.slots)) {
		return nil
	}
	s := &t.slots[i]
	if s.generation != generation || s.handler == nil {
		return nil
	}
	return s
}

func (t *handlerTable) add(fd int, interest poller.Interest, h Handler) Registration {
	if len(t.free) == 0 {
		t.slots = append(t.slots, handlerSlot{})
		t.free = append(t.free, int32(len(t.slots)-1))
	}
	i := t.free[len(t.free)-1]
	t.free = t.free[:len(t.free)-1]
	s := &t.slots[i]
	if t.generation++; t.generation == 0 {
		t.generation = 1
	}
	s.handler, s.interest, s.generation = h, interest, t.generation
	t.live.Add(1)
	return Registration{fd: int32(fd), slot: i, generation: s.generation}
}

func (t *handlerTable) remove(r Registration) {
	s := &t.slots[r.slot]
	s.handler = nil
	t.free = append(t.free, r.slot)
	t.live.Add(-1)
	if t.removed++; t.removed > len(t.slots)/8 && len(t.slots) > maxSpare {
		t.removed = 0
		t.shrink()
	}
}

// shrink gives back the memory of a burst: the free slots at the end, if they are
// half of all.
func (t *handlerTable) shrink() {
	n := len(t.slots)
	for n > 0 && t.slots[n-1].handler == nil {
		n--
	}
	if n > len(t.slots)/2 {
		return
	}
	t.slots = append(make([]handlerSlot, 0, n), t.slots[:n]...)
	free := make([]int32, 0, n)
	for _, i := range t.free {
		if int(i) < n {
			free = append(free, i)
		}
	}
	t.free = free
}

// failHandlers tells every handler that the loop closes.
func (l *Loop) failHandlers() {
	t := &l.handlers
	for t.failed < len(t.slots) {
		t.failed++
		l.fail(t.slots[t.failed-1].handler, ErrClosed)
	}
}

// Handle has h called whenever fd is ready for a condition in interest,
// level-triggered. With interest 0 it is not called until Update. fd stays the
// caller's: call Remove before closing it. Errors are ErrInvalid for a nil h,
// ErrClosed, and those of poller.Poller.Add.
//
// Handle, Update and Remove may be called only by callbacks and tasks of the
// loop, or while it is not running.
func (l *Loop) Handle(fd int, interest poller.Interest, h Handler) (Registration, error) {
	if h == nil {
		return Registration{}, ErrInvalid
	}
	if l.isClosing() {
		return Registration{}, ErrClosed
	}
	r := l.handlers.add(fd, interest, h)
	if err := l.poller.Add(fd, r.token(), interest, poller.Level); err != nil {
		l.handlers.remove(r)
		return Registration{}, err
	}
	return r, nil
}

// Update replaces the interest of r at once: its handler is not called for
// other conditions, not even for those that this turn has fetched. It returns
// poller.ErrNotExist if r was removed. See Handle for who may call it.
func (l *Loop) Update(r Registration, interest poller.Interest) error {
	s := l.handlers.find(r.token())
	if s == nil {
		return poller.ErrNotExist
	}
	err := l.poller.Modify(int(r.fd), r.token(), interest, poller.Level)
	if err == nil {
		s.interest = interest
	}
	return err
}

// Remove ends r: its handler is not called again, not even for an event that
// this turn has fetched. It returns poller.ErrNotExist if r was removed before.
// See Handle for who may call it.
func (l *Loop) Remove(r Registration) error {
	if l.handlers.find(r.token()) == nil {
		return poller.ErrNotExist
	}
	l.handlers.remove(r)
	return l.poller.Remove(int(r.fd))
}

func (t *handlerTable) all(yield func(Handler) bool) {
	for i := 0; i < len(t.slots); i++ {
		if h := t.slots[i].handler; h != nil && !yield(h) {
			return
		}
	}
}
