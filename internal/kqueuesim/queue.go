//go:build linux

package kqueuesim

import (
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Queue is a kqueue. Its methods may be called from any goroutine.
type Queue struct {
	profile *Profile
	files   files

	// Fault, if set, is called when the changes of a call have been made, and
	// may have it fail: EINTR, or ETIMEDOUT as macOS is known for.
	Fault func(changes, events int) error

	// Found, if set, is called with events that are on their way to the
	// caller: the kernel has done with them, and changes come too late.
	Found func(events []Kevent)

	mu     sync.Mutex
	notes  map[key]*knote
	byID   map[uint32]*knote
	lastID uint32
	ready  []*knote // activated, in the order in which they are looked at
	ids    []uint32 // scratch
}

// files is where the descriptors of a Queue come from.
type files interface {
	// identify tells the file that fd is open on from every other that was or
	// will be open there. It returns EBADF if there's none.
	identify(fd int) (identity, error)

	state(fd int) State

	// watch has what happens to a file be noticed, for one filter.
	watch(n *knote, reading bool) error
	forget(n *knote, reading bool)

	// noticed appends to ids the knotes to which something has happened.
	noticed(ids []uint32) []uint32

	// signal says whether there are activated knotes, in which case block
	// returns and the queue's own descriptor is readable.
	signal(pending bool)

	// block waits until something may have happened. A negative timeout is
	// without end.
	block(timeout time.Duration) error

	fd() int
	close() error
}

// identity of an open file at a descriptor.
type identity struct{ a, b uint64 }

// key is what makes a knote: there's one for each pair.
type key struct {
	ident  uint64
	filter int32
}

// knote is a registered filter.
type knote struct {
	key
	id       uint32
	file     identity
	mode     uint32 // flags of the change that made it
	fflags   uint32 // as asked for
	data     int64
	udata    uint64
	disabled bool
	queued   bool
	found    verdict // when it was activated
	eof      bool    // has been seen, and stays unless cleared

	triggered bool   // user events
	user      uint32 // their flags
}

// New returns a Queue for descriptors of the host.
func New(p *Profile) (*Queue, error) {
	h, err := newHost()
	if err != nil {
		return nil, err
	}
	return newQueue(p, h), nil
}

func newQueue(p *Profile, f files) *Queue {
	return &Queue{profile: p, files: f, notes: map[key]*knote{}, byID: map[uint32]*knote{}}
}

// Profile of the system that the Queue is like.
func (q *Queue) Profile() *Profile { return q.profile }

// FD is the descriptor of the Queue, readable when events are pending.
func (q *Queue) FD() int { return q.files.fd() }

// Close releases the Queue. It doesn't wake who is in Kevent.
func (q *Queue) Close() error { return q.files.close() }

// Kevent is kevent(2): it makes changes, in their order, and returns events.
//
// A change that fails becomes an event with EV_ERROR, if there's room for it,
// and otherwise an error, and what is behind it isn't looked at. With such
// events, or receipts, no others are returned. Without room for events it
// returns at once. A nil timeout is without end.
func (q *Queue) Kevent(changes, events []Kevent, timeout *unix.Timespec) (int, error) {
	limit, err := q.limit(timeout)
	if err != nil {
		return 0, err
	}
	n, err := q.change(changes, events)
	if q.Fault != nil && err == nil {
		err = q.Fault(len(changes), len(events))
	}
	if err != nil || n > 0 || len(events) == 0 {
		return n, err
	}
	n, err = q.wait(events, limit)
	if q.Found != nil && n > 0 {
		q.Found(events[:n])
	}
	return n, err
}

// limit is the timeout as a duration.
func (q *Queue) limit(timeout *unix.Timespec) (time.Duration, error) {
	if timeout == nil {
		return -1, nil
	}
	sec, nsec := int64(timeout.Sec), int64(timeout.Nsec)
	most := q.profile.MaxSeconds
	if sec < 0 || nsec < 0 || nsec >= 1e9 || most > 0 && sec > most {
		return 0, syscall.EINVAL
	}
	const endless = 1 << 32 // seconds; the limit of a Duration is near
	if sec >= endless {
		return -1, nil
	}
	return time.Duration(sec)*time.Second + time.Duration(nsec), nil
}

func (q *Queue) change(changes, events []Kevent) (n int, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	defer func() { q.files.signal(len(q.ready) > 0) }()
	for _, c := range changes {
		if q.profile.NoReceipt {
			c.Flags &^= EV_RECEIPT
		}
		if q.profile.NoDispatch {
			c.Flags &^= EV_DISPATCH
		}
		err := q.register(c)
		if err == nil && c.Flags&EV_RECEIPT == 0 {
			continue
		}
		if n == len(events) {
			if err != nil {
				return 0, err
			}
			if q.profile.ReceiptsNeedRoom {
				return n, nil
			}
			continue
		}
		receipt := c
		if !q.profile.ReceiptKeepsFlags {
			receipt.Flags = 0
		}
		receipt.Flags |= EV_ERROR
		receipt.Data = 0
		if err != nil {
			receipt.Data = int64(err.(syscall.Errno))
		}
		events[n] = receipt
		n++
	}
	return n, nil
}

func (q *Queue) wait(events []Kevent, limit time.Duration) (int, error) {
	var deadline time.Time
	if limit > 0 {
		deadline = time.Now().Add(limit)
	}
	for {
		if n := q.scan(events); n > 0 || limit == 0 {
			return n, nil
		}
		left := limit
		if limit > 0 {
			if left = time.Until(deadline); left <= 0 {
				return 0, nil
			}
		}
		if err := q.files.block(left); err != nil {
			return 0, err
		}
	}
}

// activate puts a knote among those that are looked at.
func (q *Queue) activate(n *knote) {
	if !n.queued && !n.disabled {
		n.queued = true
		q.ready = append(q.ready, n)
	}
}

func (q *Queue) deactivate(n *knote) {
	if n.queued {
		n.queued = false
		i := slices.Index(q.ready, n)
		q.ready = slices.Delete(q.ready, i, i+1)
	}
}

// scan returns what is ready. A level-triggered knote stays activated, behind
// the others, until it's found not to be ready any more.
func (q *Queue) scan(events []Kevent) (found int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.ids = q.files.noticed(q.ids[:0])
	for _, id := range q.ids {
		if n := q.byID[id]; n != nil {
			// What has arrived may have been taken by now. Something has.
			if n.found = q.judge(n); !n.found.ready {
				n.found = verdict{ready: true}
			}
			q.activate(n)
		}
	}
	for range len(q.ready) {
		if found == len(events) {
			break
		}
		n := q.ready[0]
		q.deactivate(n)
		if !q.alive(n) {
			q.drop(n)
			continue
		}
		v := n.found
		if n.mode&EV_ONESHOT == 0 || !q.profile.OneShotAsFound || n.filter == q.profile.User {
			v = q.judge(n)
		}
		if !v.ready {
			continue
		}
		events[found] = n.event(v, q.profile)
		found++
		switch {
		case n.mode&EV_ONESHOT != 0:
			q.drop(n)
		case n.mode&EV_DISPATCH != 0:
			n.disabled = true
			n.clear()
		case n.mode&EV_CLEAR != 0:
			n.clear()
		default:
			q.activate(n)
		}
	}
	q.files.signal(len(q.ready) > 0)
	return found
}

// judge asks the filter.
func (q *Queue) judge(n *knote) verdict {
	if n.filter == q.profile.User {
		return verdict{ready: n.triggered, fflags: n.user, data: n.data}
	}
	s := q.files.state(int(n.ident))
	var v verdict
	if n.filter == q.profile.Read {
		v = s.read(q.profile)
	} else {
		v = s.write(q.profile)
	}
	n.eof = v.eof || n.eof && !q.profile.EndPasses
	if n.eof {
		v.ready, v.eof = true, true
	}
	return v
}

func (n *knote) event(v verdict, p *Profile) Kevent {
	const shown = EV_ONESHOT | EV_CLEAR | EV_DISPATCH | EV_RECEIPT
	ev := Kevent{
		Ident: n.ident, Filter: n.filter, Udata: n.udata,
		Flags: n.mode & shown, Fflags: v.fflags, Data: v.data,
	}
	if p.EventsKeepAdd {
		ev.Flags |= EV_ADD
	}
	if v.eof {
		ev.Flags |= EV_EOF
	}
	return ev
}

// clear is the state after retrieval with EV_CLEAR.
func (n *knote) clear() {
	if n.mode&EV_CLEAR == 0 {
		return
	}
	n.eof, n.triggered = false, false
}
