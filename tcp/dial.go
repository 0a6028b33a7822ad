package tcp

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/eddyloop/eddy/internal/socket"
	"github.com/eddyloop/eddy/internal/streamhook"
	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
)

// Dialer connects. The zero value is ready. Its methods may be called from any
// goroutine. Its fields must not be changed after the first call.
type Dialer struct {
	// Stream sets up the streams.
	Stream iostream.Config

	// Socket sets up the sockets.
	Socket SocketOptions

	// DialContext puts its connections on Loop, or else on the loops of Group
	// in turn. The other methods are given a loop.
	Loop  *ioloop.Loop
	Group *ioloop.Group

	// TLS, if set, makes a TLS client of each connection before it is returned.
	// If it has no ServerName, the host of the address is used. A failed
	// handshake is not tried again with another address.
	TLS *tls.Config

	// Resolver looks names up. Nil is net.DefaultResolver.
	Resolver *net.Resolver

	// LocalAddr is the local address, a *net.TCPAddr or *net.UnixAddr to match
	// the network. Of a name, only addresses of its family are tried. Nil
	// leaves the choice to the system.
	LocalAddr net.Addr

	// Timeout is how long a Dial may take, with the look-up of the name and the
	// TLS handshake. 0 is no limit but the context.
	Timeout time.Duration

	// FallbackDelay is how long after the start of an attempt the next address
	// of a name is tried beside it, on the clock of the loop. 0 is
	// DefaultFallbackDelay (250 ms). Below 0, an address is tried only after
	// the one before has failed.
	FallbackDelay time.Duration
}

// DefaultFallbackDelay is what a Dialer.FallbackDelay of 0 stands for, the
// Connection Attempt Delay that RFC 8305 recommends.
const DefaultFallbackDelay = 250 * time.Millisecond

// Dial is Dialer.Dial with a zero Dialer.
func Dial(ctx context.Context, l *ioloop.Loop, network, address string) (*iostream.Stream, error) {
	return new(Dialer).Dial(ctx, l, network, address)
}

// Dial connects to an address and returns a stream on l. The network is "tcp",
// "tcp4", "tcp6" or "unix". With an *ioloop.Task as ctx it suspends the task;
// with any other context it blocks the goroutine, and l must run.
//
// If a name has several addresses, Dial races them as RFC 8305 says ("happy
// eyeballs"): the families alternate, an attempt begins when the one before has
// failed or after FallbackDelay, and the first to connect wins. Both families
// are looked up at once, as net.Resolver does.
//
// Errors are *net.OpError; those of several attempts are joined. When ctx is
// done, all attempts end and their sockets are closed. An httptrace.ClientTrace
// in ctx is told of the look-up (DNSStart, DNSDone) on the caller's goroutine
// or the resolver's, and of each attempt (ConnectStart, ConnectDone) on the
// loop.
func (d *Dialer) Dial(ctx context.Context, l *ioloop.Loop, network, address string) (*iostream.Stream, error) {
	if err := ioloop.CheckContext(ctx); err != nil {
		return nil, dialError(network, nil, err)
	}
	if l == nil {
		return nil, dialError(network, nil, ErrInvalid)
	}
	if err := d.check(); err != nil {
		return nil, dialError(network, nil, err)
	}
	ctx, cancel := d.limit(ctx)
	defer cancel()
	if _, ok := ctx.(*ioloop.Task); !ok {
		if err := ioloop.MayBlock(); err != nil {
			return nil, dialError(network, nil, err)
		}
	}
	addrs, err := d.resolve(ctx, network, address)
	if err != nil {
		return nil, dialError(network, nil, err)
	}
	fd, addr, err := d.connect(ctx, l, network, addrs)
	if err != nil {
		return nil, err
	}
	s, err := d.open(l, network, addr, fd)
	if err != nil {
		return nil, err
	}
	if err := d.secure(ctx, s, network, address); err != nil {
		return nil, dialError(network, addr, err)
	}
	return s, nil
}

// limit returns ctx with Timeout.
func (d *Dialer) limit(ctx context.Context) (context.Context, context.CancelFunc) {
	if d.Timeout == 0 {
		return ctx, func() {}
	}
	if task, ok := ctx.(*ioloop.Task); ok {
		limited, cancel := task.WithTimeout(d.Timeout)
		return limited, context.CancelFunc(cancel)
	}
	return context.WithTimeout(ctx, d.Timeout)
}

func (d *Dialer) open(l *ioloop.Loop, network string, addr net.Addr, fd int) (*iostream.Stream, error) {
	s, err := streamhook.NewPrepared(l, fd, socket.AddressOf(addr), &d.Stream)
	if err != nil {
		_ = socket.Close(fd)
		return nil, dialError(network, addr, err)
	}
	return s.(*iostream.Stream), nil
}

func (d *Dialer) check() error {
	if err := d.Socket.check(); err != nil {
		return err
	}
	if d.Timeout < 0 {
		return fmt.Errorf("%w: negative Timeout", ErrInvalid)
	}
	if d.LocalAddr == (*net.TCPAddr)(nil) || d.LocalAddr == (*net.UnixAddr)(nil) {
		return fmt.Errorf("%w: LocalAddr holds a nil pointer", ErrInvalid)
	}
	return streamhook.CheckConfig(&d.Stream)
}

func (d *Dialer) fallbackDelay() time.Duration {
	if d.FallbackDelay == 0 {
		return DefaultFallbackDelay
	}
	return d.FallbackDelay
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
		if _, ok := d.LocalAddr.(*net.UnixAddr); !ok && d.LocalAddr != nil {
			return nil, errLocalAddr
		}
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
	if ips, err = d.reachable(ips); err != nil {
		return nil, err
	}
	var addrs []net.Addr
	for _, ip := range interleave(ips) {
		addrs = append(addrs, net.TCPAddrFromAddrPort(netip.AddrPortFrom(ip, uint16(port))))
	}
	if len(addrs) == 0 {
		return nil, &net.DNSError{Err: "no suitable address", Name: host, IsNotFound: true}
	}
	return addrs, nil
}

var errLocalAddr = fmt.Errorf("%w: LocalAddr is not of the network", ErrInvalid)

// reachable returns, unmapped, the addresses that LocalAddr can reach.
func (d *Dialer) reachable(ips []netip.Addr) ([]netip.Addr, error) {
	local, ok := d.LocalAddr.(*net.TCPAddr)
	if !ok && d.LocalAddr != nil {
		return nil, errLocalAddr
	}
	var reachable []netip.Addr
	for _, ip := range ips {
		ip = ip.Unmap()
		if local == nil || len(local.IP) == 0 || ip.Is4() == (local.IP.To4() != nil) {
			reachable = append(reachable, ip)
		}
	}
	return reachable, nil
}

// interleave has the families take turns, from that of the first address on.
func interleave(ips []netip.Addr) []netip.Addr {
	var first, second, mixed []netip.Addr
	for _, ip := range ips {
		if ip.Is4() == ips[0].Is4() {
			first = append(first, ip)
		} else {
			second = append(second, ip)
		}
	}
	for len(first) > 0 || len(second) > 0 {
		if len(first) > 0 {
			mixed, first = append(mixed, first[0]), first[1:]
		}
		if len(second) > 0 {
			mixed, second = append(mixed, second[0]), second[1:]
		}
	}
	return mixed
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
		return resolver.LookupNetIP(resolverContext(ctx), family, host)
	}
	return ioloop.Await(task, func() ([]netip.Addr, error) {
		return resolver.LookupNetIP(task.Detach(), family, host)
	})
}
