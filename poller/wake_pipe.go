//go:build linux || netbsd || openbsd || aix || solaris

package poller

import (
	"os"

	"golang.org/x/sys/unix"
)

// pipeWaker is a pipe, for systems with nothing lighter; on Linux for the tests of
// their backends. Both ends are non-blocking: a full pipe must not block
// whoever wakes, and is readable anyway.
type pipeWaker struct{ r, w int }

func newPipeWaker() (waker, error) {
	var fds [2]int
	if err := openPipe(fds[:]); err != nil {
		return nil, os.NewSyscallError("pipe", err)
	}
	return &pipeWaker{fds[0], fds[1]}, nil
}

func (p *pipeWaker) fd() int          { return p.r }
func (p *pipeWaker) owns(fd int) bool { return fd == p.r || fd == p.w }

var pipeByte = []byte{0}

func (p *pipeWaker) wake() error {
	err := writeAgain(p.w, pipeByte)
	if err == unix.EAGAIN {
		return nil
	}
	return os.NewSyscallError("write", err)
}

func (p *pipeWaker) drain() {
	var buf [64]byte
	for {
		n, err := unix.Read(p.r, buf[:])
		if n < len(buf) && err != unix.EINTR {
			return
		}
	}
}

func (p *pipeWaker) close() {
	unix.Close(p.r)
	unix.Close(p.w)
}
