//go:build unix

package poller

import (
	"errors"
	"os"
	"syscall"
	"time"
)

// kevent is the record of kqueue, as an event and as a change, without the
// types that differ from system to system. There's no user data in it: the
// field is a pointer on most systems, and the garbage collector stops the
// process when it finds a number in a pointer. Descriptors lead to slots.
type kevent struct {
	ident  uint64
	filter filter
	flags  uint32
	fflags uint32
	data   int64
}

// filter is a kqueue filter under a number of our own: the kernels' differ.
type filter uint8

const (
	filterOther filter = iota
	filterRead
	filterWrite
	filterUser
)

// Flags, the same on every system.
const (
	evAdd     = 0x1
	evDelete  = 0x2
	evOneShot = 0x10
	evClear   = 0x20
	evError   = 0x4000
	evEOF     = 0x8000

	noteTrigger = 0x1000000
)

// kernelQueue is a kqueue. Its errors are the kernel's, bare.
type kernelQueue interface {
	// change makes one change and asks for no events. With room for events
	// kevent would hand out some, which then are lost; and of several changes
	// it leaves out those behind one that fails.
	change(ev kevent) error

	// wait fills events. A negative timeout is without end.
	wait(events []kevent, timeout time.Duration) (int, error)

	// kind looks at an open file. It returns an error that is ErrNotPollable for
	// one that the kernel cannot watch, whatever the filter.
	kind(fd int) (fileKind, error)

	// blindToRoom reports whether fd, a pipe or FIFO, is one of which the kernel does
	// not tell when it has room.
	blindToRoom(fd int) bool

	fd() int
	close() error
}

// kqueue is the backend over a kernelQueue. What has been armed is kept in the
// slots: filters are deleted only if they are there.
type kqueue struct {
	sys   kernelQueue
	table *table
	waker waker

	dead    []deadWriter // have an event, though the kernel has none for them
	served  []deadWriter // scratch
	reserve int          // alternates, see begin

	asking  bool     // the kernel, without the lock
	changed []uint32 // slots that were changed meanwhile

	// For the goroutine that waits.
	ready []kevent
	found int
	batch []inBatch // beside the events handed out
}

// inBatch is the slot of an event that is handed out.
type inBatch struct {
	slot uint32
	ends ends
}

// newKqueue takes over sys and w, also when it fails.
func newKqueue(sys kernelQueue, w waker) (*front, error) {
	q := &kqueue{sys: sys, table: newTable(), waker: w}
	ev := kevent{filter: filterUser, flags: evAdd | evClear}
	if w.fd() >= 0 {
		// With EV_CLEAR the queue is not readable any more when the wake-up
		// has been handed out: another Poller may be watching it.
		ev = kevent{ident: uint64(w.fd()), filter: filterRead, flags: evAdd | evClear}
	}
	if err := q.change(ev); err != nil {
		_ = q.close()
		return nil, os.NewSyscallError("kevent", err)
	}
	return newFront(q.table, q), nil
}

// arming is how one filter of a descriptor is armed.
type arming uint8

const (
	armNot     arming = iota
	armLevel          // EV_ADD
	armClear          // with EV_CLEAR
	armOneShot        // with EV_ONESHOT; over when it has fired
)

var armFlags = [...]uint32{
	armLevel:   evAdd,
	armClear:   evAdd | evClear,
	armOneShot: evAdd | evOneShot,
}

// A slot's armed field is two armings: two bits for either filter.
func (s *slot) arming(f filter) arming {
	switch f {
	case filterRead:
		return arming(s.armed & 3)
	case filterWrite:
		return arming(s.armed >> 2 & 3)
	}
	return armNot
}

func (s *slot) setArming(f filter, a arming) {
	if f == filterRead {
		s.armed = s.armed&^3 | uint8(a)
	} else {
		s.armed = s.armed&^(3<<2) | uint8(a)<<2
	}
}

// filters is what shall be armed for the slot.
func (s *slot) filters() (read, write arming) {
	if s.state&fired != 0 {
		return armNot, armNot
	}
	how := [...]arming{Level: armLevel, Edge: armClear, OneShot: armOneShot}[s.mode]
	pipe := s.kind() == kindPipe || s.kind() == kindWriter
	switch {
	case s.interest&Readable != 0:
		read = how
	case s.interest&PeerClosed != 0, s.interest != 0 && pipe:
		// The close watch sees every arrival and tells only of the end. In
		// one-shot mode the first arrival must not use it up. The writing end
		// of a pipe may learn only here that its reader is gone.
		read = armClear
	}
	switch {
	case s.interest&Writable != 0:
		write = how
	case s.interest&PeerClosed != 0 && s.kind() == kindWriter:
		// Or only here: on some systems the reading filter of a writing end
		// never fires. It sees the reader make room, too.
		write = armClear
	}
	return read, write
}

