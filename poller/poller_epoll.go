//go:build linux

package poller

import (
	"os"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// epoll is the backend for Linux. An event carries slot and change number in
// the two halves of its user data, so that it leads straight to its slot and
// one of an earlier registration is recognised. The halves are fields of their
// own: the whole word would have another order on big-endian machines.
type epoll struct {
	file  int
	table *table
	waker *eventWaker

	// For the goroutine that waits.
	ready  []unix.EpollEvent
	found  int
	spec   timespec64
	millis bool // no epoll_pwait2

	stale staleWatch
}

// The flags must be those of poll(2), for decode.
var _ = [...]struct{}{
	[1]struct{}{}[unix.EPOLLIN-unix.POLLIN],
	[1]struct{}{}[unix.EPOLLOUT-unix.POLLOUT],
	[1]struct{}{}[unix.EPOLLRDHUP-unix.POLLRDHUP],
	[1]struct{}{}[unix.EPOLLHUP-unix.POLLHUP],
	[1]struct{}{}[unix.EPOLLERR-unix.POLLERR],
}

// entered is a slot's armed field if the kernel has an entry for it.
const entered = 1

// wakeSlot is the slot index in events of the waker.
const wakeSlot = -1

// timespec64 is what epoll_pwait2 takes, on 32-bit machines too.
type timespec64 struct{ sec, nsec int64 }

// pwait2Missing remembers for the whole process what the kernel has answered.
// Android kills a process for a call that it does not expect, up to release 11; so
// package os asks for the system's name, too, before it uses recent calls.
var pwait2Missing atomic.Bool

func init() { pwait2Missing.Store(runtime.GOOS == "android") }

func newEpoll(millis bool) (*front, error) {
	file, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	w, err := newEventWaker()
	if err != nil {
		unix.Close(file)
		return nil, err
	}
	e := &epoll{file: file, table: newTable(), waker: w, millis: millis}
	if err := e.watchWaker(file); err != nil {
		_ = e.close()
		return nil, err
	}
	return newFront(e.table, e), nil
}

func (e *epoll) watchWaker(file int) error {
	ev := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLET, Fd: wakeSlot}
	err := epollCtl(file, unix.EPOLL_CTL_ADD, e.waker.fd(), &ev)
	return os.NewSyscallError("epoll_ctl", err)
}

// mask is what the kernel shall watch for the slot.
func (s *slot) mask() uint32 {
	var m uint32
	if s.interest&Readable != 0 {
		m |= unix.EPOLLIN
	}
	if s.interest&Writable != 0 {
		m |= unix.EPOLLOUT
	}
	if s.interest&PeerClosed != 0 {
		m |= unix.EPOLLRDHUP
	}
	switch {
	case s.mode == OneShot:
		m |= unix.EPOLLONESHOT
	case s.mode == Edge, s.interest == PeerClosed:
		// The close watch alone is told once, and there's no other direction
		// that would have to repeat.
		m |= unix.EPOLLET
	case s.interest&Readable == 0 && s.state&toldClosed != 0:
		// Told already, and would be reported in every wait from now on.
		m &^= unix.EPOLLRDHUP
	}
	return m
}

// entry is the kernel's entry for a slot.
func (e *epoll) entry(i uint32) unix.EpollEvent {
	s := &e.table.slots[i]
	return unix.EpollEvent{Events: s.mask(), Fd: int32(i), Pad: int32(s.gen)}
}

func (e *epoll) ctl(op int, i uint32) error {
	ev := e.entry(i)
	return epollCtl(e.file, op, int(e.table.slots[i].fd), &ev)
}

func (e *epoll) add(i uint32) error {
	err := e.watch(i)
	if err == nil && e.table.slots[i].interest == 0 {
		// It was added only to learn whether it can be.
		_ = e.unwatch(i)
	}
	return err
}

func (e *epoll) set(i uint32) error {
	if e.table.slots[i].interest == 0 {
		// An empty mask would not do: hang-ups and errors can't be masked,
		// and a connection that was reset would be reported in every wait.
		return e.unwatch(i)
	}
	return e.watch(i)
}

func (e *epoll) remove(i uint32) error {
	return e.unwatch(i)
}

