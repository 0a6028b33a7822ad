//go:build linux

package poller

import "golang.org/x/sys/unix"

// staleWatch looks for entries of the kernel that can't be deleted. When a
// descriptor is closed without Remove while a duplicate of it is open, its
// entry lives on, under a number that leads to it no more, and if the mode is
// Level the entry can be reported in every wait.
//
// An event of an earlier registration is nothing strange: it may have been
// found just before another goroutine changed the slot. Seen a second time it
// proves such an entry, because after a change the kernel reports the new
// number. Repetitions are found as in R. P. Brent's cycle finding (An improved
// Monte Carlo factorization algorithm, BIT 20, 1980): one event is compared with
// those that follow, for twice as many each time.
type staleWatch struct {
	slot, gen uint32
	seen      uint32 // stale events since the suspect was chosen
	limit     uint32 // how many of them until another one is chosen
	proven    bool
}

// maxSuspicion bounds for how many events one suspect is looked out for.
const maxSuspicion = 1 << 14

// see notes a stale event. The time that a suspect is kept doubles, so that a
// repetition of any length is found.
func (w *staleWatch) see(i, gen uint32) {
	if w.limit != 0 && w.slot == i && w.gen == gen {
		w.proven = true
		return
	}
	if w.seen++; w.seen >= w.limit {
		w.slot, w.gen, w.seen = i, gen, 0
		w.limit = min(2*w.limit+1, maxSuspicion)
	}
}

// rebuild makes a new epoll set from the table and puts it in the place of the
// old one, under the same number: the last resort against entries that can't
// be deleted. A Poller that watches this one loses sight of it.
func (e *epoll) rebuild() {
	e.stale = staleWatch{}
	fresh, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return // out of descriptors, perhaps: the events come back and so do we
	}
	defer unix.Close(fresh)
	if e.watchWaker(fresh) != nil {
		return
	}
	for i := range e.table.slots {
		s := &e.table.slots[i]
		if s.armed == 0 {
			continue
		}
		// What has been told already, and a one-shot that has fired, isn't told
		// again.
		ev := e.entry(uint32(i))
		switch epollCtl(fresh, unix.EPOLL_CTL_ADD, int(s.fd), &ev) {
		case nil:
		case unix.EBADF, unix.EPERM:
			s.armed = 0 // it was closed without Remove
		default:
			return // no room for both sets: nobody must be left out
		}
	}
	_ = unix.Dup3(fresh, e.file, unix.O_CLOEXEC)
}
