package tcp

import (
	"context"
	"errors"
	"net"
	"os"
	"sync"
	"time"

	"github.com/eddyloop/eddy/internal/socket"
	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/poller"
)

// connect returns a socket that is connected to one of addrs, and to which.
func (d *Dialer) connect(ctx context.Context, l *ioloop.Loop, network string, addrs []net.Addr) (int, net.Addr, error) {
	w := &dialing{network: network, fd: -1}
	w.race = race{loop: l, addrs: addrs, delay: d.fallbackDelay(), failed: w.failed, done: w.ended}
	w.race.connect = traceConnects(ctx, network, func(addr net.Addr, ended func(int, error)) func() {
		c := &connecting{loop: l, addr: addr, fd: -1, ended: ended}
		c.begin(d)
		return c.cancel
	})
	if err := w.waiter.Begin(ctx); err != nil {
		return -1, nil, dialError(network, nil, err)
	}
	if err := l.Kit().Schedule(w); err != nil {
		return -1, nil, dialError(network, nil, err)
	}
	return w.wait()
}

// dialing is a race and the caller who waits for it. The race belongs to the
// loop; what it comes to is handed over under mu.
type dialing struct {
	network string
	race    race

	mu        sync.Mutex
	waiter    ioloop.Waiter
	abandoned bool
	done      bool
	fd        int
	addr      net.Addr
	errs      []error // *net.OpError of attempts that have failed
}

// wait is done with the race when it returns, also if it does not return
// because the loop of the task that waits stops.
func (w *dialing) wait() (int, net.Addr, error) {
	err := errors.New("unwound")
	defer func() {
		if err != nil {
			w.abandon()
		}
	}()
	err = w.waiter.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil {
		return -1, nil, joinErrors(w.errs, dialError(w.network, nil, err))
	}
	if w.fd < 0 {
		return -1, nil, joinErrors(w.errs)
	}
	return w.fd, w.addr, nil
}

// joinErrors joins what has several causes and leaves alone what has one.
func joinErrors(errs []error, further ...error) error {
	all := append(append([]error(nil), errs...), further...)
	if len(all) == 1 {
		return all[0]
	}
	return errors.Join(all...)
}

// Run begins the race, or ends one that was abandoned.
func (w *dialing) Run() {
	w.mu.Lock()
	abandoned, done := w.abandoned, w.done
	w.done = done || abandoned
	w.mu.Unlock()
	switch {
	case done:
	case abandoned:
		w.race.cancel()
	default:
		w.race.next()
	}
}

func (w *dialing) failed(addr net.Addr, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.errs = append(w.errs, dialError(w.network, addr, err))
}

func (w *dialing) ended(fd int, addr net.Addr) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.done = true
	if w.abandoned && fd >= 0 {
		_ = socket.Close(fd)
		fd = -1
	}
	w.fd, w.addr = fd, addr
	w.race.loop.Kit().WakeWaiter(&w.waiter)
}

// abandon has the loop give the race up.
func (w *dialing) abandon() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.abandoned = true
	if !w.done {
		_ = w.race.loop.Kit().Schedule(w) // a loop that is closed has ended the race itself
	} else if w.fd >= 0 { // the outcome came at the last moment
		_ = socket.Close(w.fd)
		w.fd = -1
	}
}

// connecting is an attempt to connect to one address, on the loop.
type connecting struct {
	loop         *ioloop.Loop
	addr         net.Addr
	ended        func(fd int, err error)
	fd           int
	registration ioloop.Registration
	pause        time.Duration // before the next try, at a Unix socket
	timer        *ioloop.Timer
	over         bool
}

// begin makes the socket. The loop knows of it from then on, so that it tells
// when it closes.
func (c *connecting) begin(d *Dialer) {
	var err error
	if c.fd, err = socket.New(c.addr); err != nil {
		c.finish(os.NewSyscallError("socket", err))
		return
	}
	if err = d.Socket.set(c.fd, c.addr); err == nil {
		err = d.Socket.control(c.fd, c.addr)
	}
	if err != nil {
		c.finish(err)
		return
	}
	if d.LocalAddr != nil {
		if err = socket.Bind(c.fd, localFor(d.LocalAddr, c.addr)); err != nil {
			c.finish(os.NewSyscallError("bind", err))
			return
		}
	}
	if c.registration, err = c.loop.Handle(c.fd, 0, c); err != nil {
		c.finish(err)
		return
	}
	c.try()
}

// localFor returns local as an address of remote's family: without IP it stands
// for the wildcard of either.
func localFor(local, remote net.Addr) net.Addr {
	l, ok := local.(*net.TCPAddr)
	r, _ := remote.(*net.TCPAddr)
	if !ok || len(l.IP) > 0 || r == nil {
		return local
	}
	if r.IP.To4() != nil {
		return &net.TCPAddr{IP: net.IPv4zero, Port: l.Port}
	}
	return &net.TCPAddr{IP: net.IPv6unspecified, Port: l.Port}
}

func (c *connecting) try() {
	connected, err := socket.Connect(c.fd, c.addr)
	switch {
	case err != nil && socket.WouldBlock(err) && c.addr.Network() == "unix":
		// The backlog of the listener is full, and no readiness tells when it is not
		// any more.
		c.pause = min(max(time.Millisecond, 2*c.pause), 100*time.Millisecond)
		c.timer = c.loop.AfterFunc(c.pause, c.try)
	case err != nil:
		c.finish(os.NewSyscallError("connect", err))
	case connected:
		c.finish(nil)
	default:
		if err := c.loop.Update(c.registration, poller.Writable); err != nil {
			c.finish(err)
		}
	}
}

// HandleEvent looks for the outcome.
func (c *connecting) HandleEvent(poller.Interest, poller.Hint) {
	if err := socket.Connected(c.fd); !socket.InProgress(err) {
		c.finish(os.NewSyscallError("connect", err))
	}
}

// Fail implements ioloop.Failer: the loop is closing.
func (c *connecting) Fail(err error) { c.finish(err) }

// finish ends the attempt with a socket or an error.
func (c *connecting) finish(err error) {
	if c.over {
		return
	}
	c.release(err == nil)
	c.ended(c.fd, err)
}

// cancel gives the attempt up.
func (c *connecting) cancel() {
	if !c.over {
		c.release(false)
	}
}

// release lets go of everything but, if it is wanted, the socket.
func (c *connecting) release(keep bool) {
	c.over = true
	if c.timer != nil {
		c.timer.Stop()
	}
	if c.registration != (ioloop.Registration{}) {
		_ = c.loop.Remove(c.registration)
	}
	if !keep && c.fd >= 0 {
		_ = socket.Close(c.fd)
		c.fd = -1
	}
}
