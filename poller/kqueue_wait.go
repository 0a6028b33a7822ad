//go:build unix

package poller

import (
	"os"
	"syscall"
	"time"
)

// ends is which filters have seen the end of the stream.
type ends uint8

const (
	readEnd ends = 1 << iota
	writeEnd

	bothEnds = readEnd | writeEnd
)

func (q *kqueue) begin(n int) bool {
	if n > cap(q.ready) {
		q.ready = make([]kevent, n)
		q.batch = make([]inBatch, n)
	}
	for _, i := range q.changed {
		if int(i) < len(q.table.slots) { // it may have been dropped
			q.table.slots[i].state &^= changed
		}
	}
	q.changed = emptied(q.changed)
	q.asking = true
	// Dead writers get half of the room at most, and a room of one in turns,
	// so that they and the kernel's events can't starve one another.
	q.reserve ^= 1
	q.batch = q.batch[:n]
	q.ready = q.ready[:n-min(len(q.dead), (n+q.reserve)/2)]
	return len(q.dead) > 0
}

func (q *kqueue) wait(timeout time.Duration) (interrupted bool, err error) {
	q.found = 0
	if len(q.ready) == 0 {
		return false, nil // kernels disagree about a list without room
	}
	n, err := q.sys.wait(q.ready, timeout)
	switch err {
	case nil:
		q.found = n
		return false, nil
	case syscall.EINTR:
		return true, nil
	case syscall.ETIMEDOUT: // macOS, now and then
		return false, nil
	}
	return false, os.NewSyscallError("kevent", err)
}

func (q *kqueue) harvest(out []Event) (n int, woken bool) {
	q.asking = false
	for k := range q.ready[:q.found] {
		ev := &q.ready[k]
		// The filter comes first: the number of a user event may be a
		// descriptor's too.
		switch {
		case ev.filter == filterUser,
			ev.filter == filterRead && q.waker.fd() >= 0 && ev.ident == uint64(q.waker.fd()):
			q.waker.drain()
			woken = true
		case ev.filter == filterOther, ev.flags&evError != 0:
			// Not about readiness: EV_ERROR speaks of a change.
		default:
			n = q.report(out, n, ev)
		}
	}
	if len(q.dead) > 0 {
		n = q.reportDead(out, n)
	}
	q.finish(out[:n])
	return n, woken
}

// report adds a kernel event to the batch.
func (q *kqueue) report(out []Event, n int, ev *kevent) int {
	i, ok := q.table.lookup(int(ev.ident))
	if !ok || q.table.slots[i].arming(ev.filter) == armNot {
		// Found before the filter was deleted. Or that has failed: the event would
		// come in every wait.
		_ = q.change(kevent{ident: ev.ident, filter: ev.filter, flags: evDelete})
		return n
	}
	s := &q.table.slots[i]
	how := s.arming(ev.filter)
	if s.state&changed != 0 {
		// The slot was changed while the kernel was asked, and the event may
		// belong to what it was before. If it doesn't, it comes again.
		if how == armLevel || q.arm(i, ev.filter, how) == nil {
			return n
		}
		// Or it does not, and must be told, rightly or not.
		s.setArming(ev.filter, how)
	}
	if how == armOneShot {
		s.setArming(ev.filter, armNot)
	}
	found, hints, end := translate(ev)
	if end != 0 && (s.kind() == kindPipe || s.kind() == kindWriter) {
		// There's no other direction, and no end that would be our own doing.
		hints |= Hangup
		found |= PeerClosed
		if end == readEnd && s.interest&Writable != 0 {
			// For a writer it may be the only sign that there's no reader.
			q.bury(i)
		}
	}
	told := q.join(out, n, i, found, hints, end)
	if told == n {
		q.disarmUnwanted(s, ev.filter)
	}
	return told
}

// disarmUnwanted deletes a filter that nobody wants, which has failed before.
func (q *kqueue) disarmUnwanted(s *slot, f filter) {
	read, write := s.filters()
	if f == filterRead && read == armNot || f == filterWrite && write == armNot {
		_ = q.disarm(s, f)
	}
}

// translate gives a kernel event a meaning.
func translate(ev *kevent) (found Interest, hints Hint, end ends) {
	found, end = Readable, readEnd
	if ev.filter == filterWrite {
		found, end = Writable, writeEnd
	}
	if ev.flags&evEOF == 0 {
		return found, 0, 0
	}
	if end == readEnd {
		// The writer's end of stream may be our own doing, the reader's isn't.
		found |= PeerClosed
	}
	if ev.fflags != 0 { // the socket's error
		hints = Failed | Hangup
		found |= Readable | Writable | PeerClosed
	}
	return found, hints, end
}

// join puts what was found on slot i into the batch, together with what is
// there from the other filter.
func (q *kqueue) join(out []Event, n int, i uint32, found Interest, hints Hint, end ends) int {
	s := &q.table.slots[i]
	if found = s.admit(found, hints); found == 0 {
		return n
	}
	if k := int(s.pos); k < n && q.batch[k].slot == i {
		out[k].Ready |= found
		out[k].Hints |= hints
		q.batch[k].ends |= end
		return n
	}
	s.pos, q.batch[n] = uint32(n), inBatch{i, end}
	out[n] = Event{Token: s.token, Ready: found, Hints: hints}
	return n + 1
}

// finish completes the hints, and disarms what had its one shot: the kernel
// has disarmed the filter that fired, but not the other.
func (q *kqueue) finish(batch []Event) {
	for k := range batch {
		if q.batch[k].ends == bothEnds {
			batch[k].Hints |= Hangup
		}
		if s := &q.table.slots[q.batch[k].slot]; s.mode == OneShot {
			s.state |= fired
			_ = q.disarm(s, filterRead) // if not now, when it reports: see disarmUnwanted
			_ = q.disarm(s, filterWrite)
		}
	}
}
