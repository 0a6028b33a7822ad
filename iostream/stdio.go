//go:build unix

package iostream

import (
	"errors"
	"fmt"
	"os"

	"github.com/eddyloop/eddy/internal/socket"
	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/poller"
	"golang.org/x/sys/unix"
)

// NewStdio makes one stream on l that reads standard input and writes standard
// output. They may be pipes, terminals, sockets, files or devices. The error is
// EBADF if one of them is closed, and EISDIR if one is a directory.
//
// Regular files, and all else without readiness, are read and written on other
// goroutines, 64 KiB at a time, as they may be slow. Flush and Close wait until
// what was written is in the file. They do not wait for the disk.
//
// O_NONBLOCK is not set on the shared open files, so other processes, such as
// the shell, are not affected and nothing has to be restored. On Linux, pipes
// and terminals are opened once more, which gives the stream a flag of its own.
// Where that is not possible, the stream asks whether the file is ready before
// it reads, or before it writes 512 bytes. Then the loop can block only if
// another process takes the bytes first, or if a terminal takes fewer than 512.
//
// Descriptors 0 and 1 stay open when the stream closes. The reader of standard
// output sees the end when the program closes os.Stdout or exits; CloseWrite
// only refuses further writes. If the reader has gone, the next write fails
// with EPIPE, and reading goes on.
func NewStdio(l *ioloop.Loop, config *Config) (*Stream, error) {
	return newStdio(l, 0, 1, reopen, config)
}

// newStdio makes a stream of two descriptors. open opens a file once more.
func newStdio(l *ioloop.Loop, in, out int, open func(fd, access int) (int, error), config *Config) (*Stream, error) {
	if l == nil {
		return nil, opError("new stdio", ErrInvalid)
	}
	both := new(fileStdio)
	t := &both.stdioTransport
	err := t.in.open(in, unix.O_RDONLY, open)
	if err == nil {
		err = t.out.open(out, unix.O_WRONLY, open)
	}
	if err != nil {
		t.release()
		return nil, opError("new stdio", err)
	}
	s := new(Stream)
	s.set(noLinger)
	transport := Transport(t)
	if t.out.file != nil {
		transport = both
	}
	if err := s.open(l, transport, config); err != nil {
		t.release()
		return nil, err
	}
	return s, nil
}

// stdioTransport is two descriptors, one for each direction.
type stdioTransport struct{ in, out stdioEnd }

// stdioEnd is one of them. Unless it is the stream's own, it is used without
// being made non-blocking.
type stdioEnd struct {
	fd           int
	own          bool     // opened by the stream, non-blocking
	null         bool     // it is /dev/null, written to
	file         *fileEnd // it has no readiness; fd is what the loop knows the stream by
	other        int      // the other end of a pipe, of which fd is one, 0: none
	interest     poller.Interest
	registration ioloop.Registration
}

func (e *stdioEnd) open(fd, access int, open func(fd, access int) (int, error)) error {
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	switch {
	case err != nil:
		return fmt.Errorf("descriptor %d: %w", fd, os.NewSyscallError("fcntl", err))
	case flags&unix.O_ACCMODE == access^1: // RDONLY is 0, WRONLY 1, RDWR 2
		return fmt.Errorf("descriptor %d: wrong direction: %w", fd, unix.EBADF)
	}
	e.fd = fd
	if isNull(fd) {
		return e.openNull(access)
	}
	err = pollable(fd)
	if errors.Is(err, poller.ErrNotPollable) {
		err = e.openFile(access)
		if err == nil {
			return nil
		}
	}
	if err != nil {
		return fmt.Errorf("descriptor %d: %w", fd, err)
	}
	if fd, err := open(fd, access); err == nil {
		e.fd, e.own = fd, true
	}
	return nil
}

// openFile sets up for what has no readiness. A pipe stands in its place on the loop.
func (e *stdioEnd) openFile(access int) error {
	var st unix.Stat_t
	if err := unix.Fstat(e.fd, &st); err != nil {
		return os.NewSyscallError("fstat", err)
	}
	if st.Mode&unix.S_IFMT == unix.S_IFDIR {
		return unix.EISDIR
	}
	e.file = &fileEnd{fd: e.fd}
	if access == unix.O_WRONLY {
		return nil
	}
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	defer w.Close()
	if e.fd, err = socket.Duplicate(int(r.Fd())); err != nil {
		return os.NewSyscallError("fcntl", err)
	}
	e.own = true
	e.other, err = socket.Duplicate(int(w.Fd()))
	return os.NewSyscallError("fcntl", err)
}

