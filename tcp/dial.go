package tcp

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/eddyloop/eddy/internal/socket"
	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
	"github.com/eddyloop/eddy/poller"
)

// Dialer connects. The zero value is ready; its methods may be called from any
// goroutine.
type Dialer struct {
	// Stream sets up the streams. It must not be changed after the first Dial.
	Stream iostream.Config

	// TLS, if set, is what a handshake follows connecting with, as the client.
	// If it has no ServerName, that is the host of the address. It is not tried
	// with another address when it fails.
	TLS *tls.Config

	// Resolver looks names up. Nil is net.DefaultResolver.
	Resolver *net.Resolver
}

// Dial connects with a zero Dialer.
func Dial(ctx context.Context, l *ioloop.Loop, network, address string) (*iostream.Stream, error) {
	return new(Dialer).Dial(ctx, l, network, address)
}

// Dial connects to an address and returns a stream on l. The network is "tcp",
// "tcp4", "tcp6" or "unix". The addresses of a name are tried one after the
// other. Errors are *net.OpError, of several attempts joined. When ctx is done
// the attempt in progress is given up and its socket closed.
func (d *Dialer) Dial(ctx context.Context, l *ioloop.Loop, network, address string) (*iostream.Stream, error) {
	if err := ioloop.CheckContext(ctx); err != nil {
		return nil, dialError(network, nil, err)
	}
	if l == nil {
		return nil, dialError(network, nil, ErrInvalid)
	}
	if err := d.Stream.Check(); err != nil {
		return nil, dialError(network, nil, err)
	}
	addrs, err := d.resolve(ctx, network, address)
	if err != nil {
		return nil, dialError(network, nil, err)
	}
	var errs []error
	for _, addr := range addrs {
		fd, err := connect(ctx, l, addr)
		if err == nil {
			return d.open(ctx, l, addr, fd, network, address)
		}
		errs = append(errs, dialError(network, addr, err))
		if ctx.Err() != nil {
			break
		}
	}
	if len(errs) == 1 {
		return nil, errs[0]
	}
	return nil, errors.Join(errs...)
}

func (d *Dialer) open(ctx context.Context, l *ioloop.Loop, addr net.Addr, fd int, network, address string) (*iostream.Stream, error) {
	_ = socket.SetNoDelay(fd, true)
	s, err := iostream.NewSocket(l, fd, &d.Stream)
	if err != nil {
		_ = socket.Close(fd)
		return nil, dialError(network, addr, err)
	}
	if err := d.secure(ctx, s, network, address); err != nil {
		return nil, dialError(network, addr, err)
	}
	return s, nil
}

func dialError(network string, addr net.Addr, err error) error {
	return &net.OpError{Op: "dial", Net: network, Addr: addr, Err: err}
}

// resolve returns the addresses to try. Only names, not numbers, are looked up,
// on a goroutine.
func (d *Dialer) resolve(ctx context.Context, network, address string) ([]net.Addr, error) {
	family := "ip"
	switch network {
	case "unix":
		return []net.Addr{&net.UnixAddr{Name: address, Net: network}}, nil
	case "tcp4":
		family = "ip4"
	case "tcp6":
		family = "ip6"
	case "tcp":
	default:
		return nil, net.UnknownNetworkError(network)
	}
	host, service, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	port, err := net.LookupPort(network, service)
	if err != nil {
		return nil, err
	}
	ips, err := d.lookup(ctx, family, host)
	if err != nil {
		return nil, err
	}
	var addrs []net.Addr
	for _, ip := range ips {
		addrs = append(addrs, net.TCPAddrFromAddrPort(netip.AddrPortFrom(ip.Unmap(), uint16(port))))
	}
	if len(addrs) == 0 {
		return nil, &net.DNSError{Err: "no suitable address", Name: host, IsNotFound: true}
	}
	return addrs, nil
}

