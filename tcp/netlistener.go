package tcp

import (
	"fmt"
	"net"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/eddyloop/eddy/iostream"
)

// NetListener returns a net.Listener for packages that serve one, like
// net/http. The server must serve too:
//
//	srv := new(tcp.Server)
//	srv.Listen("tcp", ":8080")
//	listener, err := srv.NetListener()
//	go srv.Serve(ctx)
//	http.Serve(listener, handler)
//
// Without a Handler or Callback, all connections go to the listener, in the
// order in which the clients have connected, and there can be only one
// listener. With a Handler or Callback, which must be set before, a listener
// gets the connections that NetListener.Deliver is called for: one port can
// serve several protocols, with a listener for each.
//
// NetListener returns ErrInvalid if the server has a Message, if Serve was
// called, or for a second listener without a Handler or Callback.
func (srv *Server) NetListener() (*NetListener, error) {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	all := srv.styles() == 0
	if srv.Message != nil || srv.started || all && (srv.net != nil || len(srv.fed) > 0) {
		return nil, fmt.Errorf("%w: the server serves already, has a Message, or needs a Callback for another listener", ErrInvalid)
	}
	l := &NetListener{srv: srv, addr: nowhere{}}
	if len(srv.listeners) > 0 {
		l.addr = srv.listeners[0].addr
	}
	l.changed.L = &l.mu
	if all {
		srv.net = l
	} else {
		srv.fed = append(srv.fed, l)
	}
	return l, nil
}

// maxQueued is how many connections may wait for Accept.
const maxQueued = 16

// NetListener is a net.Listener whose connections a Server accepts; see
// [Server.NetListener]. It has the methods that packages look for in a
// *net.TCPListener. They may be called from any goroutine. Errors are
// *net.OpError.
//
// At most 16 connections wait for Accept; further ones stay in the kernel's
// backlog. A waiting connection that its client resets before it has sent
// anything is dropped.
type NetListener struct {
	srv  *Server
	addr net.Addr

	// mu may be taken under Server.mu, and not the other way round.
	mu       sync.Mutex
	changed  sync.Cond // queue, closed or deadline
	queue    []queued
	closed   bool
	deadline time.Time
	alarm    *time.Timer // rings at deadline, nil: there is none
}

// queued is a connection in the order of acceptance.
type queued struct {
	conn   *conn // nil: it was delivered
	stream *iostream.Stream
	ready  net.Conn // nil: it is not there yet
	late   bool     // it is not waited for: its client has something to say first
}

// nowhere is the address of a server that had none yet.
type nowhere struct{}

func (nowhere) Network() string { return "tcp" }
func (nowhere) String() string  { return "" }

func (l *NetListener) full() bool { return l.waiting() >= maxQueued }

// waiting returns how many connections wait for Accept, or will in a moment.
func (l *NetListener) waiting() (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, q := range l.queue {
		if q.ready != nil || !q.late { // MaxHandshakes bounds the others
			n++
		}
	}
	return n
}

// expect keeps a place for a connection that was accepted.
func (l *NetListener) expect(c *conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.queue = append(l.queue, queued{conn: c, late: c.waiting})
}

// offer has Accept return a connection. One that has lost its place, because the
// listener was closed, is closed.
func (l *NetListener) offer(c *conn, ready net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	i := l.find(c)
	if i < 0 {
		_ = c.stream.Close()
		return
	}
	l.queue[i].stream, l.queue[i].ready = c.stream, ready
	l.changed.Broadcast()
}

func (l *NetListener) find(c *conn) int {
	return slices.IndexFunc(l.queue, func(q queued) bool { return q.conn == c })
}

// remove takes a connection off the queue that has closed: c, or if that is nil, the
// one of s.
func (l *NetListener) remove(c *conn, s *iostream.Stream) {
	l.mu.Lock()
	defer l.mu.Unlock()
	i := slices.IndexFunc(l.queue, func(q queued) bool { return q.conn == c && (c != nil || q.stream == s) })
	if i >= 0 {
		l.queue = slices.Delete(l.queue, i, i+1)
		l.changed.Broadcast()
	}
}

// Accept waits for a connection and returns it as iostream.Stream.NetConn does.
// It blocks its goroutine. It fails with net.ErrClosed when the listener is
// closed, or the server has ended and no connection waits, and with
// os.ErrDeadlineExceeded after the deadline.
//
// With Server.TLS and neither Handler nor Callback, the connection is a
// *tls.Conn whose handshake is over, so net/http serves HTTP/2 if the client
// has agreed on it (give TLS.NextProtos "h2" and "http/1.1"). Use http.Serve:
// http.ServeTLS and tls.NewListener would run TLS within TLS, and each client
// would be told that it has sent an HTTP request to an HTTPS server.
func (l *NetListener) Accept() (net.Conn, error) {
	conn, err := l.accept()
	if err != nil {
		return nil, l.opError("accept", err)
	}
	l.srv.wakeListeners()
	return conn, nil
}

func (l *NetListener) accept() (net.Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		for i, q := range l.queue {
			if q.ready != nil {
				l.queue = slices.Delete(l.queue, i, i+1)
				return q.ready, nil
			}
			if !q.late {
				break // it comes in a moment
			}
		}
		switch {
		case l.closed && len(l.queue) == 0:
			return nil, net.ErrClosed
		case !l.deadline.IsZero() && !time.Now().Before(l.deadline):
			return nil, os.ErrDeadlineExceeded
		}
		l.changed.Wait()
	}
}

// SetDeadline has Accept fail with os.ErrDeadlineExceeded from t on, also a
// call that waits already. The zero Time is no deadline. Connections that wait
// are still returned.
func (l *NetListener) SetDeadline(t time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return l.opError("set", net.ErrClosed)
	}
	l.deadline = t
	if l.alarm != nil {
		l.alarm.Stop()
		l.alarm = nil
	}
	if !t.IsZero() {
		l.alarm = time.AfterFunc(time.Until(t), l.changed.Broadcast)
	}
	l.changed.Broadcast()
	return nil
}

// Close closes the connections that wait for Accept. Connections that Accept
// has returned stay open. If all connections of the server go to the listener,
// Close also ends the server: Serve returns when the last of them has closed.
// (After Shutdown, connections that wait can still be accepted.) Otherwise only
// Deliver fails from then on.
func (l *NetListener) Close() error {
	if !l.end(false) {
		return l.opError("close", net.ErrClosed)
	}
	if l.srv.net == l {
		l.srv.stop(ErrServerClosed, false)
	}
	return nil
}

// end is Close as far as the queue goes, which may be left to Accept. It reports
// whether it was open.
func (l *NetListener) end(keep bool) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed && (keep || len(l.queue) == 0) {
		return false
	}
	l.closed = true
	if !keep {
		for _, q := range l.queue {
			if q.ready != nil {
				_ = q.stream.Close()
			}
		}
		l.queue = nil
	}
	if l.alarm != nil {
		l.alarm.Stop()
	}
	l.changed.Broadcast()
	return true
}

// Addr returns the first address that the server listened on when NetListener
// was called. If there was none, the address has no meaning.
func (l *NetListener) Addr() net.Addr { return l.addr }

func (l *NetListener) opError(op string, err error) error {
	return &net.OpError{Op: op, Net: l.addr.Network(), Addr: l.addr, Err: err}
}
