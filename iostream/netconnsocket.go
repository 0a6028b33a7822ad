package iostream

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/eddyloop/eddy/internal/socket"
	"github.com/eddyloop/eddy/poller"
)

// withSocket calls set with the descriptor of an open connection.
func (c *Conn) withSocket(op string, set func(fd int) error) error {
	if c.closed.Load() {
		return c.fail(op, net.ErrClosed)
	}
	var err error
	if e := c.stream.Control(func(fd uintptr) { err = set(int(fd)) }); e != nil {
		return c.fail(op, e)
	}
	return c.fail(op, err)
}

// SetNoDelay turns Nagle's algorithm off (true) or on (false). Package tcp
// turns it off.
func (c *Conn) SetNoDelay(on bool) error {
	return c.withSocket("set", func(fd int) error { return socket.SetNoDelay(fd, on) })
}

// SetLinger sets SO_LINGER, as a *net.TCPConn does. With 0, Close resets the
// connection and drops what was not sent. With a value above 0 the system may
// take that long to close the descriptor, and the loop waits for it.
func (c *Conn) SetLinger(seconds int) error {
	err := c.withSocket("set", func(fd int) error { return socket.SetLinger(fd, seconds) })
	if err == nil {
		c.dropOnClose.Store(seconds == 0)
	}
	return err
}

// SetKeepAlive turns keep-alive on or off (SO_KEEPALIVE).
func (c *Conn) SetKeepAlive(on bool) error {
	return c.withSocket("set", func(fd int) error { return socket.SetKeepAlive(fd, on) })
}

// SetKeepAlivePeriod sets how long the connection is silent before keep-alive
// probes begin.
func (c *Conn) SetKeepAlivePeriod(d time.Duration) error {
	return c.withSocket("set", func(fd int) error { return socket.SetKeepAliveTimes(fd, d, 0, 0) })
}

// SetKeepAliveConfig sets all options of keep-alive. As in package net, an Idle
// or Interval of 0 is 15 s, a Count of 0 is 9, and a value below 0 leaves the
// system's.
func (c *Conn) SetKeepAliveConfig(config net.KeepAliveConfig) error {
	orDefault := func(d time.Duration) time.Duration {
		if d == 0 {
			return 15 * time.Second
		}
		return d
	}
	count := config.Count
	if count == 0 {
		count = 9
	}
	return c.withSocket("set", func(fd int) error {
		if err := socket.SetKeepAlive(fd, config.Enable); err != nil {
			return err
		}
		return socket.SetKeepAliveTimes(fd, orDefault(config.Idle), orDefault(config.Interval), count)
	})
}

// SetReadBuffer sets the size in bytes of the kernel's receive buffer
// (SO_RCVBUF).
func (c *Conn) SetReadBuffer(bytes int) error {
	return c.withSocket("set", func(fd int) error { return socket.SetReadBuffer(fd, bytes) })
}

// SetWriteBuffer sets the size in bytes of the kernel's send buffer
// (SO_SNDBUF).
func (c *Conn) SetWriteBuffer(bytes int) error {
	return c.withSocket("set", func(fd int) error { return socket.SetWriteBuffer(fd, bytes) })
}

// CloseRead ends the reading direction: reads return the bytes that have come,
// then io.EOF. On Windows bytes that come later, or that nobody has read, break the
// connection.
func (c *Conn) CloseRead() error {
	err := c.withSocket("close", socket.CloseRead)
	if err == nil {
		_ = c.stream.loop.Kit().Schedule((*ownEnd)(c.stream)) // else it is closed
	}
	return err
}

// ownEnd is a Stream that has ended its own reading, which is no event on Windows.
type ownEnd Stream

func (o *ownEnd) Run()           { (*Stream)(o).pump(poller.Readable|poller.PeerClosed, 0) }
func (o *ownEnd) Fail(err error) { (*work)(o).Fail(err) }

// File returns a duplicate of the descriptor, which the caller closes. Closing
// one does not close the other. Do not call Fd on the file: it makes both
// blocking, and the loop would block. Use its SyscallConn.
func (c *Conn) File() (*os.File, error) {
	var file *os.File
	err := c.withSocket("file", func(fd int) error {
		n, err := socket.Duplicate(fd)
		if err != nil {
			return os.NewSyscallError("fcntl", err)
		}
		file = os.NewFile(uintptr(n), c.local.Network()+":"+c.local.String()+"->"+c.remote.String())
		return nil
	})
	return file, err
}

// ReadFrom writes everything that r returns, up to its io.EOF. io.Copy calls
// it. See [Stream.ReadFrom] for what the kernel moves by itself. The count
// leaves out what was dropped because c has failed, and includes what is still to be
// sent, after a deadline for instance.
func (c *Conn) ReadFrom(r io.Reader) (int64, error) {
	if err := lock(&c.writing); err != nil {
		return 0, c.fail("readfrom", err)
	}
	defer c.writing.Unlock()
	start := c.stream.Mark()
	n, err := c.stream.readFrom(context.Background(), r)
	if err == nil {
		err = c.stream.Flush(context.Background())
	}
	var ours *Error
	if !errors.As(err, &ours) {
		return n, err // the reader's own
	}
	return c.stream.outSince(start, n), c.fail("readfrom", err)
}

// WriteTo writes everything that is received to w, up to io.EOF. io.Copy calls
// it. If w is a Conn, its ReadFrom does the work.
func (c *Conn) WriteTo(w io.Writer) (int64, error) {
	return io.Copy(w, plainReader{c})
}

// SyscallConn gives access to the descriptor. A system call does not see bytes
// that the stream has received and nobody has read; if only Conn's methods
// read, there are none. Read and Write of the RawConn block a thread when their
// function returns false, until it should be called again. Where there is no
// poll(2) they return errors.ErrUnsupported.
func (c *Conn) SyscallConn() (syscall.RawConn, error) {
	if c.closed.Load() {
		return nil, c.fail("raw-control", net.ErrClosed)
	}
	return rawConn{c}, nil
}

type rawConn struct{ c *Conn }

func (r rawConn) Control(f func(fd uintptr)) error {
	return r.c.withSocket("raw-control", func(fd int) error { f(uintptr(fd)); return nil })
}

func (r rawConn) Read(f func(fd uintptr) bool) error {
	return r.try("raw-read", false, f)
}

func (r rawConn) Write(f func(fd uintptr) bool) error {
	return r.try("raw-write", true, f)
}

// rawWait is how long the close of a connection may have to wait for one who waits.
const rawWait = 20 * time.Millisecond

func (r rawConn) try(op string, write bool, f func(fd uintptr) bool) error {
	for {
		done := false
		err := r.c.withSocket(op, func(fd int) error {
			if done = f(uintptr(fd)); done {
				return nil
			}
			if expired := r.c.stream.pastDeadline(write); expired {
				return os.ErrDeadlineExceeded
			}
			return socket.AwaitReady(fd, write, rawWait)
		})
		if done || err != nil {
			return err
		}
	}
}

func (s *Stream) pastDeadline(write bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.any(readExpired) && !write || s.any(writeExpired) && write
}

var _ interface {
	net.Conn
	syscall.Conn
	io.ReaderFrom
	io.WriterTo
} = (*Conn)(nil)
