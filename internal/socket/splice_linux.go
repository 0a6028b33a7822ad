package socket

import (
	"runtime"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// Pipe is a pipe that bytes pass through on their way from one socket to another,
// without a copy into this process (splice(2)).
type Pipe struct {
	r, w int
	held int
}

// CanSplice is whether the system has such pipes.
const CanSplice = true

// PipeSize is how much a Pipe holds. Much of what splice saves is that this is more than
// a read takes.
const PipeSize = 1 << 20

// maxPipes bounds the pipes of the process. Users without privilege share 64 of this size
// (pipe-user-pages-soft, pipe(7)).
const maxPipes = 32

// pipes are those that are not used. The garbage collector closes what nobody takes for a
// while, as in package net.
var (
	pipes     sync.Pool
	pipeCount atomic.Int32
)

// GetPipe returns an empty pipe, nil if none is to be had.
func GetPipe() *Pipe {
	if p, ok := pipes.Get().(*Pipe); ok {
		return p
	}
	if pipeCount.Add(1) > maxPipes {
		pipeCount.Add(-1)
		return nil
	}
	var fds [2]int
	if unix.Pipe2(fds[:], unix.O_CLOEXEC|unix.O_NONBLOCK) != nil {
		pipeCount.Add(-1)
		return nil
	}
	p := &Pipe{r: fds[0], w: fds[1]}
	if size, err := unix.FcntlInt(uintptr(p.w), unix.F_SETPIPE_SZ, PipeSize); err != nil || size < PipeSize {
		p.close()
		return nil
	}
	runtime.SetFinalizer(p, (*Pipe).close)
	return p
}

func (p *Pipe) close() {
	_, _ = unix.Close(p.r), unix.Close(p.w)
	pipeCount.Add(-1)
}

// Put gives the pipe back. If there are bytes in it, they are lost.
func (p *Pipe) Put() {
	if p.held == 0 {
		pipes.Put(p)
		return
	}
	runtime.SetFinalizer(p, nil)
	p.close()
}

// Held returns how many bytes are in the pipe.
func (p *Pipe) Held() int { return p.held }

// Fill moves what a socket has received into the pipe, which is empty, and returns how
// much, at most most; 0 is the end of the stream. EAGAIN is the socket's.
func (p *Pipe) Fill(fd, most int) (int, error) {
	n, err := splice(fd, p.w, min(most, PipeSize))
	p.held += n
	return n, err
}

// Read takes bytes out of the pipe.
func (p *Pipe) Read(b []byte) (int, error) {
	n, err := ReadPipe(p.r, b[:min(len(b), p.held)])
	p.held -= n
	return n, err
}

// Drain moves what is in the pipe to a socket, and returns how much.
func (p *Pipe) Drain(fd int) (int, error) {
	n, err := splice(p.r, fd, p.held)
	p.held -= n
	return n, err
}

// CannotSplice reports whether Fill has failed because the socket cannot do it.
func CannotSplice(err error) bool {
	return err == unix.EINVAL || err == unix.ENOSYS || err == unix.EPERM
}

func splice(from, to, most int) (int, error) {
	for {
		n, err := unix.Splice(from, nil, to, nil, most, unix.SPLICE_F_MOVE|unix.SPLICE_F_NONBLOCK)
		if err != unix.EINTR {
			return int(max(n, 0)), err
		}
	}
}
