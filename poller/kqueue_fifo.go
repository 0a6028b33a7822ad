//go:build unix

package poller

import (
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

var (
	errFIFORoom = fmt.Errorf("%w: the system does not tell when a FIFO has room; use a pipe or a socket", ErrNotPollable)
	errFIFOEnd  = fmt.Errorf("%w: the system does not tell the reader of a FIFO when its writer has gone; use a pipe or a socket", ErrNotPollable)
)

// tellsFIFORoom tries out whether the write filter of a FIFO is of any use. NetBSD's
// looks at the socket of the reading end, which says EV_EOF at once and for ever
// (fifo_kqfilter in sys/miscfs/fifofs/fifo_vnops.c takes fi_readsock for both
// filters). Queue must be an empty one. Known is false if there is no place for a
// FIFO.
func tellsFIFORoom(queue kernelQueue) (tells, known bool) {
	dir, err := os.MkdirTemp("", "eddy-fifo-")
	if err != nil {
		return false, false
	}
	defer os.RemoveAll(dir)
	name := filepath.Join(dir, "fifo")
	if unix.Mkfifo(name, 0o600) != nil {
		return false, false
	}
	r, err := unix.Open(name, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return false, false
	}
	defer unix.Close(r)
	w, err := unix.Open(name, unix.O_WRONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return false, false
	}
	defer unix.Close(w)
	err = again(func() error {
		return queue.change(kevent{ident: uint64(w), filter: filterWrite, flags: evAdd})
	})
	if err != nil {
		return false, false
	}
	var events [1]kevent
	n, err := queue.wait(events[:], 0)
	return n == 1 && events[0].flags&evEOF == 0, err == nil
}