func (q *kqueue) add(i uint32) error {
	s := &q.table.slots[i]
	kind, err := q.sys.kind(int(s.fd))
	switch {
	case errors.Is(err, ErrNotPollable):
		return err
	case err != nil:
		return os.NewSyscallError("fstat", err)
	case kind == kindAlways:
		return ErrNotPollable
	case kind == kindWriter && q.sys.blindToRoom(int(s.fd)):
		return errFIFORoom
	}
	s.setKind(kind)
	err = q.set(i)
	if err == nil && s.interest == 0 && kind == kindOther {
		// Only the filter knows whether the device has it.
		err = q.arm(i, filterRead, armLevel)
		_ = q.disarm(s, filterRead)
	}
	if err != nil {
		_ = q.remove(i)
	}
	return err
}

func (q *kqueue) set(i uint32) error {
	s := &q.table.slots[i]
	if q.asking && s.state&changed == 0 {
		s.state |= changed
		q.changed = append(q.changed, i)
	}
	read, write := s.filters()
	if write != armNot && s.kind() == kindPipe && q.sys.blindToRoom(int(s.fd)) {
		return errFIFORoom
	}
	needed := Readable | PeerClosed
	if s.kind() == kindWriter {
		needed = Readable
	}
	err := q.arm(i, filterRead, read)
	if err != nil && (s.interest&needed != 0 || errors.Is(err, syscall.ENOMEM)) {
		return err
	}
	return q.arm(i, filterWrite, write)
}

func (q *kqueue) remove(i uint32) error {
	s := &q.table.slots[i]
	err := q.disarm(s, filterRead)
	if err2 := q.disarm(s, filterWrite); err == nil {
		err = err2
	}
	return err
}

// arm brings one filter to the wanted state.
func (q *kqueue) arm(i uint32, f filter, want arming) error {
	s := &q.table.slots[i]
	have := s.arming(f)
	if have != armNot && have != want {
		// Most kernels keep the mode of the first EV_ADD in a second one.
		if err := q.disarm(s, f); err != nil {
			return err
		}
	}
	if want == armNot {
		return nil
	}
	// Added once more, a filter is evaluated anew: that re-arms it. One that is
	// level-triggered needs it too: if the descriptor was closed and its number
	// used again without Remove, the kernel has none any more.
	s.setArming(f, armNot)
	err := q.change(kevent{ident: uint64(s.fd), filter: f, flags: armFlags[want]})
	switch {
	case err == nil:
		s.setArming(f, want)
		return nil
	case f == filterWrite && q.writerIsDead(s, err):
		q.bury(i)
		// Another goroutine may be waiting already.
		return q.waker.wake()
	case err == syscall.EINVAL, err == syscall.EOPNOTSUPP:
		return ErrNotPollable // the file has no such filter
	}
	return os.NewSyscallError("kevent", err)
}

func (q *kqueue) disarm(s *slot, f filter) error {
	if s.arming(f) == armNot {
		return nil
	}
	err := q.change(kevent{ident: uint64(s.fd), filter: f, flags: evDelete})
	if err == nil || isGone(err) {
		s.setArming(f, armNot)
		return nil
	}
	return os.NewSyscallError("kevent", err)
}

// isGone tells whether a filter could not be deleted because there is none:
// its one shot was fired, or the descriptor has been closed.
func isGone(err error) bool {
	const notCapable = syscall.Errno(93) // FreeBSD, in capability mode
	switch err {
	case syscall.ENOENT, syscall.EBADF, syscall.EINVAL, notCapable:
		return true
	}
	return false
}

// change makes a change. When a signal has interrupted it, it is made already, and
// once more does no harm.
func (q *kqueue) change(ev kevent) error {
	return again(func() error { return q.sys.change(ev) })
}

func (q *kqueue) wake() error      { return q.waker.wake() }
func (q *kqueue) fd() int          { return q.sys.fd() }
func (q *kqueue) owns(fd int) bool { return fd == q.sys.fd() || q.waker.owns(fd) }

func (q *kqueue) close() error {
	q.waker.close()
	return os.NewSyscallError("close", q.sys.close())
}
