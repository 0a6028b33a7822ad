package iostream

import (
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"

	"github.com/eddyloop/eddy/internal/socket"
	"github.com/eddyloop/eddy/ioloop"
)

// Adopt makes a stream on l of conn, a net.Conn that is a TCP or Unix stream
// socket. The stream takes the connection over and closes conn. After an error,
// conn is as it was. The error is ErrInvalid if conn has no socket of its own,
// such as a *tls.Conn, or an error of NewSocket. Deadlines of conn are not
// taken over, nor are bytes that a bufio.Reader has read from it.
func Adopt(l *ioloop.Loop, conn net.Conn, config *Config) (*Stream, error) {
	if l == nil || conn == nil {
		return nil, opError("adopt", ErrInvalid)
	}
	fd, err := duplicate(conn)
	if err != nil {
		return nil, opError("adopt", err)
	}
	s, err := newSocket(l, fd, socket.AddressOf(conn.RemoteAddr()), config)
	if err != nil {
		_ = socket.Close(fd)
		return nil, opError("adopt", errors.Unwrap(err))
	}
	_ = conn.Close() // the duplicate keeps the connection
	return s, nil
}

// duplicate returns a descriptor of conn's socket that package net knows
// nothing of. It does not go through File().Fd, which would make the socket
// blocking.
func duplicate(conn net.Conn) (fd int, err error) {
	c, ok := conn.(syscall.Conn)
	if !ok {
		return -1, fmt.Errorf("%w: %T is not a socket", ErrInvalid, conn)
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return -1, err
	}
	if e := raw.Control(func(n uintptr) { fd, err = socket.Duplicate(int(n)) }); e != nil {
		return -1, e
	}
	return fd, os.NewSyscallError("fcntl", err)
}

// Detach ends the stream and returns its connection as one of package net, with
// a copy of the bytes that had been received and not read. The connection stays
// open; the stream is closed with net.ErrClosed.
//
// Detach returns ErrReadPending while a read is pending (except in the function
// of a Handle, which it ends), ErrInvalid if bytes wait to be sent (see Flush)
// or the stream is not a plain socket, or why the stream is closed. Then
// nothing has changed.
func (s *Stream) Detach() (net.Conn, []byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	conn, err := s.detach()
	if err != nil {
		return nil, nil, opError("detach", err)
	}
	s.takeOver()
	rest := append([]byte(nil), s.in.take(s.in.len())...)
	s.set(detached)
	s.closeLocked(net.ErrClosed)
	s.schedule()
	return conn, rest, nil
}

func (s *Stream) detach() (net.Conn, error) {
	s.mayLinger()
	switch {
	case s.any(closed):
		return nil, s.details.err
	case s.any(closing):
		return nil, s.details.reason
	case !s.any(plainSocket):
		return nil, fmt.Errorf("%w: not a plain socket", ErrInvalid)
	case s.readPending():
		return nil, ErrReadPending
	case s.backlog() > 0:
		return nil, fmt.Errorf("%w: bytes wait to be sent", ErrInvalid)
	}
	if s.any(finWanted) {
		s.endOutput() // which the loop has not got round to
	}
	fd, err := socket.Duplicate(s.transport.(Descriptor).FD())
	if err != nil {
		return nil, os.NewSyscallError("fcntl", err)
	}
	file := os.NewFile(uintptr(fd), "")
	defer file.Close()
	return net.FileConn(file)
}
