//go:build linux

package poller

import (
	"encoding/binary"
	"os"

	"golang.org/x/sys/unix"
)

// eventWaker is an eventfd. It is watched edge-triggered, where every write is
// an event, so that nobody has to read it.
type eventWaker struct{ file int }

// newEventWaker falls back to a pipe, since some sandboxes have no eventfd.
func newEventWaker() (waker, error) {
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return newPipeWaker()
	}
	return &eventWaker{fd}, nil
}

func (w *eventWaker) fd() int          { return w.file }
func (w *eventWaker) drain()           {}
func (w *eventWaker) owns(fd int) bool { return fd == w.file }
func (w *eventWaker) close()           { unix.Close(w.file) }

// eventOne adds 1 to the counter, which takes eight bytes in the machine's order.
var eventOne = binary.NativeEndian.AppendUint64(nil, 1)

func (w *eventWaker) wake() error {
	for {
		_, err := unix.Write(w.file, eventOne)
		switch err {
		case nil:
			return nil
		case unix.EINTR:
		case unix.EAGAIN:
			// The counter is full, and reading sets it to 0. That it is
			// readable now would not do: only a write is an edge.
			var count [8]byte
			unix.Read(w.file, count[:])
		default:
			return os.NewSyscallError("write", err)
		}
	}
}
