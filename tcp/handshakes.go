package tcp

import (
	"slices"
	"time"
)

// handshakeGrace is which part of the time that a handshake may take nobody makes way in.
const handshakeGrace = 4

// beginHandshakeLocked counts a connection that was accepted, if it has to say something first.
func (srv *Server) beginHandshakeLocked(c *conn) {
	if !srv.handshakes() {
		return
	}
	c.shaking, c.since = true, c.worker.loop.Now()
	srv.shaking = append(srv.shaking, c)
}

// endHandshake counts a connection out that has said what it had to, or has closed.
func (srv *Server) endHandshake(c *conn) {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	if c.shaking {
		srv.forgetHandshakeLocked(c)
		srv.wakeListenersLocked()
	}
}

func (srv *Server) forgetHandshakeLocked(c *conn) {
	c.shaking = false
	i := slices.Index(srv.shaking, c)
	srv.shaking = slices.Delete(srv.shaking, i, i+1)
}

// makeWayLocked has the oldest handshake end for a new one.
func (srv *Server) makeWayLocked() {
	oldest := srv.shaking[0]
	srv.forgetHandshakeLocked(oldest)
	_ = oldest.worker.loop.Kit().Schedule((*displaced)(oldest))
}

// patience is how long the connection may still shake hands though others wait. A burst of
// clients so waits in the backlog rather than undo itself.
func (c *conn) patience() time.Duration {
	return c.since + c.srv.handshakeTimeout()/handshakeGrace - c.worker.loop.Now()
}

// displaced is a connection that makes way for another.
type displaced conn

func (d *displaced) Run() {
	if d.stream != nil && d.waiting {
		d.stream.Abort(ErrMaxHandshakes)
	}
}

// retryHandshakes has the listener look again when the oldest handshake has had its time.
func (l *listener) retryHandshakes() {
	l.srv.mu.Lock()
	defer l.srv.mu.Unlock()
	if len(l.srv.shaking) > 0 {
		l.loop.AfterFunc(max(1, l.srv.shaking[0].patience()), l.room)
	}
}
