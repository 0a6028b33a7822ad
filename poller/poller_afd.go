//go:build windows

package poller

import (
	"os"
	"slices"
	"time"

	"golang.org/x/sys/windows"
)

// afd is the backend for Windows: polls of \Device\Afd, the driver of all sockets,
// that complete through a port. A poll is for one socket and over with the first
// condition that it finds, so that a registration takes another after each
// event. It is handed over when the next wait begins: what still holds completes
// it at once, which makes Level level. An edge can't be told from a condition that
// has lasted.
type afd struct {
	table   *table
	port    windows.Handle
	groups  []*afdGroup
	watches []afdWatch    // by slot
	due     []uint32      // slots that need a poll
	polls   []*afdRequest // those that the kernel has, and spare ones
	spare   []*afdRequest
	pending int
	waiting bool // since begin: what is due can't wait

	// returning has the sockets of polls that were taken back and have not come yet, and
	// the slot that is to be polled then, or noWatch. Polls of one socket disturb each other.
	returning map[windows.Handle]uint32

	// For the goroutine that waits.
	found  []completion
	failed error // of a poll that begin could not hand over
}

// afdGroup is a handle of the driver and its users. The kernel searches all requests
// of a handle for one to cancel, so there are not many to each.
type afdGroup struct {
	file  windows.Handle
	users int
}

const groupSize = 32

// afdWatch is what the backend has for a slot.
type afdWatch struct {
	socket windows.Handle
	group  *afdGroup
	poll   *afdRequest // the pending one, or nil
	due    bool        // in the list
}

// afdRequest is a poll. It is on the heap, where nothing moves, and in afd.polls,
// so that it lives as long as the kernel may write to it.
type afdRequest struct {
	status  windows.IO_STATUS_BLOCK
	info    afdPollInfo
	group   *afdGroup
	socket  windows.Handle
	context uintptr // index in afd.polls, and 1
	slot    uint32  // or noWatch
}

// noWatch marks a poll that is taken back: its registration has changed.
const noWatch = ^uint32(0)

// Keys of completions.
const (
	keyPoll uintptr = iota
	keyWake
)

// New returns a Poller of the system. Its error is an *os.SyscallError.
func New() (Poller, error) {
	port, err := windows.CreateIoCompletionPort(windows.InvalidHandle, 0, 0, 0)
	if err != nil {
		return nil, os.NewSyscallError("CreateIoCompletionPort", err)
	}
	a := &afd{table: newTable(), port: port, returning: make(map[windows.Handle]uint32)}
	if _, err := a.join(); err != nil { // to fail here, if at all
		windows.CloseHandle(port)
		return nil, err
	}
	a.groups[0].users = 0
	p := newFront(a.table, a)
	p.edges = false
	return p, nil
}

// join returns a group that has room.
func (a *afd) join() (*afdGroup, error) {
	for _, g := range slices.Backward(a.groups) {
		if g.users < groupSize {
			g.users++
			return g, nil
		}
	}
	file, err := openAfd(a.port)
	if err != nil {
		return nil, err
	}
	g := &afdGroup{file: file, users: 1}
	a.groups = append(a.groups, g)
	return g, nil
}

func (a *afd) add(i uint32) error {
	socket, err := socketOf(windows.Handle(a.table.slots[i].fd))
	if err != nil {
		return err
	}
	group, err := a.join()
	if err != nil {
		return err
	}
	for len(a.watches) <= int(i) {
		a.watches = append(a.watches, afdWatch{})
	}
	w := &a.watches[i]
	*w = afdWatch{socket: socket, group: group, due: w.due}
	if err := a.renew(i); err != nil {
		a.leave(w)
		return err
	}
	return nil
}

// set takes the present poll back, whatever it may have found: that was before
// the change. The socket may be another of the same number by now.
func (a *afd) set(i uint32) error {
	s, w := &a.table.slots[i], &a.watches[i]
	if socket, err := baseSocket(windows.Handle(s.fd)); err == nil {
		w.socket = socket
	}
	a.takeBack(w)
	err := a.renew(i)
	if err != nil {
		s.armed++ // nothing is now
	}
	return err
}

func (a *afd) remove(i uint32) error {
	w := &a.watches[i]
	a.takeBack(w)
	a.leave(w)
	return nil
}

func (a *afd) leave(w *afdWatch) {
	w.group.users--
	*w = afdWatch{due: w.due}
}

func (a *afd) takeBack(w *afdWatch) {
	if w.poll != nil {
		w.poll.slot = noWatch
		w.poll.cancel()
		a.returning[w.poll.socket] = noWatch
		w.poll = nil
	}
}

// cameBack hands over the poll that has waited for this one, if there is one.
func (a *afd) cameBack(r *afdRequest) (resumed bool) {
	a.retire(r)
	i, known := a.returning[r.socket]
	delete(a.returning, r.socket)
	if !known || int(i) >= len(a.watches) || a.watches[i].socket != r.socket { // noWatch, or gone
		return false
	}
	if a.submit(i) != nil {
		a.put(i) // the next wait tells why
	}
	return a.watches[i].poll != nil
}

