package iostream

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"reflect"
	"slices"
	"syscall"

	"github.com/eddyloop/eddy/internal/socket"
)

// A goroutine that sends a regular file over a plain socket has the kernel take the bytes
// from the file's pages (sendfile(2)). It makes the calls itself and without the stream's
// lock, as they may wait for the disk, which the loop must not. Meanwhile the bytes stand
// in the queue as a number, and what others write waits behind them.
//
// A task copies: its calls would wait on the loop.

const (
	// filePiece is how much one call sends at most, as in package net.
	filePiece = 4 << 20

	// leastFile is how much of a file is worth more than a copy.
	leastFile = 16 << 10

	// filePage is how much is copied when the socket is full: the stream knows how to wait
	// for that to be sent, and then there is room for much more.
	filePage = 4 << 10
)

// fileSource is a regular file, or the beginning of what is left of one, as a reader.
type fileSource struct {
	io.Reader
	conn  syscall.RawConn
	limit *io.LimitedReader // nil: up to the end
	left  int64             // as the file was when it was looked at
}

// isFile tells an *os.File, and what its WriteTo passes on, which is another type of package
// os, from a type that embeds an *os.File: that may read in a way of its own. Tests replace it.
var isFile = func(r io.Reader) bool {
	_, ok := r.(*os.File)
	return ok || r != nil && reflect.TypeOf(r).PkgPath() == "os"
}

// fileOf returns r as a file to be sent by the kernel, nil if it is none or too small.
func fileOf(r io.Reader) *fileSource {
	if !socket.CanSendFile {
		return nil
	}
	src := &fileSource{Reader: r}
	if src.limit, _ = r.(*io.LimitedReader); src.limit != nil {
		r = src.limit.R
	}
	file, ok := r.(interface {
		fs.File
		io.Seeker
		syscall.Conn
	})
	if !ok || !isFile(r) {
		return nil
	}
	info, err := file.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return nil
	}
	at, err := file.Seek(0, io.SeekCurrent)
	if err != nil {
		return nil
	}
	if src.left = info.Size() - at; src.limit != nil {
		src.left = min(src.left, src.limit.N)
	}
	if src.left < leastFile {
		return nil // files of /proc say that they are empty
	}
	src.conn, err = file.SyscallConn()
	if err != nil {
		return nil
	}
	return src
}

// passed notes that n bytes have been sent.
func (src *fileSource) passed(n int) {
	src.left -= int64(n)
	if src.limit != nil {
		src.limit.N -= int64(n)
	}
}

// sendFile sends what the kernel sends of the file; what is left is to be copied: nothing, what
// the file has gained, or all of it where sendfile does not work.
func (s *Stream) sendFile(ctx context.Context, src *fileSource) (written int64, err error) {
	for src.left > 0 {
		if err := s.waitSent(ctx, "write", s.Mark()); err != nil {
			return written, err
		}
		n, err := s.sendPiece(src)
		written += int64(n)
		switch {
		case err == ErrWouldBlock:
			n, err := s.sendPage(ctx, src)
			written += int64(n)
			if err != nil {
				return written, err
			}
		case errors.Is(err, errors.ErrUnsupported) || err == nil && n == 0: // it has become shorter
			return written, nil
		case err != nil:
			return written, err
		}
	}
	return written, nil
}

// sendPage copies a page, and waits until it is sent.
func (s *Stream) sendPage(ctx context.Context, src *fileSource) (int, error) {
	page := getBuffer(filePage)
	defer putBuffer(page)
	n, err := src.Read(page[:min(filePage, src.left)])
	if err == io.EOF {
		src.left = 0
		return 0, nil
	} else if err != nil {
		return 0, err
	}
	src.left -= int64(n)
	return s.writeThrough(ctx, page[:n])
}

// sendPiece makes one call for as much as the socket takes. It returns ErrWouldBlock if that
// may be less than there is, and errors.ErrUnsupported if the bytes have to be copied.
func (s *Stream) sendPiece(src *fileSource) (int, error) {
	count := int(min(src.left, filePiece))
	fd, mark, err := s.reserve(count)
	if err != nil {
		return 0, err
	}
	defer s.letGo()
	n := 0 // what is sent of a file that somebody has closed, as a Read will say
	_ = src.conn.Control(func(file uintptr) { n, err = socket.SendFile(fd, int(file), count) })
	src.passed(n)
	switch {
	case err != nil && n == 0 && !socket.WouldBlock(err) && !socket.CannotSendFile(err):
		return 0, s.failFile(err)
	case s.unreserve(count, n, mark):
		rest, err := s.sendRest(src, count-n)
		return n + rest, err
	case err == nil:
		return n, nil
	case socket.WouldBlock(err):
		return n, ErrWouldBlock
	}
	return n, errors.ErrUnsupported // copying meets what is wrong with the file
}

// reserve puts count bytes that stand elsewhere at the head of the empty queue, keeps the
// descriptor open, and returns it and the write index behind them.
func (s *Stream) reserve(count int) (fd int, mark int64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch err := s.refusal(); {
	case err != nil:
		return 0, 0, opError("write", err)
	case !s.any(plainSocket):
		return 0, 0, errors.ErrUnsupported
	case s.mustQueue() || s.backlog() > 0:
		return 0, 0, ErrWouldBlock
	}
	s.ensureDetails().controls++
	s.accepted += int64(count)
	q := s.output()
	q.size += count
	q.reserved = count
	return s.descriptor(), s.accepted, nil
}

// failFile ends the writing direction because the socket has failed.
func (s *Stream) failFile(err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.endWriting(callError("sendfile", err))
	s.charge()
	s.afterFlush()
	return opError("write", s.writeEnd())
}

// unreserve ends a reserve: n of the bytes are sent. The others are given back, unless somebody
// has written behind them, or waits for them: then it reports true, and they stay reserved.
func (s *Stream) unreserve(count, n int, mark int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.any(closed | outputEnded) {
		s.details.sent += int64(n) // the others have been dropped
		return false
	}
	q, left := s.out, count-n
	q.size -= n
	if left > 0 && (mark != s.accepted || q.next() != nil) {
		q.reserved = left
		return true
	}
	q.size -= left
	q.reserved = 0
	s.accepted -= int64(left)
	s.flush()
	s.charge()
	s.afterFlush()
	return false
}

// sendRest queues a copy of the count bytes of src that are still reserved, before what others
// have written. Bytes that the file lacks by now count as sent.
func (s *Stream) sendRest(src *fileSource, count int) (int, error) {
	rest := getBuffer(count)[:count]
	n, err := io.ReadFull(src.Reader, rest)
	src.left -= int64(n)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.any(closed | outputEnded) {
		putBuffer(rest)
		return 0, opError("write", s.writeEnd())
	}
	q := s.out
	q.size -= count - n
	q.reserved = 0
	if n > 0 {
		q.chunks = slices.Insert(q.chunks, 0, rest[:n])
	}
	s.flush()
	s.charge()
	s.afterFlush()
	if err == io.ErrUnexpectedEOF || err == io.EOF {
		src.left, err = 0, nil
	}
	return n, err
}
