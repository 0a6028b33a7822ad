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

// Dialer connects. The zero value is ready; its methods may be called from any
// goroutine.
type Dialer struct {
	// Stream sets up the streams. It must not be changed after the first Dial.
	Stream iostream.Config

	// Socket sets up the sockets.
	Socket SocketOptions

	// Loop, or else the loops of Group in turn, is where the connections of
	// DialContext live. The other methods are told.
	Loop  *ioloop.Loop
	Group *ioloop.Group

	// TLS, if set, is what a handshake follows connecting with, as the client.
	// If it has no ServerName, that is the host of the address. It is not tried
	// with another address when it fails.
	TLS *tls.Config

	// Resolver looks names up. Nil is net.DefaultResolver.
	Resolver *net.Resolver

	// LocalAddr is what to connect from, a *net.TCPAddr or *net.UnixAddr as the
	// network has it; of a name only addresses of its family are tried then. Nil
	// leaves it to the system.
	LocalAddr net.Addr

	// Timeout is how long a Dial may take, with looking the name up and the TLS
	// handshake. 0 leaves it to the context.
	Timeout time.Duration

	// FallbackDelay is how long an attempt has the field to itself before the
	// next address of a name is tried beside it, on the clock of the loop. 0 is
	// DefaultFallbackDelay; below 0, addresses are tried one after the other.
	FallbackDelay time.Duration
}

// DefaultFallbackDelay is what a zero Dialer.FallbackDelay stands for, as RFC
// 8305 recommends.
const DefaultFallbackDelay = 250 * time.Millisecond

// Dial connects with a zero Dialer.
func Dial(ctx context.Context, l *ioloop.Loop, network, address string) (*iostream.Stream, error) {
	return new(Dialer).Dial(ctx, l, network, address)
}

// Dial connects to an address and returns a stream on l. The network is "tcp",
// "tcp4", "tcp6" or "unix". The addresses of a name are raced as RFC 8305 has
// it ("happy eyeballs"): families take turns, each attempt begins when the last
// has failed or FallbackDelay after it began, and the first to connect wins.
// Both families are looked up together, as net.Resolver does. Errors are
// *net.OpError, of several attempts joined. When ctx is done, all attempts are
// given up and their sockets closed. An httptrace.ClientTrace in ctx is told of the
// look-up (DNSStart, DNSDone) on the caller's goroutine or the resolver's, and of each
// attempt (ConnectStart, ConnectDone) on the loop.
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
