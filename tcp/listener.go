package tcp

import (
	"errors"
	"log/slog"
	"net"
	"os"
	"slices"
	"time"

	"github.com/eddyloop/eddy/internal/socket"
	"github.com/eddyloop/eddy/internal/streamhook"
	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
	"github.com/eddyloop/eddy/poller"
)

const (
	acceptBudget = 64 // connections accepted in one turn

	minPause = 5 * time.Millisecond // after errors that persist
	maxPause = time.Second
)

// How many bytes take about as long as accepting a connection, and as beginning with it, which
// is work of the turn too.
const (
	acceptWork = 16 << 10
	beginWork  = 64 << 10
)

// listener accepts on one socket.
type listener struct {
	srv  *Server
	addr net.Addr
	file os.FileInfo // of a Unix socket that is the server's to remove

	// Under Server.mu.
	fd       int
	shared   bool // it is one of several for its address, one for each loop
	adopted  bool // somebody else may have the socket
	handedOn bool // another process has the socket too
	released bool // fd is closed, or will be
	vacated  bool // fd stands for nothing that listens any more
	foreign  bool // and is somebody else's: not to be closed
	worker   *worker
	loop     *ioloop.Loop // nil: it does not accept yet

	// Of the loop alone.
	registration ioloop.Registration
	listening    bool          // the loop watches the socket
	sweeping     bool          // it takes the last connections
	pause        time.Duration // the present back-off, 0 when accepting goes well
	full         bool          // there was no room
	awaiting     bool          // the Budget tells when it has room
}

// foreignLocked reports whether somebody else may have the socket, who can make
// it block and give it a lingering close, which its connections inherit.
func (l *listener) foreignLocked() bool { return l.adopted || l.handedOn }

// openLocked has a loop accept.
func (l *listener) openLocked(w *worker) error {
	if l.released {
		return nil
	}
	l.worker, l.loop = w, w.loop
	return l.loop.Post(l.watch)
}

func (l *listener) watch() {
	l.srv.mu.Lock()
	released := l.released
	l.srv.mu.Unlock()
	if released { // by this loop; nobody else does once it has the listener
		return
	}
	registration, err := l.loop.Handle(l.fd, poller.Readable, l)
	if err != nil {
		l.Fail(err)
		return
	}
	l.registration, l.listening = registration, true
}

// HandleEvent accepts what is waiting, within the budget.
func (l *listener) HandleEvent(poller.Interest, poller.Hint) { l.acceptSome() }

// acceptSome accepts up to the budget of one turn, and reports whether more may
// be waiting that can be accepted.
func (l *listener) acceptSome() bool {
	lost := 0 // before they were accepted
	var c *conn
	var err error
	for range acceptBudget {
		c, err = l.srv.accept(l)
		switch {
		case err == nil:
			l.pause = 0
			if c != nil {
				c.start()
				if l.loop.Kit().Charge(acceptWork); l.loop.Kit().TurnUsedUp() {
					return true
				}
			}
		case err == ErrMaxConns || err == ErrMaxHandshakes || err == errQueueFull || err == ErrServerClosed:
			l.full = true
			l.listenFor(0)
			if err == ErrMaxHandshakes {
				l.retryHandshakes()
			}
			return false
		case err == iostream.ErrBudget:
			if l.awaitBudget() {
				return false
			}
		case socket.WouldBlock(err):
			return false
		case socket.ConnectionLost(err):
			lost++
		default:
			l.backOff(err)
			return false
		}
	}
	if lost == acceptBudget { // what every connection fails with is not theirs: a sandbox, for one
		l.backOff(err)
		return false
	}
	return true
}

// Fail implements ioloop.Failer. A hook that has panicked changes nothing: the
// loop has told of it, and the socket is as it was. Everything else ends the
// server: one that goes on without listening is of no use.
func (l *listener) Fail(err error) {
	var panicked *ioloop.PanicError
	if errors.As(err, &panicked) || err == ioloop.ErrGoexit {
		return
	}
	if l.srv.end(&net.OpError{Op: "accept", Net: l.addr.Network(), Addr: l.addr, Err: err}) {
		l.srv.logger().Error("cannot accept", slog.String("addr", l.addr.String()), slog.Any("err", err))
	}
	l.release()
}

// backOff stops accepting for a while: the connection stays in the backlog, so
// the listener would be readable again at once, and the loop spin.
func (l *listener) backOff(err error) {
	if l.pause == 0 {
		l.srv.logger().Warn("accepting is put off", slog.String("addr", l.addr.String()), slog.Any("err", err))
	}
	l.pause = min(max(minPause, 2*l.pause), maxPause)
	l.listenFor(0)
	l.loop.AfterFunc(l.pause, l.resume)
	l.tellPaused(err)
}

