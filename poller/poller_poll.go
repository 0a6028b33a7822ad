//go:build linux || aix || solaris

package poller

import (
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// pollSet is the backend over poll(2), where there's nothing better. The
// kernel keeps no registrations: every wait hands over all of them, so that a
// change must interrupt the wait that is in progress.
type pollSet struct {
	table *table
	waker waker
	rdhup bool        // the kernel tells of the end behind unread data
	woken atomic.Bool // by wake, and not because of a change

	waiting bool      // since begin; a change must be told
	changed bool      // fds isn't what the table says any more
	blind   time.Time // when those that are blind look again, or zero

	// For the goroutine that waits.
	fds  []unix.PollFd // the waker's comes first
	regs []pollReg     // beside fds
	next int           // whose turn it is, when there's not room for all
}

// pollReg is the registration that an entry was made of.
type pollReg struct{ slot, gen uint32 }

// blindFor is how long such data is not looked at.
const blindFor = 10 * time.Millisecond

func newPoll(rdhup bool) (Poller, error) {
	w, err := newPipeWaker()
	if err != nil {
		return nil, err
	}
	p := &pollSet{table: newTable(), waker: w, rdhup: rdhup, changed: true}
	f := newFront(p.table, p)
	// What has been told and is still so can't be waited for: poll(2) returns at
	// once. Left out, what is new could be missed.
	f.edges = false
	return f, nil
}

func (p *pollSet) add(i uint32) error {
	s := &p.table.slots[i]
	kind, _, err := kindOf(int(s.fd))
	switch {
	case err != nil:
		return os.NewSyscallError("fstat", err)
	case kind == kindAlways:
		return ErrNotPollable
	case kind == kindSocket:
		if t, _ := unix.GetsockoptInt(int(s.fd), unix.SOL_SOCKET, unix.SO_TYPE); t != unix.SOCK_STREAM {
			kind = kindOther
		}
	}
	s.setKind(kind)
	return p.change()
}

func (p *pollSet) set(uint32) error    { return p.change() }
func (p *pollSet) remove(uint32) error { return p.change() }

// change has the next wait, or the one in progress, see the table as it is.
func (p *pollSet) change() error {
	p.changed = true
	if p.waiting {
		return p.waker.wake()
	}
	return nil
}

// bits is what to ask for a slot. It returns false if nothing at all is to be
// heard, since errors and hang-ups come unasked.
func (p *pollSet) bits(s *slot) (bits pollBits, ok bool) {
	if s.interest == 0 || s.state&fired != 0 || s.state&muted != 0 {
		return 0, false
	}
	if s.interest&Readable != 0 {
		bits |= unix.POLLIN
	}
	if s.interest&Writable != 0 {
		bits |= unix.POLLOUT
	}
	if s.interest&PeerClosed != 0 && s.state&toldClosed == 0 {
		if p.rdhup {
			bits |= pollRDHup
		} else if s.kind() == kindSocket && s.state&blind == 0 {
			bits |= unix.POLLIN
		}
	}
	return bits, true
}

func (p *pollSet) begin(int) bool {
	p.waiting = true
	if !p.blind.IsZero() && !time.Now().Before(p.blind) {
		p.blind = time.Time{}
		p.changed = true
		for i := range p.table.slots {
			p.table.slots[i].state &^= blind
		}
	}
	if p.changed {
		p.build()
	}
	return false
}

// build makes the kernel's list from the table.
func (p *pollSet) build() {
	p.changed = false
	if cap(p.fds) > maxSpare && len(p.table.byFD) < cap(p.fds)/4 {
		p.fds, p.regs = nil, nil // a burst is over
	}
	p.fds = append(p.fds[:0], unix.PollFd{Fd: int32(p.waker.fd()), Events: unix.POLLIN})
	p.regs = append(p.regs[:0], pollReg{})
	for i := range p.table.slots {
		s := &p.table.slots[i]
		if bits, ok := p.bits(s); ok {
			p.fds = append(p.fds, unix.PollFd{Fd: s.fd, Events: bits})
			p.regs = append(p.regs, pollReg{uint32(i), s.gen})
		}
	}
}

func (p *pollSet) wait(timeout time.Duration) (interrupted bool, err error) {
	if !p.blind.IsZero() {
		if left := max(0, time.Until(p.blind)); timeout < 0 || timeout > left {
			timeout = left
		}
	}
	_, err = unix.Poll(p.fds, millis(timeout))
	if err == unix.EINTR || err == unix.EAGAIN {
		return true, nil
	}
	return false, os.NewSyscallError("poll", err)
}

// harvest goes round the list, so that everyone has a turn. A wake-up takes
// the room of an event, as it does with other kernels: neither can keep the
// other out.
func (p *pollSet) harvest(out []Event) (n int, woken bool) {
	p.waiting = false
	room := len(out)
	for range p.fds {
		if room == 0 {
			break
		}
		if p.next >= len(p.fds) {
			p.next = 0
		}
		k := p.next
		p.next++
		switch {
		case p.fds[k].Revents == 0:
		case k == 0:
			p.waker.drain()
			woken = p.woken.Swap(false)
			room--
		default:
			if ev := p.report(k); ev.Ready != 0 {
				out[n] = ev
				n++
				room--
			}
		}
	}
	return n, woken
}

// report is the event of entry k, if there is one to tell.
func (p *pollSet) report(k int) (ev Event) {
	s := p.table.at(p.regs[k].slot, p.regs[k].gen)
	if s == nil {
		return ev // changed or removed in the meantime
	}
	got := p.fds[k].Revents
	if got&unix.POLLNVAL != 0 {
		p.mute(s) // closed without Remove
		return ev
	}
	found, hints := decode(uint32(got), s.interest)
	const broken = unix.POLLHUP | unix.POLLERR
	if !p.rdhup && got&unix.POLLIN != 0 && got&broken == 0 && s.interest&PeerClosed != 0 {
		found |= p.watchEnd(s)
	}
	if found = s.admit(found, hints); found == 0 {
		if got&broken != 0 {
			p.mute(s)
		}
		return ev
	}
	if s.mode == OneShot {
		s.state |= fired
		p.changed = true
	} else if found&PeerClosed != 0 {
		p.changed = true
	}
	return Event{Token: s.token, Ready: found, Hints: hints}
}

// watchEnd is the close watch of what is readable, without POLLRDHUP. There may be
// unread data that the owner doesn't want to be told of, behind which the end can't
// be seen. To watch for it would be to look at the data all the time: the slot is
// blind for a while.
func (p *pollSet) watchEnd(s *slot) Interest {
	if s.kind() != kindSocket {
		return 0
	}
	if atEnd(int(s.fd)) {
		return PeerClosed
	}
	if s.interest&Readable == 0 {
		s.state |= blind
		p.changed = true
		if p.blind.IsZero() {
			p.blind = time.Now().Add(blindFor)
		}
	}
	return 0
}

func (p *pollSet) mute(s *slot) {
	s.state |= muted
	p.changed = true
}

// atEnd tells whether a stream socket that is readable has come to its end.
func atEnd(fd int) bool {
	var buf [1]byte
	n, _, err := unix.Recvfrom(fd, buf[:], unix.MSG_PEEK|msgDontWait)
	return n == 0 && err == nil
}

func (p *pollSet) wake() error {
	p.woken.Store(true)
	return p.waker.wake()
}

// fd is none: the kernel knows nothing of the Poller.
func (p *pollSet) fd() int          { return -1 }
func (p *pollSet) owns(fd int) bool { return p.waker.owns(fd) }

func (p *pollSet) close() error {
	p.waker.close()
	return nil
}
