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

// NewPipe makes a stream of one end of a pipe, of a FIFO, or of a terminal, on
// l. The descriptor becomes the stream's, unless an error is returned: one of
// config.Check, poller.ErrNotPollable for a regular file and others that have
// no readiness, ErrInvalid for a socket, ioloop.ErrClosed, or an errno.
//
// How fd was opened decides about the directions. On a stream that is for
// reading only, Write and CloseWrite fail with EBADF; on one that is for
// writing only, all reads do, and CloseWrite closes it. A writer whose reader
// goes closes with EPIPE, also while it is idle. A reader ends with io.EOF when
// the last writer goes, even if a FIFO then gets another; and so does the
// stream of a terminal when its other side has been closed (or says so:
// Ctrl-D). A terminal has no end of one direction: CloseWrite only refuses
// further writes.
//
// The stream makes fd non-blocking. That flag belongs to the open file, not to
// the descriptor: a pipe or terminal that was inherited, or that a child has
// been given, becomes non-blocking for the other process too. For standard
// input and output there is NewStdio. On macOS a FIFO has no readiness that can
// be relied on, and is refused as a regular file is.
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
