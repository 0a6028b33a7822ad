package tcp

import (
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
	backlog      = 4096 // the kernel lowers it to its own limit (somaxconn)
	acceptBudget = 64   // connections accepted in one turn
	minPause     = 5 * time.Millisecond
	maxPause     = time.Second
)

// listener accepts on one address. Its fields belong to its loop once it has
// one.
type listener struct {
	srv          *Server
	addr         net.Addr
	file         os.FileInfo // of a Unix socket
	fd           int
	loop         *ioloop.Loop
	registration ioloop.Registration
	listening    bool // the loop watches it
	released     atomic.Bool
	pause        time.Duration // the present back-off, 0 when accepting goes well
	full         bool          // there was no room
}

// listen returns a listener. If that fails, it has at most the address.
func listen(srv *Server, network, address string) (*listener, error) {
	l := &listener{srv: srv, fd: -1}
	addr, err := resolveListen(network, address)
	if err != nil {
		return l, err
	}
	l.addr = addr
	if l.fd, err = socket.Listen(addr, backlog); err != nil {
		return l, err
	}
	l.addr = socket.LocalAddr(l.fd)
	l.file = socket.File(l.addr)
	return l, nil
}

func listenError(network string, l *listener, err error) error {
	return &net.OpError{Op: "listen", Net: network, Addr: l.addr, Err: err}
}

func resolveListen(network, address string) (net.Addr, error) {
	switch network {
	case "unix":
		return &net.UnixAddr{Name: address, Net: network}, nil
	case "tcp", "tcp4", "tcp6":
	default:
		return nil, net.UnknownNetworkError(network)
	}
	addr, err := net.ResolveTCPAddr(network, address)
	if err != nil {
		return nil, err
	}
	if len(addr.IP) == 0 {
		switch network { // the wildcard of one family alone
		case "tcp4":
			addr.IP = net.IPv4zero
		case "tcp6":
			addr.IP = net.IPv6unspecified
		}
	}
	return addr, nil
}

// open has the loop accept.
func (l *listener) open(loop *ioloop.Loop) error {
	l.loop = loop
	return loop.Post(l.watch)
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
		conn, err := l.srv.accept(l.fd)
		switch {
		case err == nil:
			l.pause = 0
			conn.start()
		case err == errNoRoom:
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

// Fail implements ioloop.Failer. It ends the server: one that goes on without
// listening is of no use.
func (l *listener) Fail(err error) {
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
	socket.RemoveFile(l.addr, l.file)
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
