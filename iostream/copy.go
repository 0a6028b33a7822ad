package iostream

import (
	"context"
	"errors"
	"io"

	"github.com/eddyloop/eddy/internal/socket"
	"github.com/eddyloop/eddy/ioloop"
)

// A goroutine that copies from one plain socket to another (io.Copy, ReadFrom) moves bulk
// through a pipe as a relay does, see splice.go. It fills the pipe itself, when the kernel is
// known to have input (direct.go), and hands it to the other stream's output. Everything else
// is an ordinary read or write: waiting for input and for room, the ends and errors of either
// stream. So it never waits with a pipe of its own, and needs no way of its own to be told of a
// deadline or a close.
//
// A task copies: it would wait for the kernel on the loop.

// waitPiece is how much a goroutine that copies bulk reads when it has to wait: what comes with
// it goes through a pipe.
const waitPiece = 4 << 10

// copySource is a stream of plain bytes that a goroutine copies from.
type copySource struct {
	stream *Stream
	conn   *Conn             // nil: it is not read as a Conn
	io     *IO               // nil: it is not read as an IO
	limit  *io.LimitedReader // nil: up to the end
	waited bool              // the last read has brought a full waitPiece
	bulk
}

// plainReader hides the WriteTo of a Conn or IO, which has called ReadFrom.
type plainReader struct{ io.Reader }

// sourceOf returns what r reads from if that is a stream, and can be spliced.
func sourceOf(r io.Reader) *copySource {
	if !socket.CanSplice {
		return nil
	}
	src := new(copySource)
	if src.limit, _ = r.(*io.LimitedReader); src.limit != nil {
		r = src.limit.R
	}
	if p, ok := r.(plainReader); ok {
		r = p.Reader
	}
	switch r := r.(type) {
	case *Conn:
		src.stream, src.conn = r.stream, r
	case *IO:
		if _, isTask := r.ctx.(*ioloop.Task); isTask {
			return nil
		}
		src.stream, src.io = r.stream, r
	default:
		return nil
	}
	return src
}

// plainTarget returns w if it writes to a stream that can be spliced to.
func plainTarget(w io.Writer) io.ReaderFrom {
	var s *Stream
	switch w := w.(type) {
	case *Conn:
		s = w.stream
	case *IO:
		s = w.stream
	default:
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.any(plainSocket) {
		return nil
	}
	return w.(io.ReaderFrom)
}

// splices reports whether what comes next goes through a pipe.
func (src *copySource) splices() bool {
	return src != nil && src.bulk.splices() && src.most() >= largeSplice
}

// most returns how much may be read at once.
func (src *copySource) most() int {
	if src.limit == nil {
		return socket.PipeSize
	}
	return int(min(src.limit.N, socket.PipeSize))
}

// room returns the part of buf to read into.
func (src *copySource) room(buf []byte) []byte {
	if src.splices() {
		return buf[:waitPiece]
	}
	return buf
}

// noteRead notes what a read has brought. Behind a full waitPiece more comes.
func (src *copySource) noteRead(n int) {
	if src == nil {
		return
	}
	if src.waited = n == waitPiece && src.splices(); !src.waited {
		src.note(n)
	}
}

// spliceFrom moves what src has received to s, through a pipe, and returns how much. It is
// nothing if nothing is known to be there, or it has to be copied.
func (s *Stream) spliceFrom(ctx context.Context, src *copySource, buf []byte) (int, error) {
	if err := s.waitSent(ctx, "write", s.Mark()); err != nil {
		return 0, err
	}
	if takes, waits, err := s.takesPipe(); err != nil {
		return 0, opError("write", err) // before anything is read
	} else if !takes || waits {
		src.never = !takes
		return 0, nil
	}
	pipe := src.receive()
	if pipe == nil {
		return 0, nil
	}
	return s.passPipe(ctx, pipe, buf)
}

// passPipe writes what is in the pipe, which becomes the stream's.
func (s *Stream) passPipe(ctx context.Context, pipe *socket.Pipe, buf []byte) (int, error) {
	sent, err := s.sendPipe(pipe)
	if err != ErrWouldBlock {
		return sent, opError("write", err)
	}
	defer pipe.Put()
	return s.sendHeld(ctx, pipe, buf)
}

// sendHeld copies what is in the pipe: somebody else has written.
func (s *Stream) sendHeld(ctx context.Context, pipe *socket.Pipe, buf []byte) (written int, err error) {
	for pipe.Held() > 0 {
		n, err := pipe.Read(buf)
		if err != nil {
			return written, err
		}
		if err := s.Room(ctx); err != nil {
			return written, err
		}
		n, err = s.writeWaiting(ctx, buf[:n])
		written += n
		if err != nil {
			return written, err
		}
	}
	return written, nil
}

// receive returns a pipe with what the source has received. It is nil if there is nothing, as
// a read will find out again, and say why.
func (src *copySource) receive() *socket.Pipe {
	if c := src.conn; c != nil {
		if !c.reading.TryLock() {
			return nil
		}
		defer c.reading.Unlock()
		if c.closed.Load() {
			return nil
		}
	}
	if c := src.io; c != nil && checkContext(c.ctx) != nil {
		return nil
	}
	pipe, err := src.stream.receivePipe(src.most())
	switch {
	case err == errNoPipe:
		src.large = 0
	case err != nil:
		src.never = true
	case pipe != nil:
		src.note(pipe.Held())
		if src.limit != nil {
			src.limit.N -= int64(pipe.Held())
		}
	case src.waited:
		src.note(waitPiece)
	}
	src.waited = false
	return pipe
}

var errNoPipe = errors.New("no pipe is to be had")

// receivePipe is receiveInto for a pipe, nil if nothing is known to be there. It returns
// an error only if the bytes have to be copied.
func (s *Stream) receivePipe(most int) (*socket.Pipe, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.any(plainSocket) {
		return nil, errors.ErrUnsupported
	}
	if s.begin(readInto) != nil || !s.knowsOfInput() {
		return nil, nil
	}
	pipe := socket.GetPipe()
	if pipe == nil {
		return nil, errNoPipe
	}
	n, err := pipe.Fill(s.descriptor(), most)
	if n > 0 {
		s.takeOver()
		s.noteReceived()
		return pipe, nil
	}
	pipe.Put()
	switch {
	case err != nil && socket.CannotSplice(err):
		return nil, err
	case err != nil && socket.WouldBlock(err):
		s.unset(unwanted | cameFull)
		return nil, nil
	}
	_, err = readOutcome(0, err)
	s.readFailed(err)
	s.schedule() // the loop goes on towards the end
	return nil, nil
}
