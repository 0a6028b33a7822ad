package tcp

import (
	"fmt"
	"net"
	"slices"
	"sync"
)

// NetListener makes the server hand its connections to a net.Listener, for
// packages that serve one, like net/http. Listen, NetListener, then Serve:
//
//	srv := new(tcp.Server)
//	srv.Listen("tcp", ":8080")
//	listener, err := srv.NetListener()
//	go srv.Serve(ctx)
//	http.Serve(listener, handler)
//
// Accept returns what iostream.Stream.NetConn does, in the order in which the
// clients have connected. With Server.TLS it returns a *tls.Conn over that, whose
// handshake is over, so that net/http serves HTTP/2 if the client has agreed on
// it (give TLS.NextProtos "h2" and "http/1.1").
//
// No more than 16 connections wait for Accept; further ones stay in the kernel's
// backlog. One whose client resets it while it waits is dropped.
//
// Closing the listener stops the server from accepting, closes the connections
// that wait, and leaves those alone that Accept has returned; Serve returns when
// the last of them has closed. Shutdown leaves what waits to Accept. Once nothing
// does, Accept returns net.ErrClosed.
//
// It returns ErrInvalid if a Message, Handler or Callback is set, if Serve was called, or
// if NetListener was.
func (srv *Server) NetListener() (net.Listener, error) {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	if srv.styles() > 0 || srv.started || srv.net != nil {
		return nil, fmt.Errorf("%w: the server serves already or has a handler", ErrInvalid)
	}
	l := &netListener{srv: srv, addr: nowhere{}}
	if len(srv.listeners) > 0 {
		l.addr = srv.listeners[0].addr
	}
	l.changed.L = &l.mu
	srv.net = l
	return l, nil
}

// maxQueued is how many connections may wait for Accept.
const maxQueued = 16

// netListener is a queue of connections. Its lock may be taken under Server.mu,
// and not the other way round.
type netListener struct {
	srv  *Server
	addr net.Addr

	mu      sync.Mutex
	changed sync.Cond // queue or closed
	queue   []queued
	closed  bool
}

// queued is a connection in the order of acceptance.
type queued struct {
	conn  *conn
	ready net.Conn // nil: it is not there yet
	late  bool     // it is not waited for: its client has something to say first
}

// nowhere is the address of a server that had none yet.
type nowhere struct{}

func (nowhere) Network() string { return "tcp" }
func (nowhere) String() string  { return "" }

func (l *netListener) full() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for _, q := range l.queue {
		if q.ready != nil || !q.late { // MaxHandshakes bounds the others
			n++
		}
	}
	return n >= maxQueued
}

// expect keeps a place for a connection that was accepted.
func (l *netListener) expect(c *conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.queue = append(l.queue, queued{conn: c, late: c.waiting})
}

// offer has Accept return a connection. One that has lost its place, because the
// listener was closed, is closed.
func (l *netListener) offer(c *conn, ready net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	i := l.find(c)
	if i < 0 {
		_ = c.stream.Close()
		return
	}
	l.queue[i].ready = ready
	l.changed.Broadcast()
}

func (l *netListener) find(c *conn) int {
	return slices.IndexFunc(l.queue, func(q queued) bool { return q.conn == c })
}

// remove takes a connection off the queue that has closed.
func (l *netListener) remove(c *conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if i := l.find(c); i >= 0 {
		l.queue = slices.Delete(l.queue, i, i+1)
		l.changed.Broadcast()
	}
}

func (l *netListener) Accept() (net.Conn, error) {
	conn := l.accept()
	if conn == nil {
		return nil, l.opError("accept")
	}
	l.srv.wakeListeners()
	return conn, nil
}

// accept waits for a connection; nil means that none will come.
func (l *netListener) accept() net.Conn {
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		for i, q := range l.queue {
			if q.ready != nil {
				l.queue = slices.Delete(l.queue, i, i+1)
				return q.ready
			}
			if !q.late {
				break // it comes in a moment
			}
		}
		if l.closed && len(l.queue) == 0 {
			return nil
		}
		l.changed.Wait()
	}
}

// Close stops the server from accepting. Connections that nobody has taken are
// closed.
func (l *netListener) Close() error {
	if !l.end(false) {
		return l.opError("close")
	}
	l.srv.stop(ErrServerClosed, false)
	return nil
}

// end is Close as far as the queue goes, which may be left to Accept. It reports
// whether it was open.
func (l *netListener) end(keep bool) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed && (keep || len(l.queue) == 0) {
		return false
	}
	l.closed = true
	if !keep {
		for _, q := range l.queue {
			if q.ready != nil {
				_ = q.conn.stream.Close()
			}
		}
		l.queue = nil
	}
	l.changed.Broadcast()
	return true
}

func (l *netListener) Addr() net.Addr { return l.addr }

func (l *netListener) opError(op string) error {
	return &net.OpError{Op: op, Net: l.addr.Network(), Addr: l.addr, Err: net.ErrClosed}
}
