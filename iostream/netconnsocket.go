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

// SetNoDelay switches Nagle's algorithm off or on. Package tcp has switched it off.
func (c *Conn) SetNoDelay(on bool) error {
	return c.withSocket("set", func(fd int) error { return socket.SetNoDelay(fd, on) })
}

// SetLinger sets SO_LINGER as of a *net.TCPConn: with 0, Close resets the
// connection and drops what was not sent. Above 0 it is left to the system how long
// closing the descriptor takes, and the loop waits for that.
func (c *Conn) SetLinger(seconds int) error {
	err := c.withSocket("set", func(fd int) error { return socket.SetLinger(fd, seconds) })
	if err == nil {
		c.dropOnClose.Store(seconds == 0)
	}
	return err
}

// SetKeepAlive switches keep-alive off or on.
func (c *Conn) SetKeepAlive(on bool) error {
	return c.withSocket("set", func(fd int) error { return socket.SetKeepAlive(fd, on) })
}

// SetKeepAlivePeriod sets after which silence keep-alive begins to probe.
func (c *Conn) SetKeepAlivePeriod(d time.Duration) error {
	return c.withSocket("set", func(fd int) error { return socket.SetKeepAliveTimes(fd, d, 0, 0) })
}

// SetKeepAliveConfig sets all about keep-alive. As in package net, a time or count of 0 is 15
// s, 15 s or 9, and one below 0 leaves the system's.
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

// SetReadBuffer sets the size in bytes of the kernel's buffer for input.
func (c *Conn) SetReadBuffer(bytes int) error {
	return c.withSocket("set", func(fd int) error { return socket.SetReadBuffer(fd, bytes) })
}

// SetWriteBuffer sets the size in bytes of the kernel's buffer for output.
func (c *Conn) SetWriteBuffer(bytes int) error {
	return c.withSocket("set", func(fd int) error { return socket.SetWriteBuffer(fd, bytes) })
}

// CloseRead has the kernel receive no more: reads return what has come, then
// io.EOF.
func (c *Conn) CloseRead() error { return c.withSocket("close", socket.CloseRead) }

// File returns a copy of the descriptor, which the caller closes. Neither of the two
// closes the other. File.Fd makes both blocking, and with them the loop: use its
// SyscallConn.
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

// ReadFrom writes what r has, up to its end; io.Copy calls it.
func (c *Conn) ReadFrom(r io.Reader) (int64, error) {
	if err := lock(&c.writing); err != nil {
		return 0, c.fail("readfrom", err)
	}
	defer c.writing.Unlock()
	n, err := c.stream.readFrom(context.Background(), r)
	if err == nil {
		err = c.stream.Flush(context.Background())
	}
	var ours *Error
	if !errors.As(err, &ours) {
		return n, err // the reader's own
	}
	return n, c.fail("readfrom", err)
}

// WriteTo writes to w what is received, up to its end; io.Copy calls it.
func (c *Conn) WriteTo(w io.Writer) (int64, error) {
	return io.Copy(w, struct{ io.Reader }{c})
}

// SyscallConn gives access to the descriptor. Bytes that the stream has received and
// that were not read are not seen by a system call: there are none on a connection
// that only Conn's methods read. A Read or Write whose function returns false waits,
// with a thread, until it is worth while to call it again; where there is no poll(2)
// that is errors.ErrUnsupported.
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