func (a *afd) retire(r *afdRequest) {
	a.pending--
	a.spare = append(a.spare, r)
}

// renew has the slot polled again, by the wait that is in progress or the next.
func (a *afd) renew(i uint32) error {
	if a.waiting {
		return a.submit(i)
	}
	a.put(i)
	return nil
}

// put has the next wait see to the slot.
func (a *afd) put(i uint32) {
	if w := &a.watches[i]; !w.due {
		w.due = true
		a.due = append(a.due, i)
	}
}

// submit hands a poll for the slot to the kernel, if there is anything to hear.
func (a *afd) submit(i uint32) error {
	w := &a.watches[i]
	if w.poll != nil || w.group == nil {
		return nil // without a group it has been released
	}
	mask := a.table.slots[i].afdMask()
	if mask == 0 {
		return nil
	}
	if _, ok := a.returning[w.socket]; ok {
		a.returning[w.socket] = i
		return nil
	}
	r := a.request()
	r.group, r.slot, r.socket = w.group, i, w.socket
	err := r.poll(mask)
	if err == nil {
		w.poll = r
		a.pending++
		return nil
	}
	a.spare = append(a.spare, r)
	if errnoOf(err) == windows.ERROR_INVALID_HANDLE {
		// Closed without Remove: deaf until somebody says what the number is now.
		return nil
	}
	return os.NewSyscallError("IOCTL_AFD_POLL", errnoOf(err))
}

func (a *afd) request() *afdRequest {
	if n := len(a.spare); n > 0 {
		r := a.spare[n-1]
		a.spare = a.spare[:n-1]
		return r
	}
	a.polls = append(a.polls, &afdRequest{context: uintptr(len(a.polls) + 1)})
	return a.polls[len(a.polls)-1]
}

func (a *afd) begin(n int) bool {
	if n > cap(a.found) {
		a.found = make([]completion, n)
	}
	a.found = a.found[:n]
	due := a.due
	a.due = a.due[:0]
	for _, i := range due {
		if w := &a.watches[i]; w.due {
			w.due = false
			if err := a.submit(i); err != nil {
				a.failed = err
				a.put(i) // for another try
			}
		}
	}
	a.shrink()
	a.waiting = a.failed == nil
	return !a.waiting
}

// shrink gives back the memory of a burst: what belonged to slots that the table has
// dropped, and the polls when the kernel has none of them. What is due is in the table.
func (a *afd) shrink() {
	if n := len(a.table.slots); n < len(a.watches) {
		a.watches = append(make([]afdWatch, 0, n), a.watches[:n]...)
	}
	if a.pending == 0 && len(a.polls) > maxSpare {
		a.polls, a.spare = nil, nil
	}
}

func (a *afd) wait(timeout time.Duration) (interrupted bool, err error) {
	if err, a.failed = a.failed, nil; err != nil {
		return false, err
	}
	n, err := completions(a.port, a.found, timeout)
	a.found = a.found[:n]
	return false, err
}

// harvest tells what completed. What only concerned polls that were taken back does
// not take the room of an event: behind it may be what the caller is waiting for, or
// the polls that have waited for it find something at once.
func (a *afd) harvest(out []Event) (n int, woken bool) {
	a.waiting = false
	room := len(out)
	for {
		more := len(a.found) == room
		for _, c := range a.found {
			if c.key == keyWake {
				woken = true
				room--
				continue
			}
			r := a.polls[c.context-1]
			if r.slot == noWatch {
				more = a.cameBack(r) || more
			} else if ev := a.report(r); ev.Ready != 0 {
				out[n] = ev
				n++
				room--
			}
		}
		if !more || room == 0 {
			return n, woken
		}
		found, err := completions(a.port, a.found[:room], 0)
		if err != nil {
			return n, woken
		}
		a.found = a.found[:found]
	}
}

// report is the event of a poll that has come back, if there is one to tell.
func (a *afd) report(r *afdRequest) (ev Event) {
	a.retire(r)
	a.watches[r.slot].poll = nil
	s := &a.table.slots[r.slot]
	got := r.outcome()
	if got&afdLocalClose != 0 {
		return ev // as in submit
	}
	found, hints := decodeAfd(got)
	if found = s.admit(found, hints); found != 0 {
		ev = Event{Token: s.token, Ready: found, Hints: hints}
		if s.mode == OneShot {
			s.state |= fired
		}
	}
	a.put(r.slot)
	return ev
}

func (a *afd) wake() error {
	err := windows.PostQueuedCompletionStatus(a.port, 0, keyWake, nil)
	return os.NewSyscallError("PostQueuedCompletionStatus", err)
}

// fd is none: a port can't be polled.
func (a *afd) fd() int          { return -1 }
func (a *afd) owns(fd int) bool { return windows.Handle(fd) == a.port }
