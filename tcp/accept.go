package tcp

import (
	"errors"
	"net"
	"slices"

	"github.com/eddyloop/eddy/internal/socket"
	"github.com/eddyloop/eddy/internal/streamhook"
	"github.com/eddyloop/eddy/iostream"
)

// errQueueFull: nobody has called Accept for the connections that wait for it.
var errQueueFull = errors.New("tcp: connections wait for Accept")

// acceptOwn is a variable for tests.
var acceptOwn = socket.Accept

// accept takes a connection from a listener; it returns nil and no error for
// one that it has refused. Without room and with OverloadQueue it returns why
// there is none.
func (srv *Server) accept(l *listener) (*conn, error) {
	if b := srv.Stream.Budget; b.Full() {
		streamhook.Relieve(b) // who knocks need not wait until those that hold it are told
	}
	c, refusal, err := srv.admit(l)
	if err == nil && refusal != nil {
		srv.refused(l.addr, refusal)
		return nil, nil
	}
	return c, err
}

// admit accepts under the lock, so that no connection goes beyond a limit and
// none comes after the end. It returns why it has closed the connection.
func (srv *Server) admit(l *listener) (c *conn, refusal, err error) {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	if l.released || l.vacated || srv.forcing || srv.cause != nil && !l.sweeping {
		return nil, nil, ErrServerClosed
	}
	refusal = srv.fullLocked()
	displaces := refusal == ErrMaxHandshakes && srv.shaking[0].patience() <= 0
	if displaces {
		refusal = nil
	}
	if refusal != nil && (srv.Overload == OverloadQueue || refusal == errQueueFull) {
		srv.wanting = true
		return nil, nil, refusal
	}
	accept, own := acceptOwn, !l.foreignLocked()
	if !own {
		accept = socket.AcceptShared
	}
	fd, peer, err := accept(l.fd)
	if err != nil {
		return nil, nil, err
	}
	if refusal != nil {
		_ = socket.Close(fd)
		srv.stats.Refused++
		return nil, refusal, nil
	}
	if displaces {
		srv.makeWayLocked()
	}
	c = srv.newConnLocked(srv.workerFor(l))
	c.fd, c.peer, c.own = int32(fd), peer, own
	return c, nil, nil
}

// newConnLocked counts a connection in.
func (srv *Server) newConnLocked(w *worker) *conn {
	w.open++
	srv.open++
	srv.stats.Accepted++
	c := &conn{srv: srv, worker: w, fd: -1, waiting: srv.handshakes()}
	srv.beginHandshakeLocked(c)
	if srv.net != nil {
		srv.net.expect(c)
	}
	return c
}

// fullLocked returns why there is no room for a connection, nil if there is.
func (srv *Server) fullLocked() error {
	switch {
	case srv.MaxConns > 0 && srv.open >= srv.MaxConns:
		return ErrMaxConns
	case srv.handshakes() && len(srv.shaking) >= srv.maxHandshakes():
		return ErrMaxHandshakes
	case srv.queueFull():
		return errQueueFull
	case srv.Stream.Budget.Full():
		return iostream.ErrBudget
	}
	return nil
}

// queueFull reports whether a NetListener has as many connections as may wait.
func (srv *Server) queueFull() bool {
	return srv.net != nil && srv.net.full() || slices.ContainsFunc(srv.fed, (*NetListener).full)
}

// handshakes reports whether connections have to say something before they are
// served.
func (srv *Server) handshakes() bool { return srv.TLS != nil || srv.ProxyProtocol != nil }

// workerFor returns the loop for a connection: the listener's if every loop has
// one of its own, else the one that has the fewest.
func (srv *Server) workerFor(l *listener) *worker {
	if l.shared {
		return l.worker
	}
	best := srv.workers[0]
	for _, w := range srv.workers[1:] {
		if w.open < best.open {
			best = w
		}
	}
	return best
}

// refused tells that a connection was closed unserved.
func (srv *Server) refused(addr net.Addr, reason error) {
	if srv.Hooks.Refused != nil {
		srv.Hooks.Refused(addr, reason)
	}
}

// gone counts a connection out.
func (srv *Server) gone(w *worker, silent bool) {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	w.open--
	srv.open--
	if srv.cause != nil && !srv.forcing {
		if silent {
			srv.drain.Silent++
		} else {
			srv.drain.Drained++
		}
	}
	srv.wakeListenersLocked()
	srv.checkIdleLocked()
}

// wakeListenersLocked has listeners accept again that had no room, if there is
// some now.
func (srv *Server) wakeListenersLocked() {
	if !srv.wanting || srv.fullLocked() != nil {
		return
	}
	srv.wanting = false
	for _, l := range srv.listeners {
		if l.loop != nil {
			_ = l.loop.Post(l.room)
		}
	}
}

func (srv *Server) wakeListeners() {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	srv.wakeListenersLocked()
}

func (srv *Server) countHandshakeError() {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	srv.stats.HandshakeErrors++
}

func (srv *Server) countHandler(n int) {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	srv.stats.Handlers += n
}

// ending reports whether the server has been told to end.
func (srv *Server) ending() bool {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	return srv.cause != nil
}
