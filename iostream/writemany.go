package iostream

import (
	"context"
	"errors"
	"io"
	"unsafe"

	"github.com/eddyloop/eddy/ioloop"
)

// WriteString is Write of the bytes of p, without a copy first.
func (s *Stream) WriteString(p string) (int, error) {
	return s.Write(unsafe.Slice(unsafe.StringData(p), len(p)))
}

// WriteBuffers is Write of several slices as one: it takes all of them or none,
// and no other write comes between them. The stream does not use the slices
// afterwards. It does not copy slices above 16 KiB as far as the kernel takes
// them at once, and it sends the slices before such a one with it: a header and
// a body are one system call.
func (s *Stream) WriteBuffers(bufs [][]byte) (int64, error) {
	total := 0
	for _, p := range bufs {
		total += len(p)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.refusal(); err != nil {
		return 0, opError("write", err)
	}
	if err := s.makeRoom(total); err != nil {
		return 0, opError("write", err)
	}
	s.accepted += int64(total)
	s.countLarge(total)
	if err := s.sendAll(bufs, total); err != nil {
		return 0, opError("write", err)
	}
	return int64(total), nil
}

// sendAll queues bufs, which are total bytes and accepted, and sends what is not put
// off.
func (s *Stream) sendAll(bufs [][]byte, total int) error {
	if total == 0 {
		return nil
	}
	corked := s.cork(total)
	for _, p := range bufs {
		if corked || len(p) <= corkLimit || s.any(blocked|outputEnded) {
			s.output().append(p)
		} else {
			s.send(p, false)
		}
	}
	if corked && !s.any(blocked) {
		return nil
	}
	if !corked {
		s.flush()
		s.afterFlush()
	}
	s.charge()
	return s.writeEnd()
}

// ReadFrom writes everything that r returns, up to its io.EOF. io.Copy calls
// it. It waits for the peer: no more than Config.HighWaterMark and a piece of
// 64 KiB wait to be sent. In a task it suspends the task, elsewhere it blocks
// the goroutine. In a callback it returns ioloop.ErrOnLoop and reads nothing;
// use Loop.Go, a goroutine, or RelayFunc there. It reads r on the calling
// goroutine, so in a task r must not block.
//
// A goroutine has the kernel send a regular file, or an io.LimitedReader of one,
// over a plain socket (sendfile, where the system has it). On Linux it also has the
// kernel move bulk from another plain socket, if r is a Conn or IO, or an
// io.LimitedReader of one (splice): then up to 1 MiB may wait to be sent. If that can
// be written no more, what has been read and not sent is lost, as with a copy; the N
// of an io.LimitedReader says what has been read.
//
// ReadFrom returns how many bytes it has read from r and written, and the first
// error of either, except io.EOF. What was written may still wait to be sent:
// see Flush.
func (s *Stream) ReadFrom(r io.Reader) (int64, error) {
	ctx := context.Background()
	if task, onLoop := ioloop.CurrentTask(); task != nil {
		ctx = task
	} else if onLoop {
		return 0, opError("read from", ioloop.ErrOnLoop)
	}
	return s.readFrom(ctx, r)
}

// readFrom is ReadFrom that waits as ctx.
func (s *Stream) readFrom(ctx context.Context, r io.Reader) (written int64, err error) {
	if r == nil {
		return 0, opError("read from", ErrInvalid)
	}
	var src *copySource
	if _, isTask := ctx.(*ioloop.Task); !isTask {
		if file := fileOf(r); file != nil {
			if written, err = s.sendFile(ctx, file); err != nil {
				return written, err
			}
		}
		src = sourceOf(r)
	}
	buf := getBuffer(maxRead)
	defer putBuffer(buf)
	buf = buf[:cap(buf)]
	for {
		if err := s.Room(ctx); err != nil {
			return written, err
		}
		if src.splices() {
			n, err := s.spliceFrom(ctx, src, buf)
			written += int64(n)
			if err != nil {
				return written, err
			} else if n > 0 {
				continue
			}
		}
		n, readErr := r.Read(src.room(buf))
		if n < 0 || n > cap(buf) {
			return written, opError("read from", errInvalidRead)
		}
		src.noteRead(n)
		n, err := s.writeWaiting(ctx, buf[:n])
		written += int64(n)
		switch {
		case err != nil:
			return written, err
		case readErr == io.EOF:
			return written, nil
		case readErr != nil:
			return written, readErr
		}
	}
}

var errInvalidRead = errors.New("reader returned a count out of range")

// writeWaiting is Write for a caller who waits where Write would refuse.
func (s *Stream) writeWaiting(ctx context.Context, p []byte) (int, error) {
	n, err := s.Write(p)
	if errors.Is(err, ErrBufferFull) {
		return s.writeThrough(ctx, p)
	}
	return n, err
}
