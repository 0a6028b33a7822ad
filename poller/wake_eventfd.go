//go:build linux

package poller

import (
	"encoding/binary"
	"os"

	"golang.org/x/sys/unix"
)

// eventWaker is an eventfd. It is watched edge-triggered, where every write is
// an event, so that nobody has to read it. The Go runtime needs one too: where there is none,
// there are no Go programs.
type eventWaker struct{ file int }

func newEventWaker() (*eventWaker, error) {
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, os.NewSyscallError("eventfd", err)
	}
	return &eventWaker{fd}, nil
}

func (w *eventWaker) fd() int          { return w.file }
func (w *eventWaker) owns(fd int) bool { return fd == w.file }
func (w *eventWaker) close()           { unix.Close(w.file) }

// eventOne adds 1 to the counter, which takes eight bytes in the machine's order.
var eventOne = binary.NativeEndian.AppendUint64(nil, 1)

func (w *eventWaker) wake() error {
	if err := writeAgain(w.file, eventOne); err != nil { // nearly never
		return w.wakeAgain(err)
	}
	return nil
}

func (w *eventWaker) wakeAgain(err error) error {
	for err == unix.EAGAIN {
		// The counter is full, and reading sets it to 0. That it is readable now
		// would not do: only a write is an edge.
		var count [8]byte
		_, _ = unix.Read(w.file, count[:])
		err = writeAgain(w.file, eventOne)
	}
	return os.NewSyscallError("write", err)
}
