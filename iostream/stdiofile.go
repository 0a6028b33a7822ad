//go:build unix

package iostream

import (
	"io"
	"os"
	"sync"

	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/poller"
	"golang.org/x/sys/unix"
)

// fileBlock is how many bytes of a file one call reads or writes.
const fileBlock = 64 << 10

// fileEnd is an end of standard input and output that has no readiness, as a regular
// file: it is read and written on other goroutines, as it may be slow, one call at a
// time. It is ready when a call would not have to wait.
type fileEnd struct {
	fd int

	mu       sync.Mutex
	loop     *ioloop.Loop
	handler  ioloop.Handler
	interest poller.Interest
	queued   bool // it will look whether it is ready
	busy     bool // a call is in progress, which uses block
	closed   bool
	block    []byte
	unread   []byte // of block
	sending  int    // bytes of block that are being written
	err      error  // what reading, or writing, has come to
}

func (e *fileEnd) arm(l *ioloop.Loop, h ioloop.Handler, interest poller.Interest) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.loop, e.handler, e.interest = l, h, interest
	if interest&poller.Readable != 0 {
		e.startRead()
	}
	e.announce()
}

func (e *fileEnd) close() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.closed = true
}

// announce has the loop look whether something is ready that is waited for.
func (e *fileEnd) announce() {
	if !e.queued && e.ready() != 0 {
		e.queued = e.loop.Kit().Schedule((*fileReadiness)(e)) == nil
	}
}

func (e *fileEnd) ready() (ready poller.Interest) {
	if e.closed {
		return 0
	}
	if len(e.unread) > 0 || e.err != nil {
		ready = poller.Readable
	}
	if !e.busy {
		ready |= poller.Writable
	}
	return ready & e.interest
}

// fileReadiness is a fileEnd as the loop sees it.
type fileReadiness fileEnd

// Run tells of readiness, level-triggered.
func (r *fileReadiness) Run() {
	e := (*fileEnd)(r)
	e.mu.Lock()
	e.queued = false
	ready := e.ready()
	e.mu.Unlock()
	if ready == 0 {
		return
	}
	e.handler.HandleEvent(ready, 0)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.announce()
}

// Fail tells the stream of its callback that has failed.
func (r *fileReadiness) Fail(err error) {
	if f, ok := r.handler.(ioloop.Failer); ok {
		f.Fail(err)
	}
}

// start has call run on another goroutine, with block.
func (e *fileEnd) start(call func(block []byte) (int, error), done func(n int, err error)) {
	if e.block == nil {
		e.block = make([]byte, fileBlock)
	}
	e.busy = true
	block := e.block
	err := ioloop.Offload(e.loop, func() (int, error) { return call(block) }, func(n int, err error) {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.busy = false
		done(n, err)
		e.announce()
	})
	if err != nil { // the loop has closed, which the stream is told
		e.busy, e.err = false, err
	}
}

func (e *fileEnd) startRead() {
	if e.busy || len(e.unread) > 0 || e.err != nil {
		return
	}
	e.start(func(block []byte) (int, error) { return retry(unix.Read, e.fd, block) }, func(n int, err error) {
		if n > 0 {
			e.unread = e.block[:n]
		} else if e.err = err; err == nil {
			e.err = io.EOF
		} else {
			e.err = os.NewSyscallError("read", err)
		}
	})
}

func (e *fileEnd) read(p []byte) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := copy(p, e.unread)
	e.unread = e.unread[n:]
	if e.interest&poller.Readable != 0 {
		e.startRead() // as a stream need not find out that there is no more
	}
	switch {
	case n > 0:
		return n, nil
	case e.err != nil:
		return 0, e.err
	}
	return 0, ErrWouldBlock
}

func (e *fileEnd) write(bufs [][]byte) (n int, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.err != nil:
		return 0, e.err
	case e.busy:
		return 0, ErrWouldBlock
	}
	if e.block == nil {
		e.block = make([]byte, fileBlock)
	}
	total := 0
	for _, b := range bufs {
		n += copy(e.block[n:], b)
		total += len(b)
	}
	e.sending = n
	e.start(func(block []byte) (int, error) { return writeAll(e.fd, block[:n]) }, func(_ int, err error) {
		if e.err = os.NewSyscallError("write", err); err == nil {
			e.sending = 0 // else it stays unsent
		}
	})
	if n < total {
		return n, ErrWouldBlock
	}
	return n, e.err
}

// flush reports whether all is written.
func (e *fileEnd) flush() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.err != nil:
		return e.err
	case e.sending > 0:
		return ErrWouldBlock
	}
	return nil
}

func (e *fileEnd) unsent() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.sending
}

func writeAll(fd int, p []byte) (int, error) {
	n := 0
	for n < len(p) {
		k, err := retry(unix.Write, fd, p[n:])
		if n += max(k, 0); err != nil {
			return n, err
		}
	}
	return n, nil
}

// retry makes a system call until no signal interrupts it.
func retry(call func(int, []byte) (int, error), fd int, p []byte) (int, error) {
	for {
		n, err := call(fd, p)
		if err != unix.EINTR {
			return n, err
		}
	}
}

// fileStdio is a stdioTransport whose output is a file: what is being written counts as
// not sent yet.
type fileStdio struct{ stdioTransport }

var _ Layer = (*fileStdio)(nil)

func (t *fileStdio) Flush() error     { return t.out.file.flush() }
func (t *fileStdio) Unsent() int      { return t.out.file.unsent() }
func (t *fileStdio) Buffered() bool   { return false }
func (t *fileStdio) Incomplete() bool { return false }

func (t *fileStdio) Want() (read, write poller.Interest) { return poller.Readable, poller.Writable }