func (d *Dialer) lookup(ctx context.Context, family, host string) ([]netip.Addr, error) {
	if host == "" {
		host = "localhost"
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		if family == "ip" || ip.Unmap().Is4() == (family == "ip4") {
			return []netip.Addr{ip}, nil
		}
		return nil, nil
	}
	resolver := d.Resolver
	if resolver == nil {
		resolver = net.DefaultResolver
	}
	task, ok := ctx.(*ioloop.Task)
	if !ok {
		return resolver.LookupNetIP(ctx, family, host)
	}
	return ioloop.Await(task, func() ([]netip.Addr, error) {
		return resolver.LookupNetIP(task.Detach(), family, host)
	})
}

// connect returns a socket that is connected to addr.
func connect(ctx context.Context, l *ioloop.Loop, addr net.Addr) (int, error) {
	c := &connecting{loop: l, addr: addr, fd: -1}
	if err := c.waiter.Begin(ctx); err != nil {
		return -1, err
	}
	if err := l.Schedule(c); err != nil {
		return -1, err
	}
	err := errors.New("unwound") // if Wait does not return: the task's loop stops
	defer func() { c.abandon(err) }()
	if err = c.waiter.Wait(); err != nil {
		return -1, err
	}
	return c.fd, c.err
}

// connecting is an attempt to connect. It lives on the loop; its outcome is
// handed over under mu.
type connecting struct {
	loop         *ioloop.Loop
	addr         net.Addr
	registration ioloop.Registration
	registered   bool
	retry        time.Duration

	mu        sync.Mutex
	waiter    ioloop.Waiter
	abandoned bool
	done      bool
	fd        int
	err       error
}

// Run starts the attempt, or ends one that was abandoned.
func (c *connecting) Run() {
	c.mu.Lock()
	abandoned, done := c.abandoned, c.done
	c.mu.Unlock()
	if done {
		return
	}
	if abandoned {
		c.finish(context.Canceled)
		return
	}
	fd, connected, err := socket.Connect(c.addr)
	c.fd = fd
	switch {
	case err != nil && socket.WouldBlock(err) && c.addr.Network() == "unix":
		c.again()
	case err != nil:
		c.finish(os.NewSyscallError("connect", err))
	case connected:
		c.finish(nil)
	default:
		if c.registration, err = c.loop.Handle(fd, poller.Writable, c); err != nil {
			c.finish(err)
			return
		}
		c.registered = true
	}
}

// again tries once more in a while: the backlog of a Unix listener is full, and
// no readiness tells when it is not any more. A timer of the loop's would be
// dropped when the loop closes.
func (c *connecting) again() {
	c.retry = min(max(time.Millisecond, 2*c.retry), 100*time.Millisecond)
	time.AfterFunc(c.retry, func() {
		if err := c.loop.Schedule(c); err != nil {
			c.finish(err)
		}
	})
}

// HandleEvent looks for the outcome.
func (c *connecting) HandleEvent(poller.Interest, poller.Hint) {
	if err := socket.Connected(c.fd); !socket.InProgress(err) {
		c.finish(os.NewSyscallError("connect", err))
	}
}

// Fail implements ioloop.Failer: the loop is closing.
func (c *connecting) Fail(err error) { c.finish(err) }

// finish ends the attempt. Unless it is a success that is still wanted, the
// socket is closed.
func (c *connecting) finish(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.done {
		return
	}
	c.done = true
	if c.registered {
		_ = c.loop.Remove(c.registration)
	}
	if (err != nil || c.abandoned) && c.fd >= 0 {
		_ = socket.Close(c.fd)
		c.fd = -1
	}
	c.err = err
	c.waiter.Wake()
}

// abandon gives the attempt up if the wait for it has failed with err.
func (c *connecting) abandon(err error) {
	if err == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case !c.done:
		c.abandoned = true
		_ = c.loop.Schedule(c)
	case c.fd >= 0: // the outcome came at the last moment
		_ = socket.Close(c.fd)
	}
}
