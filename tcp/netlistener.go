package tcp

import (
	"fmt"
	"net"
	"sync"

	"github.com/eddyloop/eddy/iostream"
)

// NetListener makes the server hand its connections to a net.Listener, for
// packages that serve one, like net/http; its Accept returns what
// iostream.Stream.NetConn does. Listen, NetListener, then Serve:
//
//	srv := new(tcp.Server)
//	srv.Listen("tcp", ":8080")
//	listener, err := srv.NetListener()
//	go srv.Serve(ctx)
//	http.Serve(listener, handler)
//
// Closing the listener stops the server from accepting and leaves the accepted
// connections alone; Serve returns when the last of them has closed. When the
// server ends otherwise, Accept returns net.ErrClosed.
//
// It returns ErrInvalid if a Handler or Callback is set, if Serve was called, or
// if NetListener was.
func (srv *Server) NetListener() (net.Listener, error) {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	if srv.Handler != nil || srv.Callback != nil || srv.started {
		return nil, fmt.Errorf("%w: the server serves already or has a handler", ErrInvalid)
	}
	l := &netListener{srv: srv, addr: nowhere{}}
	if len(srv.listeners) > 0 {
		l.addr = srv.listeners[0].addr
	}
	l.changed.L = &l.mu
	srv.net, srv.Callback = l, l.add
	return l, nil
}

// netListener is a queue of connections.
type netListener struct {
	srv  *Server
	addr net.Addr

	mu      sync.Mutex
	changed sync.Cond // queue or closed
	queue   []*iostream.Stream
	closed  bool
}

// nowhere is the address of a server that had none yet.
type nowhere struct{}

func (nowhere) Network() string { return "tcp" }
func (nowhere) String() string  { return "" }

// add is the server's Callback.
func (l *netListener) add(s *iostream.Stream) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		_ = s.Close()
		return
	}
	l.queue = append(l.queue, s)
	l.changed.Signal()
}

func (l *netListener) Accept() (net.Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.queue) == 0 && !l.closed {
		l.changed.Wait()
	}
	if l.closed {
		return nil, l.opError("accept")
	}
	s := l.queue[0]
	l.queue = l.queue[1:]
	return s.NetConn(), nil
}

// Close stops the server from accepting. Connections that nobody has taken are
// closed.
func (l *netListener) Close() error {
	if !l.end() {
		return l.opError("close")
	}
	l.srv.stop(ErrServerClosed)
	return nil
}

// end is Close as far as the queue goes. It reports whether it was open.
func (l *netListener) end() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false
	}
	l.closed = true
	for _, s := range l.queue {
		_ = s.Close()
	}
	l.queue = nil
	l.changed.Broadcast()
	return true
}

func (l *netListener) Addr() net.Addr { return l.addr }

func (l *netListener) opError(op string) error {
	return &net.OpError{Op: op, Net: l.addr.Network(), Addr: l.addr, Err: net.ErrClosed}
}
