package tcp

import (
	"errors"
	"log/slog"
	"net"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"github.com/eddyloop/eddy/internal/socket"
	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/poller"
)

const (
	acceptBudget = 64 // connections accepted in one turn
	minPause     = 5 * time.Millisecond
	maxPause     = time.Second
)

// listener accepts on one socket. Its fields belong to its loop once it has
// one.
type listener struct {
	srv          *Server
	addr         net.Addr
	file         os.FileInfo // of a Unix socket that is the server's to remove
	fd           int
	shared       bool // it is one of several for its address, one for each loop
	adopted      bool // somebody else may have the socket
	worker       *worker
	loop         *ioloop.Loop
	registration ioloop.Registration
	listening    bool // the loop watches it
	released     atomic.Bool
	handedOn     atomic.Bool   // another process has the socket too
	pause        time.Duration // the present back-off, 0 when accepting goes well
	full         bool          // there was no room
}

// foreign reports whether somebody else may have the socket, who can make it
// block and give it a lingering close, which its connections inherit.
func (l *listener) foreign() bool { return l.adopted || l.handedOn.Load() }

// open has a loop accept.
func (l *listener) open(w *worker) error {
	l.worker, l.loop = w, w.loop
	return l.loop.Post(l.watch)
}

func (l *listener) watch() {
	if l.released.Load() {
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
func (l *listener) HandleEvent(poller.Interest, poller.Hint) {
	for range acceptBudget {
		conn, err := l.srv.accept(l)
		switch {
		case err == nil:
			l.pause = 0
			if conn != nil {
				conn.start()
			}
		case err == ErrMaxConns || err == ErrServerClosed:
			l.full = true
			l.listenFor(0)
			return
		case socket.WouldBlock(err):
			return
		case !socket.ConnectionLost(err):
			l.backOff(err)
			return
		}
	}
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
	l.srv.paused()
	l.pause = min(max(minPause, 2*l.pause), maxPause)
	l.listenFor(0)
	l.loop.AfterFunc(l.pause, l.resume)
	if l.srv.Hooks.Paused != nil {
		l.srv.Hooks.Paused(l.addr, err)
	}
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

// close stops accepting, from any goroutine.
func (l *listener) close() {
	if l.loop == nil || l.loop.Schedule((*releasing)(l)) != nil {
		l.release()
	}
}

// releasing is a listener that its loop has to release.
type releasing listener

func (r *releasing) Run() { (*listener)(r).release() }

// release closes the socket. The file goes first: after the socket it could be
// that of a successor, which has found it stale and taken its name.
func (l *listener) release() {
	if l.fd < 0 || l.released.Swap(true) {
		return
	}
	if l.listening {
		l.listening = false
		_ = l.loop.Remove(l.registration)
	}
	if !l.handedOn.Load() {
		socket.RemoveFile(l.addr, l.file)
	}
	_ = socket.Close(l.fd)
	l.srv.forget(l)
}

// forget takes a listener that is closed off the list.
func (srv *Server) forget(l *listener) {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	if i := slices.Index(srv.listeners, l); i >= 0 {
		srv.listeners = slices.Delete(srv.listeners, i, i+1)
	}
	srv.checkIdleLocked()
}
