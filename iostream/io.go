package iostream

import (
	"context"
	"errors"
	"io"
)

// IO returns the stream as an io.Reader and io.Writer, for packages such as
// encoding/json, bufio or compress/gzip. Its methods wait with ctx: an
// *ioloop.Task suspends the task, any other context blocks the goroutine. In a
// callback a method that has to wait returns ioloop.ErrOnLoop. Any number of
// IOs may be made, but the stream has one read at a time.
func (s *Stream) IO(ctx context.Context) *IO { return &IO{s, ctx} }

// IO is a Stream as an io.ReadWriteCloser whose methods wait with a context;
// see [Stream.IO]. Errors are *Error, except for io.EOF, which is returned as
// it is.
type IO struct {
	stream *Stream
	ctx    context.Context
}

// Read reads what has been received. It waits for at least one byte unless p is
// empty.
func (c *IO) Read(p []byte) (int, error) {
	n, err := c.stream.ReadAtLeast(c.ctx, p, min(1, len(p)))
	if errors.Is(err, io.EOF) {
		err = io.EOF
	}
	return n, err
}

// Write writes p. For up to 16 KiB it waits until at most Config.HighWaterMark
// bytes wait to be sent, and a failure to send them is returned by a later
// Write or Flush. For more than 16 KiB it waits until all of p is with the
// kernel; if it fails, n says how many bytes are.
func (c *IO) Write(p []byte) (int, error) {
	if len(p) > corkLimit {
		if err := checkContext(c.ctx); err != nil {
			return 0, opError("write", err)
		}
		return c.stream.writeThrough(c.ctx, p)
	}
	if err := c.stream.Room(c.ctx); err != nil {
		return 0, err
	}
	return c.stream.writeWaiting(c.ctx, p)
}

// WriteString is Write of a string's bytes.
func (c *IO) WriteString(p string) (int, error) { return c.Write([]byte(p)) }

// ReadFrom is Stream.ReadFrom with the context of c.
func (c *IO) ReadFrom(r io.Reader) (int64, error) { return c.stream.readFrom(c.ctx, r) }

// WriteTo writes everything that the stream receives to w, up to the peer's
// end, and then returns nil. It returns how many bytes w has taken. Bytes that
// were read and that w did not take are lost.
func (c *IO) WriteTo(w io.Writer) (int64, error) {
	if to, ok := w.(*Stream); ok {
		w = to.IO(c.ctx) // which waits
	}
	if to := plainTarget(w); to != nil && sourceOf(c) != nil {
		return to.ReadFrom(plainReader{c})
	}
	written := int64(0)
	for {
		p, err := c.stream.Read(c.ctx, Some(0))
		if errors.Is(err, io.EOF) {
			return written, nil
		} else if err != nil {
			return written, err
		}
		n, err := w.Write(p)
		written += int64(max(n, 0))
		if err != nil {
			return written, err
		}
		if n < len(p) {
			return written, io.ErrShortWrite
		}
	}
}

// CloseWrite is Stream.CloseWrite.
func (c *IO) CloseWrite() error { return c.stream.CloseWrite() }

// Close is Stream.Close. It does not wait.
func (c *IO) Close() error { return c.stream.Close() }

var _ interface {
	io.ReadWriteCloser
	io.ReaderFrom
	io.WriterTo
	io.StringWriter
} = (*IO)(nil)

var _ interface {
	io.ReaderFrom
	io.StringWriter
} = (*Stream)(nil)