func isNull(fd int) bool {
	var file, null unix.Stat_t
	return unix.Fstat(fd, &file) == nil && unix.Stat(os.DevNull, &null) == nil &&
		file.Mode&unix.S_IFMT == unix.S_IFCHR && file.Rdev == null.Rdev
}

// openNull puts a pipe without a writer in the place of /dev/null, which has no
// readiness; to write to it needs none.
func (e *stdioEnd) openNull(access int) error {
	if access == unix.O_WRONLY {
		e.null = true
		return nil
	}
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	defer w.Close()
	e.fd, err = socket.Duplicate(int(r.Fd()))
	e.own = err == nil
	return os.NewSyscallError("fcntl", err)
}

func (e *stdioEnd) attach(l *ioloop.Loop, h ioloop.Handler, interest poller.Interest) (err error) {
	switch {
	case e.file != nil && e.own:
		e.registration, err = l.Handle(e.fd, 0, h)
	case e.file == nil && !e.null:
		e.interest = interest
		e.registration, err = l.Handle(e.fd, interest, h)
	}
	if e.file != nil && err == nil {
		e.file.arm(l, h, interest)
	}
	return err
}

func (e *stdioEnd) arm(l *ioloop.Loop, interest poller.Interest) error {
	if e.file != nil {
		e.file.arm(l, e.file.handler, interest)
		return nil
	}
	if e.interest == interest {
		return nil
	}
	e.interest = interest
	return l.Update(e.registration, interest)
}

// release closes what the stream has opened.
func (e *stdioEnd) release() {
	if e.own {
		_ = socket.Close(e.fd)
	}
	if e.other > 0 {
		_ = socket.Close(e.other)
	}
	if e.file != nil {
		e.file.close()
	}
}

// outHandler is a stream's second handler on its loop. The stream itself is the
// first: it is not two streams.
type outHandler struct{ ioloop.Handler }

func (h outHandler) Fail(err error) {
	if f, ok := h.Handler.(ioloop.Failer); ok {
		f.Fail(err)
	}
}

func (t *stdioTransport) Attach(l *ioloop.Loop, h ioloop.Handler, interest poller.Interest) error {
	if err := t.in.attach(l, h, interest&^poller.Writable); err != nil {
		return err
	}
	return t.out.attach(l, outHandler{h}, interest&poller.Writable)
}

func (t *stdioTransport) Arm(l *ioloop.Loop, interest poller.Interest) error {
	if err := t.in.arm(l, interest&^poller.Writable); err != nil {
		return err
	}
	return t.out.arm(l, interest&poller.Writable)
}

func (t *stdioTransport) Read(p []byte) (int, error) {
	switch {
	case t.in.file != nil:
		return t.in.file.read(p)
	case t.in.own:
		return readOutcome(socket.ReadPipe(t.in.fd, p))
	}
	return readOutcome(socket.ReadShared(t.in.fd, p))
}

func (t *stdioTransport) writesEarly() bool { return t.out.file == nil }

func (t *stdioTransport) Write(bufs [][]byte) (int, error) {
	switch {
	case t.out.file != nil:
		return t.out.file.write(bufs)
	case t.out.null:
		n := 0
		for _, b := range bufs {
			n += len(b)
		}
		return n, nil
	case t.out.own:
		n, err := socket.WritePipe(t.out.fd, bufs)
		return writeOutcome(n, socket.Attempt(bufs), err)
	}
	n, err := socket.WriteShared(t.out.fd, bufs)
	return writeOutcome(n, n, err)
}

func (t *stdioTransport) Probe() error {
	if t.in.file != nil {
		return nil // it has no close watch: reading tells of its end
	}
	return peekOutcome(socket.PeekPipe(t.in.fd))
}

// CloseWrite has nothing to do: the end of the output is the program's.
func (t *stdioTransport) CloseWrite() error { return nil }

func (t *stdioTransport) Close(l *ioloop.Loop) error {
	for _, e := range []*stdioEnd{&t.in, &t.out} {
		if e.registration != (ioloop.Registration{}) {
			_ = l.Remove(e.registration)
		}
	}
	t.release()
	return nil
}

func (t *stdioTransport) release() {
	t.in.release()
	t.out.release()
}