func (l *listener) tellPaused(err error) {
	l.srv.paused()
	if l.srv.Hooks.Paused != nil {
		l.srv.Hooks.Paused(l.addr, err)
	}
}

// awaitBudget stops accepting until the server's Budget has room. It returns false if it has.
func (l *listener) awaitBudget() bool {
	if !l.awaiting {
		tell := func() { _ = l.loop.Post(l.budgetRoom) }
		if !streamhook.WhenRoom(l.srv.Stream.Budget, tell) {
			return false
		}
		l.awaiting = true
		l.srv.logger().Warn("accepting is put off", slog.String("addr", l.addr.String()), slog.Any("err", iostream.ErrBudget))
		l.tellPaused(iostream.ErrBudget)
	}
	l.full = true
	l.listenFor(0)
	return true
}

func (l *listener) budgetRoom() {
	l.awaiting = false
	l.room()
}

func (srv *Server) paused() {
	srv.mu.Lock()
	srv.stats.AcceptPauses++
	srv.mu.Unlock()
}

func (l *listener) resume() {
	l.full = false
	l.listenFor(poller.Readable)
}

// room is called when there is room for a connection again.
func (l *listener) room() {
	if l.full {
		l.resume()
	}
}

func (l *listener) listenFor(interest poller.Interest) {
	if !l.listening {
		return
	}
	if err := l.loop.Update(l.registration, interest); err != nil {
		l.Fail(err)
	}
}

// close stops accepting, from any goroutine: the listener's loop releases it, if
// it has one. Where that does not run, nobody listens all the same.
func (l *listener) close() {
	l.srv.mu.Lock()
	defer l.srv.mu.Unlock()
	if l.loop == nil || l.loop.Kit().Schedule((*releasing)(l)) != nil {
		l.releaseLocked()
	} else if !l.released && !l.loop.Kit().Running() {
		l.abandonLocked()
	}
}

// sweep is close, but clients that have connected are accepted first.
func (l *listener) sweep() {
	l.srv.mu.Lock()
	defer l.srv.mu.Unlock()
	if l.loop == nil || l.loop.Kit().Schedule((*sweeping)(l)) != nil {
		l.releaseLocked()
	}
}

// releasing is a listener that its loop has to release.
type releasing listener

func (r *releasing) Run() { (*listener)(r).release() }

// sweeping is a listener that its loop has to release after a last sweep: clients
// that had connected, and may have sent something, are served. A socket that
// another process has goes on being accepted from there.
type sweeping listener

func (s *sweeping) Run() {
	l := (*listener)(s)
	l.srv.mu.Lock()
	l.sweeping = l.listening && !l.released && !l.foreignLocked()
	l.srv.mu.Unlock()
	if l.sweeping && l.acceptSome() && l.loop.Kit().Schedule(s) == nil {
		return
	}
	l.release()
}

func (l *listener) release() {
	l.srv.mu.Lock()
	defer l.srv.mu.Unlock()
	l.releaseLocked()
}

// releaseLocked closes the socket. The file goes first: after the socket it
// could be that of a successor, which has found it stale and taken its name.
func (l *listener) releaseLocked() {
	if l.released {
		return
	}
	l.released = true
	if l.listening {
		l.listening = false
		_ = l.loop.Remove(l.registration)
	}
	if !l.handedOn {
		socket.RemoveFile(l.addr, l.file)
	}
	if !l.foreign {
		_ = socket.Close(l.fd)
	}
	l.srv.forgetLocked(l)
}

// abandonLocked stops listening without the listener's loop, which may be using
// the descriptor: that stays, and stands for nothing that listens any more.
func (l *listener) abandonLocked() {
	if !l.handedOn {
		socket.RemoveFile(l.addr, l.file)
		l.file = nil
	}
	if !l.vacated {
		kept, err := socket.Vacate(l.fd)
		if err != nil {
			return
		}
		l.vacated, l.foreign = true, !kept
	}
	l.srv.forgetLocked(l)
}

// forgetLocked takes a listener off the list.
func (srv *Server) forgetLocked(l *listener) {
	if i := slices.Index(srv.listeners, l); i >= 0 {
		srv.listeners = slices.Delete(srv.listeners, i, i+1)
	}
	srv.checkIdleLocked()
}
