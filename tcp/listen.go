package tcp

import (
	"cmp"
	"fmt"
	"net"
	"runtime"
	"slices"

	"github.com/eddyloop/eddy/internal/socket"
)

// DefaultBacklog is what a Server.Backlog of 0 stands for, in connections.
const DefaultBacklog = 4096

// Listen listens on an address and returns the address that it is bound to. The
// network is "tcp", "tcp4", "tcp6" or "unix". A TCP address is host:port; port
// 0 is any free one. With "tcp", no host, 0.0.0.0 and [::] mean all addresses
// of both families, as in package net; "tcp4" and "tcp6" use one family. A Unix
// address is a path. Listen replaces its file if nobody listens on it, and the
// server removes it at the end. On Linux it may be @name, which has no file.
// Connections are accepted while Serve runs, which may have begun before.
// Errors are *net.OpError, with ErrServerClosed after Shutdown or Close.
func (srv *Server) Listen(network, address string) (net.Addr, error) {
	addr, err := resolveListen(network, address)
	if err == nil {
		err = srv.Socket.check()
	}
	if err != nil {
		return nil, listenError(network, addr, err)
	}
	listeners, err := srv.bind(addr)
	if err == nil {
		err = srv.add(listeners)
	}
	if err != nil {
		closeAll(listeners)
		return nil, listenError(network, addr, err)
	}
	return listeners[0].addr, nil
}

func listenError(network string, addr net.Addr, err error) error {
	return &net.OpError{Op: "listen", Net: network, Addr: addr, Err: err}
}

// dualStack: a socket can take connections of both families.
const dualStack = runtime.GOOS != "openbsd" && runtime.GOOS != "dragonfly"

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
	if network == "tcp" && dualStack && addr.IP.IsUnspecified() {
		addr.IP = nil // both
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

// bind returns the listeners for an address: one, or with ReusePort one for
// each loop. Those that it returns with an error have to be closed.
func (srv *Server) bind(addr net.Addr) ([]*listener, error) {
	_, isTCP := addr.(*net.TCPAddr)
	n := 1
	if srv.ReusePort && isTCP {
		n = srv.countLoops()
	}
	setup := func(fd int) error {
		if srv.ReusePort && isTCP {
			if err := socket.ReusePort(fd); err != nil {
				return err
			}
		}
		if err := srv.Socket.setListening(fd, addr); err != nil {
			return err
		}
		return srv.Socket.control(fd, addr)
	}
	var listeners []*listener
	for range n {
		fd, err := socket.Listen(addr, cmp.Or(srv.Backlog, DefaultBacklog), setup)
		if err != nil {
			return listeners, err
		}
		l := newListener(srv, fd)
		l.file = socket.File(l.addr)
		l.shared = n > 1
		listeners = append(listeners, l)
		addr = withPort(addr, l.addr)
	}
	return listeners, nil
}

func newListener(srv *Server, fd int) *listener {
	return &listener{srv: srv, fd: fd, addr: socket.LocalAddr(fd)}
}

// withPort returns addr with the port that the kernel has chosen. The rest
// stays: bound says what addr came to, but not that it took both families.
func withPort(addr, bound net.Addr) net.Addr {
	a, ok := addr.(*net.TCPAddr)
	if !ok {
		return addr
	}
	return &net.TCPAddr{IP: a.IP, Zone: a.Zone, Port: bound.(*net.TCPAddr).Port}
}

// countLoops returns how many loops Serve will use.
func (srv *Server) countLoops() int {
	switch {
	case srv.Group != nil:
		return len(srv.Group.Loops())
	case srv.Loops > 0:
		return srv.Loops
	}
	return runtime.GOMAXPROCS(0)
}

// add takes listeners into the server. After an error they have to be closed.
func (srv *Server) add(listeners []*listener) error {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	if srv.cause != nil {
		return ErrServerClosed
	}
	for i, l := range listeners {
		if len(srv.workers) == 0 {
			break
		}
		if err := l.openLocked(srv.workers[(len(srv.listeners)+i)%len(srv.workers)]); err != nil {
			return err
		}
	}
	srv.listeners = append(srv.listeners, listeners...)
	srv.listened = true
	return nil
}

func closeAll(listeners []*listener) {
	for _, l := range listeners {
		l.close()
	}
}

// StopListening closes the listening sockets. Connections and Serve go on, and
// Listen may open other sockets. It is the first half of a Shutdown for a
// server that shares its sockets with another process (see Files): clients that
// have just connected can send something before Shutdown takes them for idle.
func (srv *Server) StopListening() {
	srv.mu.Lock()
	listeners := slices.Clone(srv.listeners)
	srv.mu.Unlock()
	closeAll(listeners)
}

// Addrs returns the addresses that the server listens on.
func (srv *Server) Addrs() []net.Addr {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	var addrs []net.Addr
	var last string
	for _, l := range srv.listeners {
		if name := fmt.Sprint(l.addr); !l.shared || name != last {
			addrs = append(addrs, l.addr)
			last = name
		}
	}
	return addrs
}
