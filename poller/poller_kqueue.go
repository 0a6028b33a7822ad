//go:build darwin || freebsd || netbsd || openbsd || dragonfly

package poller

import (
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// New returns a Poller of the system. Its error is an *os.SyscallError.
func New() (Poller, error) {
	k, err := newNativeQueue()
	if err != nil {
		return nil, os.NewSyscallError("kqueue", err)
	}
	w, err := newWaker(k)
	if err != nil {
		_ = k.close()
		return nil, err
	}
	p, err := newKqueue(k, w)
	if err != nil {
		return nil, err // and not a Poller that holds a nil
	}
	return p, nil
}

// nativeQueue is the system's kqueue. Of its records only the fields that all
// systems have are used, and never Udata.
type nativeQueue struct {
	file   int
	events []unix.Kevent_t
}

func newNativeQueue() (*nativeQueue, error) {
	// No system has a way to create a kqueue with close-on-exec set.
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	file, err := unix.Kqueue()
	if err != nil {
		return nil, err
	}
	unix.CloseOnExec(file)
	return &nativeQueue{file: file}, nil
}

func (k *nativeQueue) fd() int      { return k.file }
func (k *nativeQueue) close() error { return unix.Close(k.file) }

func (k *nativeQueue) change(ev kevent) error {
	var list [1]unix.Kevent_t
	number := unix.EVFILT_READ
	switch ev.filter {
	case filterWrite:
		number = unix.EVFILT_WRITE
	case filterUser:
		number = userFilter
	}
	unix.SetKevent(&list[0], int(ev.ident), number, int(ev.flags))
	list[0].Fflags = ev.fflags
	_, err := unix.Kevent(k.file, list[:], nil, nil)
	return err
}

func (k *nativeQueue) wait(events []kevent, timeout time.Duration) (int, error) {
	if len(events) > cap(k.events) {
		k.events = make([]unix.Kevent_t, len(events))
	}
	list := k.events[:len(events)]
	var limit *unix.Timespec
	if timeout >= 0 {
		ts := unix.NsecToTimespec(int64(timeout))
		limit = &ts
	}
	n, err := unix.Kevent(k.file, nil, list, limit)
	if err != nil {
		return 0, err
	}
	for i := range list[:n] {
		ev := &list[i]
		events[i] = kevent{
			ident:  uint64(ev.Ident),
			filter: ownFilter(ev),
			flags:  uint32(ev.Flags),
			fflags: uint32(ev.Fflags),
			data:   int64(ev.Data),
		}
	}
	return n, nil
}

// ownFilter compares with constants only: the type of the field and even its
// sign differ, and NetBSD counts from 0.
func ownFilter(ev *unix.Kevent_t) filter {
	switch ev.Filter {
	case unix.EVFILT_READ:
		return filterRead
	case unix.EVFILT_WRITE:
		return filterWrite
	case userFilter:
		return filterUser
	}
	return filterOther
}

func (k *nativeQueue) kind(fd int) (fileKind, error) {
	kind, st, err := kindOf(fd)
	// On macOS the reader of a FIFO never hears that the writer is gone.
	if err == nil && runtime.GOOS == "darwin" && mayBeFIFO(&st) {
		return kind, errFIFOEnd
	}
	return kind, err
}

// mayBeFIFO tells a pipe from a FIFO, which is on a device. Pipes are on none on
// macOS and NetBSD; on other systems they may be taken for a FIFO.
func mayBeFIFO(st *unix.Stat_t) bool {
	return uint32(st.Mode)&unix.S_IFMT == unix.S_IFIFO && st.Dev != 0
}

// fifosTellRoom is found out once, when there is a FIFO to write to. Where it can't
// be, NetBSD is taken for what it is known for.
var fifosTellRoom = sync.OnceValue(func() bool {
	trial, err := newNativeQueue()
	if err == nil {
		defer trial.close()
		if tells, known := tellsFIFORoom(trial); known {
			return tells
		}
	}
	return runtime.GOOS != "netbsd"
})

func (k *nativeQueue) blindToRoom(fd int) bool {
	var st unix.Stat_t
	return unix.Fstat(fd, &st) == nil && mayBeFIFO(&st) && !fifosTellRoom()
}

// The numbers must be those of the system.
var _ = [...]struct{}{
	[1]struct{}{}[unix.EV_ADD-evAdd],
	[1]struct{}{}[unix.EV_DELETE-evDelete],
	[1]struct{}{}[unix.EV_ONESHOT-evOneShot],
	[1]struct{}{}[unix.EV_CLEAR-evClear],
	[1]struct{}{}[unix.EV_ERROR-evError],
	[1]struct{}{}[unix.EV_EOF-evEOF],
}
