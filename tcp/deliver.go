package tcp

import (
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"

	"github.com/eddyloop/eddy/internal/socket"
	"github.com/eddyloop/eddy/iostream"
)

// Deliver has Accept return the connection of a stream, with all bytes that are
// unread, including those that a Peek has returned. A Callback or Handler calls
// it when the first bytes show the protocol:
//
//	srv.Callback = func(s *iostream.Stream) {
//		s.ReadFunc(iostream.Peek(4), func(first []byte, err error) {
//			if string(first) == "GET " {
//				err = web.Deliver(s)
//			} else if err == nil {
//				err = s.Handle(iostream.Until("\n"), answer)
//			}
//			if err != nil {
//				s.Abort(err)
//			}
//		})
//	}
//
// The stream then belongs to the net.Conn and no longer to the Callback or
// Handler; a Handler may return. No read may be pending. Deliver never waits:
// more than 16 connections may wait for Accept then, and the server accepts
// none until there are fewer. Over TLS, Accept returns the stream's
// *iostream.Conn and no *tls.Conn: for HTTP/2 give the listener of a server
// without TLS to tls.NewListener.
//
// Deliver must be called on the stream's loop, by a callback or task. It
// returns net.ErrClosed if the listener or the stream is closed, and ErrInvalid
// if the stream is not the server's or all connections go to the listener
// anyway.
func (l *NetListener) Deliver(s *iostream.Stream) error {
	w := l.srv.workerOf(s.Loop())
	if w == nil || l.srv.net == l {
		return l.opError("deliver", fmt.Errorf("%w: not a stream of the server, or one that goes to Accept anyway", ErrInvalid))
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || s.Err() != nil {
		return l.opError("deliver", net.ErrClosed)
	}
	if c := w.conns[s]; c != nil {
		c.delivered = true
	}
	l.queue = append(l.queue, queued{stream: s, ready: s.NetConn()})
	l.changed.Broadcast()
	return nil
}

// SyscallConn returns the first listening socket, to read and set its options.
// Control is called with a duplicate of its descriptor. Read and Write return
// errors.ErrUnsupported. SyscallConn fails with net.ErrClosed once the socket
// is closed.
func (l *NetListener) SyscallConn() (syscall.RawConn, error) {
	raw := rawListener{l}
	return raw, raw.Control(func(uintptr) {})
}

// rawListener is a syscall.RawConn of the first listening socket.
type rawListener struct{ l *NetListener }

func (r rawListener) Control(fn func(fd uintptr)) error {
	fd, err := r.l.srv.duplicateListening()
	if err != nil {
		return r.l.opError("raw-control", err)
	}
	fn(uintptr(fd))
	_ = socket.Close(fd)
	return nil
}

func (r rawListener) Read(func(fd uintptr) bool) error {
	return r.l.opError("raw-read", errors.ErrUnsupported)
}

func (r rawListener) Write(func(fd uintptr) bool) error {
	return r.l.opError("raw-write", errors.ErrUnsupported)
}

// duplicateListening returns a duplicate of the first listening socket, which nobody
// closes meanwhile.
func (srv *Server) duplicateListening() (int, error) {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	if len(srv.listeners) == 0 {
		return -1, net.ErrClosed
	}
	fd, err := socket.Duplicate(srv.listeners[0].fd)
	return fd, os.NewSyscallError("fcntl", err)
}
