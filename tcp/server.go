// Package tcp serves and dials streams over TCP and Unix sockets.
package tcp

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
)

// DefaultLinger is what a zero Server.Linger stands for.
const DefaultLinger = 5 * time.Second

// Errors of a Server.
var (
	// ErrServerClosed is why Serve returns and Listen fails once Shutdown or
	// Close was called, and the reason that streams are closed with by force.
	ErrServerClosed = errors.New("tcp: server closed")

	// ErrHandler is the reason of a stream whose Handler panicked or called
	// runtime.Goexit.
	ErrHandler = errors.New("tcp: handler failed")

	// ErrInvalid is fs.ErrInvalid too.
	ErrInvalid = fmt.Errorf("tcp: %w", iostream.ErrInvalid)
)

// Server accepts connections and hands each to a handler on one of its loops.
// Its fields are set before the first Listen or Serve and not changed after.
type Server struct {
	// Handler, if set, is run as a task for each connection. When it returns
	// nil, the stream is closed once everything written is out (see
	// iostream.Stream.CloseAfterFlush); after an error, a panic or a Goexit it
	// is closed at once. Exactly one of Handler and Callback is set.
	Handler func(t *ioloop.Task, s *iostream.Stream) error

	// Callback, if set, is called on the loop for each connection, to start
	// reading with callbacks. The stream is its to close. If it panics, the
	// stream is closed.
	Callback func(s *iostream.Stream)

	// TLS, if set, has every connection shake hands before Handler or Callback
	// is called, which are not if that fails. Stream.HandshakeTimeout bounds
	// it. See iostream.Stream.StartTLSServer.
	TLS *tls.Config

	// Group is what the streams live on. It is the caller's to run and close;
	// the server ends only while it runs or when it is closed. Nil makes Serve
	// open and run one of Loops loops.
	Group *ioloop.Group

	// Loops is how many loops Serve opens without a Group; 0 is one for each
	// processor.
	Loops int

	// Stream sets up the streams.
	Stream iostream.Config

	// MaxConns is how many connections may be open at once; more wait in the
	// kernel's backlog. 0 is no limit.
	MaxConns int

	// IdleTimeout closes streams on which nothing moves for so long. 0 is
	// never.
	IdleTimeout time.Duration

	// Linger is how long a stream whose Handler has returned nil may take to
	// send what was written. 0 is DefaultLinger.
	Linger time.Duration

	// Logger hears of trouble with accepting (error, warn) and of handlers that
	// return an error and of TLS handshakes that fail (debug). Nil is
	// slog.Default().
	Logger *slog.Logger

	mu        sync.Mutex
	started   bool // Serve was called
	forcing   bool // connections that there are must go
	cause     error
	workers   []*worker   // there once Serve runs
	listeners []*listener // that are open
	conns     int         // open connections
	stats     Stats
	drain     Drain
	stream    iostream.Config // what the streams are really set up with
	net       *netListener    // what NetListener returned
	idle      chan struct{}   // closed when cause is set and nothing is open
}

// worker is a loop and how many connections this server has on it.
type worker struct {
	loop  *ioloop.Loop
	conns int
}

// Stats are the numbers of a Server.
type Stats struct {
	Conns        int    // open now
	Accepted     uint64 // ever
	AcceptPauses uint64 // times that accepting was put off for want of descriptors or memory

	HandshakeErrors uint64 // connections closed because TLS was not agreed on
}

// Stats returns the server's numbers. It may be called at any time.
func (srv *Server) Stats() Stats {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	stats := srv.stats
	stats.Conns = srv.conns
	return stats
}

// Listen listens on an address and returns what it is bound to. The network is
// "tcp", "tcp4", "tcp6" or "unix". A TCP address is host:port; port 0 is a free
// one, and with network "tcp" no host means all addresses of both families. A
// Unix address is a path, whose file is taken over if nobody listens on it and
// removed in the end; on Linux also @name. Connections are accepted while Serve
// runs, which may have begun before. Errors are *net.OpError.
func (srv *Server) Listen(network, address string) (net.Addr, error) {
	l, err := listen(srv, network, address)
	if err == nil {
		if err = srv.add(l); err == nil {
			return l.addr, nil
		}
		l.release()
	}
	return nil, listenError(network, l, err)
}

func (srv *Server) add(l *listener) error {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	if srv.cause != nil {
		return ErrServerClosed
	}
	if len(srv.workers) > 0 {
		if err := l.open(srv.workers[len(srv.listeners)%len(srv.workers)].loop); err != nil {
			return err
		}
	}
	srv.listeners = append(srv.listeners, l)
	return nil
}

// Addrs returns the addresses that the server is bound to.
func (srv *Server) Addrs() []net.Addr {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	var addrs []net.Addr
	for _, l := range srv.listeners {
		addrs = append(addrs, l.addr)
	}
	return addrs
}

func (srv *Server) check() error {
	switch {
	case (srv.Handler == nil) == (srv.Callback == nil):
		return fmt.Errorf("%w: exactly one of Handler and Callback must be set", ErrInvalid)
	case srv.Loops < 0 || srv.MaxConns < 0 || srv.IdleTimeout < 0 || srv.Linger < 0:
		return fmt.Errorf("%w: negative Loops, MaxConns, IdleTimeout or Linger", ErrInvalid)
	}
	return errors.Join(checkServerTLS(srv.TLS), srv.Stream.Check())
}

func (srv *Server) linger() time.Duration {
	if srv.Linger == 0 {
		return DefaultLinger
	}
	return srv.Linger
}

func (srv *Server) logger() *slog.Logger {
	if srv.Logger == nil {
		return slog.Default()
	}
	return srv.Logger
}
