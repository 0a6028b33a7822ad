package iostream

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/eddyloop/eddy/ioloop"
)

// NetConn returns the stream as a net.Conn, for packages that take one, like
// net/http. Until the Conn is closed, it holds the stream open as Hold does.
func (s *Stream) NetConn() *Conn {
	s.keepOpen()
	return &Conn{stream: s, local: orNowhere(s.LocalAddr()), remote: orNowhere(s.RemoteAddr())}
}

// Conn is a Stream as a net.Conn; see [Stream.NetConn]. Its methods block the
// goroutine as those of a *net.TCPConn do, and return the same errors: io.EOF
// as it is, otherwise *net.OpError. They may be called from any goroutine but
// the loop's, where the caller would wait for itself. A second reader waits
// until the first has returned, and so does a second writer.
//
// Conn has all methods of a *net.TCPConn but MultipathTCP. Those for sockets
// work with TLS too, and return ErrInvalid where there is no descriptor. Conn
// has no ConnectionState, since packages take a connection that has one for
// TLS: call Stream().ConnectionState().
//
// The deadlines of a Conn are those of its Stream. Code that uses both may find
// them changed.
type Conn struct {
	stream        *Stream
	local, remote net.Addr
	closed        atomic.Bool
	dropOnClose   atomic.Bool // SetLinger(0)
	reading       sync.Mutex
	writing       sync.Mutex

	// Of the reader. A Conn has them, as nearly every one has a reader that waits.
	into target
	wait waitOp
}

// nowhere is the address of what has none.
type nowhere struct{}

func (nowhere) Network() string { return "stream" }
func (nowhere) String() string  { return "stream" }

func orNowhere(addr net.Addr) net.Addr {
	if addr == nil {
		return nowhere{}
	}
	return addr
}

// fail makes an operation's error what package net would return.
func (c *Conn) fail(op string, err error) error {
	if err == nil {
		return nil
	}
	if e, ok := err.(*Error); ok {
		err = e.Err
	}
	if err == io.EOF && op == "read" {
		return err
	}
	return &net.OpError{Op: op, Net: c.remote.Network(), Source: c.local, Addr: c.remote, Err: err}
}

func (c *Conn) Read(p []byte) (int, error) {
	if err := lock(&c.reading); err != nil {
		return 0, c.fail("read", err)
	}
	if c.closed.Load() {
		c.reading.Unlock()
		return 0, c.fail("read", net.ErrClosed)
	}
	c.into.p, c.into.least = p, min(1, len(p))
	w, err := c.stream.tryReadInto(context.Background(), &c.into, &c.wait)
	if w != nil {
		_ = w.Wait() // only the read's end ends it: a goroutine waits, and its context is never done
		err, w.err = w.err, nil
	}
	n := c.into.filled
	c.into = target{}
	c.reading.Unlock()
	return n, c.fail("read", err)
}

// lock locks mu, but does not wait for it on a loop.
func lock(mu *sync.Mutex) error {
	if mu.TryLock() {
		return nil
	}
	if err := ioloop.MayBlock(); err != nil {
		return err
	}
	mu.Lock()
	return nil
}

func (c *Conn) Write(p []byte) (int, error) {
	if err := lock(&c.writing); err != nil {
		return 0, c.fail("write", err)
	}
	n, err := c.stream.writeThrough(context.Background(), p)
	c.writing.Unlock()
	return n, c.fail("write", err)
}

// writeThrough writes p and waits until it is out. What the transport does not take at once
// stands in p meanwhile, and not in a copy. If it fails, what has not left the queue
// is withdrawn; it returns how much of p is not.
func (s *Stream) writeThrough(ctx context.Context, p []byte) (int, error) {
	s.countOfTask(ctx, len(p))
	mark, whole := s.writeStraight(p)
	if whole {
		return len(p), nil
	}
	return s.writeSlowly(ctx, p, mark)
}

// writeSlowly is writeThrough where the transport does not take p at once, or is no
// socket. If p is queued already, mark is the write index behind it, else it is negative.
func (s *Stream) writeSlowly(ctx context.Context, p []byte, mark int64) (int, error) {
	if mark < 0 {
		var err error
		if mark, err = s.writeNow(p); err != nil {
			return 0, err
		}
	}
	if err := s.waitSent(ctx, "write", mark); err != nil {
		return len(p) - s.withdrawWrite(mark, len(p)), err
	}
	return len(p), nil
}

// writeNow is Write, which does not put off what the transport takes now. It
// returns the write index.
func (s *Stream) writeNow(p []byte) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.refusal(); err != nil {
		return 0, opError("write", err)
	}
	s.accepted += int64(len(p)) // no limit applies: whoever writes waits, and what waits is the writer's
	if s.mustQueue() {
		s.output().borrow(p)
	} else {
		s.send(p, true)
		s.afterFlush()
	}
	return s.accepted, nil
}

// withdrawWrite takes back the last n bytes before mark, as far as they are
// queued, and returns how many will not be sent. Bytes that others have queued
// behind or wait for keep theirs where they are.
func (s *Stream) withdrawWrite(mark int64, n int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	unsent := int(min(int64(n), max(0, mark-s.sent())))
	if s.any(closed | outputEnded) {
		return unsent
	}
	unsent = min(unsent, s.out.queued())
	if mark != s.accepted || unsent == 0 || s.out.next() != nil {
		s.out.keep() // the caller has its slice back
		return 0
	}
	s.out.truncate(unsent)
	s.accepted -= int64(unsent)
	if s.any(finWanted) {
		s.schedule() // the end comes earlier now
	}
	return unsent
}

func (c *Conn) Close() error {
	if c.closed.Swap(true) {
		return c.fail("close", net.ErrClosed)
	}
	defer c.stream.release()
	if c.dropOnClose.Load() {
		c.stream.Abort(nil)
		return nil
	}
	return c.stream.Close()
}

// CloseWrite ends the writing direction: the peer reads io.EOF after what was
// written. A second call does nothing.
func (c *Conn) CloseWrite() error {
	if c.closed.Load() {
		return c.fail("close", net.ErrClosed)
	}
	err := c.stream.CloseWrite()
	if errors.Is(err, net.ErrClosed) || errors.Is(err, io.EOF) {
		return nil // it is ended already
	}
	return c.fail("close", err)
}

// Stream returns the stream that Conn uses.
func (c *Conn) Stream() *Stream { return c.stream }

func (c *Conn) LocalAddr() net.Addr  { return c.local }
func (c *Conn) RemoteAddr() net.Addr { return c.remote }

// The deadlines fail only after Close, as package net has it: a stream that has ended
// otherwise tells so when it is used.

func (c *Conn) SetDeadline(t time.Time) error {
	_ = c.SetReadDeadline(t)
	return c.SetWriteDeadline(t)
}

func (c *Conn) SetReadDeadline(t time.Time) error {
	if c.closed.Load() {
		return c.fail("set", net.ErrClosed)
	}
	_ = c.stream.SetReadDeadline(t)
	return nil
}

func (c *Conn) SetWriteDeadline(t time.Time) error {
	if c.closed.Load() {
		return c.fail("set", net.ErrClosed)
	}
	_ = c.stream.SetWriteDeadline(t)
	return nil
}
