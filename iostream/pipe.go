//go:build unix

package iostream

import (
	"fmt"
	"os"

	"github.com/eddyloop/eddy/internal/socket"
	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/poller"
	"golang.org/x/sys/unix"
)

// NewPipe makes a stream on l of one end of a pipe, of a FIFO or of a terminal.
// The descriptor becomes the stream's, unless an error is returned: ErrInvalid
// for a Config out of range and for a socket, poller.ErrNotPollable for what
// has no readiness, such as a regular file, ioloop.ErrClosed, or an errno.
//
// The mode in which fd was opened decides the directions. If it is read-only,
// Write and CloseWrite fail with EBADF. If it is write-only, all reads fail
// with EBADF, and CloseWrite closes the stream.
//
// A write-only stream closes with EPIPE when its reader has gone, also while it
// is idle. A reading stream ends with io.EOF when the last writer has gone,
// even if a FIFO gets another writer later. The stream of a terminal ends with
// io.EOF when the other side is closed or sends Ctrl-D. A terminal has no end
// of one direction: CloseWrite only refuses further writes.
//
// The stream makes fd non-blocking. That flag belongs to the open file and not
// to the descriptor, so another process that shares the pipe or terminal sees
// it too. For standard input and output use NewStdio. On macOS the readiness of
// a FIFO is not reliable; it is refused as a regular file is.
func NewPipe(l *ioloop.Loop, fd int, config *Config) (*Stream, error) {
	if l == nil {
		return nil, opError("new pipe", ErrInvalid)
	}
	if err := config.check(); err != nil {
		return nil, opError("new pipe", err)
	}
	flags, err := checkPipe(fd)
	if err == nil {
		err = os.NewSyscallError("fcntl", unix.SetNonblock(fd, true))
	}
	if err != nil {
		return nil, opError("new pipe", err)
	}
	unix.CloseOnExec(fd)
	both := &struct {
		Stream
		pipeTransport
	}{}
	both.fd = int32(fd)
	both.set(noLinger)
	both.write = flags&unix.O_ACCMODE == unix.O_WRONLY
	both.oneWay(flags & unix.O_ACCMODE)
	if err := both.open(l, &both.pipeTransport, config); err != nil {
		_ = unix.SetNonblock(fd, flags&unix.O_NONBLOCK != 0)
		return nil, err
	}
	return &both.Stream, nil
}

// checkPipe refuses what has no readiness, or is a socket, and returns the
// flags of the open file.
func checkPipe(fd int) (flags int, err error) {
	flags, err = unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	if err != nil {
		return 0, os.NewSyscallError("fcntl", err)
	}
	if socket.Is(fd) {
		return 0, fmt.Errorf("%w: descriptor is a socket", ErrInvalid)
	}
	if isNull(fd) {
		return flags, poller.ErrNotPollable // some backends would take it
	}
	return flags, pollable(fd)
}

// pollable asks a poller, as it alone can tell.
func pollable(fd int) error {
	p, err := poller.New()
	if err != nil {
		return err
	}
	defer p.Close()
	return p.Add(fd, 0, 0, poller.Level)
}

// pipeTransport is an end of a pipe, or a terminal.
type pipeTransport struct {
	fd           int32
	write        bool // the writing end
	registration ioloop.Registration
}

func (t *pipeTransport) Attach(l *ioloop.Loop, h ioloop.Handler, interest poller.Interest) (err error) {
	t.registration, err = l.Handle(int(t.fd), interest, h)
	return err
}

func (t *pipeTransport) Arm(l *ioloop.Loop, interest poller.Interest) error {
	return l.Update(t.registration, interest)
}

func (t *pipeTransport) Read(p []byte) (int, error) {
	return readOutcome(socket.ReadPipe(int(t.fd), p))
}

func (t *pipeTransport) Write(bufs [][]byte) (int, error) {
	n, err := socket.WritePipe(int(t.fd), bufs)
	return writeOutcome(n, socket.Attempt(bufs), err)
}

func (t *pipeTransport) writesEarly() bool { return true }

func (t *pipeTransport) Probe() error {
	if t.write {
		return os.NewSyscallError("write", socket.ReaderGone(int(t.fd)))
	}
	return peekOutcome(socket.PeekPipe(int(t.fd)))
}

// CloseWrite has nothing to do: an end that is for writing only is closed next,
// and a terminal has no end of one direction.
func (t *pipeTransport) CloseWrite() error { return nil }

func (t *pipeTransport) Close(l *ioloop.Loop) error {
	if t.registration != (ioloop.Registration{}) {
		_ = l.Remove(t.registration)
	}
	return os.NewSyscallError("close", socket.Close(int(t.fd)))
}