// watch makes the kernel's entry what the slot says. The table can be wrong
// about whether there is one, if the descriptor was closed and its number used
// again without Remove, or if another number of the same file was moved here.
func (e *epoll) watch(i uint32) error {
	s := &e.table.slots[i]
	op := unix.EPOLL_CTL_ADD
	if s.armed != 0 {
		op = unix.EPOLL_CTL_MOD
	}
	err := e.ctl(op, i)
	switch {
	case op == unix.EPOLL_CTL_MOD && err == unix.ENOENT:
		s.armed = 0
		err = e.ctl(unix.EPOLL_CTL_ADD, i)
	case op == unix.EPOLL_CTL_ADD && err == unix.EEXIST:
		err = e.ctl(unix.EPOLL_CTL_MOD, i)
	}
	switch err {
	case nil:
		s.armed = entered
		return nil
	case unix.EPERM:
		return ErrNotPollable
	}
	return os.NewSyscallError("epoll_ctl", err)
}

func (e *epoll) unwatch(i uint32) error {
	s := &e.table.slots[i]
	if s.armed == 0 {
		return nil
	}
	s.armed = 0
	err := epollCtl(e.file, unix.EPOLL_CTL_DEL, int(s.fd), nil)
	switch err {
	case unix.ENOENT, unix.EBADF, unix.EPERM:
		// Closed, and perhaps another file has the number: nothing to delete.
		return nil
	}
	return os.NewSyscallError("epoll_ctl", err)
}

func (e *epoll) begin(n int) bool {
	if n > cap(e.ready) {
		e.ready = make([]unix.EpollEvent, n)
	}
	e.ready = e.ready[:n]
	return false
}

func (e *epoll) wait(timeout time.Duration) (interrupted bool, err error) {
	e.found = 0
	n, errno := e.ask(timeout)
	switch errno {
	case 0:
		e.found = int(n)
		return false, nil
	case unix.EINTR:
		return true, nil
	}
	return false, os.NewSyscallError("epoll_wait", errno)
}

// ask makes the system call. One that doesn't block is hidden from the Go
// scheduler, which would prepare for the thread to be gone for long.
func (e *epoll) ask(timeout time.Duration) (uintptr, unix.Errno) {
	file, events, n := uintptr(e.file), unsafe.Pointer(&e.ready[0]), uintptr(len(e.ready))
	if timeout == 0 {
		r, _, errno := syscall.RawSyscall6(unix.SYS_EPOLL_PWAIT, file, uintptr(events), n, 0, 0, 0)
		return r, errno
	}
	if timeout > 0 && !e.millis {
		e.spec = timespec64{int64(timeout / time.Second), int64(timeout % time.Second)}
		r, _, errno := unix.Syscall6(unix.SYS_EPOLL_PWAIT2, file, uintptr(events), n,
			uintptr(unsafe.Pointer(&e.spec)), 0, 0)
		if errno != unix.ENOSYS && errno != unix.EPERM {
			return r, errno
		}
		// A kernel before 5.11, or a sandbox that doesn't know the call.
		e.millis = true
		pwait2Missing.Store(true)
	}
	r, _, errno := unix.Syscall6(unix.SYS_EPOLL_PWAIT, file, uintptr(events), n,
		uintptr(millis(timeout)), 0, 0)
	return r, errno
}

func (e *epoll) harvest(out []Event) (n int, woken bool) {
	for k := range e.ready[:e.found] {
		ev := &e.ready[k]
		if ev.Fd == wakeSlot {
			woken = true
			continue
		}
		i, gen := uint32(ev.Fd), uint32(ev.Pad)
		s := e.table.at(i, gen)
		if s == nil {
			e.stale.see(i, gen)
			continue
		}
		found, hints := decode(ev.Events, s.interest)
		if found = s.admit(found, hints); found == 0 {
			continue
		}
		out[n] = Event{Token: s.token, Ready: found, Hints: hints}
		n++
		if s.mode == OneShot {
			s.state |= fired
		} else if found&PeerClosed != 0 && s.mode == Level && s.interest == Writable|PeerClosed {
			_ = e.ctl(unix.EPOLL_CTL_MOD, i) // drops the part that has been told
		}
	}
	if e.stale.proven {
		e.rebuild()
	}
	return n, woken
}

func (e *epoll) wake() error      { return e.waker.wake() }
func (e *epoll) fd() int          { return e.file }
func (e *epoll) owns(fd int) bool { return fd == e.file || e.waker.owns(fd) }

func (e *epoll) close() error {
	e.waker.close()
	return os.NewSyscallError("close", unix.Close(e.file))
}

// epollCtl is unix.EpollCtl without a word to the scheduler: it does not block.
func epollCtl(file, op, fd int, ev *unix.EpollEvent) error {
	_, _, errno := syscall.RawSyscall6(unix.SYS_EPOLL_CTL, uintptr(file), uintptr(op), uintptr(fd), uintptr(unsafe.Pointer(ev)), 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}
