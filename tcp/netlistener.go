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

// NetListener returns a net.Listener for packages that serve one, like net/http. The
// server has to serve too:
//
//	srv := new(tcp.Server)
//	srv.Listen("tcp", ":8080")
//	listener, err := srv.NetListener()
//	go srv.Serve(ctx)
//	http.Serve(listener, handler)
//
// Without a Handler or Callback, all connections go to the listener, of which there is
// one, in the order in which the clients have connected. With a Handler or Callback, set
// before, only those that NetListener.Deliver is called for do: one port can serve
// several protocols, with a listener for each.
//
// It returns ErrInvalid if the server has a Message, if Serve was called, or for a
// second listener without a Handler or Callback.
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
// Server.NetListener. It has what code looks for in a *net.TCPListener. Its methods may
// be called from any goroutine. Errors are *net.OpError.
//
// No more than 16 connections wait for Accept; further ones stay in the kernel's
// backlog. One whose client resets it while it waits, and has sent nothing,
// is dropped.
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

// Accept waits for a connection and returns what iostream.Stream.NetConn does. With
// Server.TLS and neither Handler nor Callback it is a *tls.Conn over that, whose
// handshake is over, so that net/http serves HTTP/2 if the client has agreed on it (give
// TLS.NextProtos "h2" and "http/1.1"). Serve that by http.Serve: http.ServeTLS and
// tls.NewListener would do TLS within TLS, which nobody can tell before a client comes;
// each is then told that it has sent an HTTP request to an HTTPS server. Accept fails with net.ErrClosed once the listener is
// closed or the server has ended and no connection waits, and with
// os.ErrDeadlineExceeded when the deadline has passed.
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

// SetDeadline has Accept fail with os.ErrDeadlineExceeded from t on, also where it waits
// already; a zero t is never. Connections that wait are returned all the same.
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

// Close closes the connections that wait for Accept, and leaves those alone that it has
// returned. If all connections go to the listener, it ends the server, too: Serve
// returns when the last of them has closed. (Shutdown leaves what waits to Accept.)
// Otherwise only Deliver fails from now on.
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

// Addr returns the first address that the server was bound to when NetListener was
// called; of an address that is none if there was no such.
func (l *NetListener) Addr() net.Addr { return l.addr }

func (l *NetListener) opError(op string, err error) error {
	return &net.OpError{Op: op, Net: l.addr.Network(), Addr: l.addr, Err: err}
}
