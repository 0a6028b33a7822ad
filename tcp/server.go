// Package tcp serves and dials streams over TCP and Unix sockets. UDP is out of
// scope.
package tcp

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/eddyloop/eddy/internal/ratelog"
	"github.com/eddyloop/eddy/internal/streamhook"
	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
)

// DefaultMaxHandshakes is what a zero Server.MaxHandshakes stands for. A TLS
// handshake in progress holds up to some 90 KB.
const DefaultMaxHandshakes = 1024

// What zero time-outs of Server.Stream stand for: clients that drip a message, and those
// that take nothing of what they have asked for, do not stay for ever.
const (
	DefaultMessageTimeout = time.Minute
	DefaultSendTimeout    = time.Minute
)

func orDefault(d, otherwise time.Duration) time.Duration {
	if d == 0 {
		return otherwise
	}
	return d
}

// Errors of a Server.
var (
	// ErrServerClosed is why Serve returns and Listen fails once Shutdown or
	// Close was called, and the reason that streams are closed with by force.
	ErrServerClosed = errors.New("tcp: server closed")

	// ErrLoopsStopped is why Shutdown has closed connections by force: the loops of
	// Server.Group run no more, or never did.
	ErrLoopsStopped = errors.New("tcp: the server's loops do not run")

	// ErrHandler is the reason of a stream whose Handler or Open panicked or called
	// runtime.Goexit.
	ErrHandler = errors.New("tcp: handler failed")

	// ErrMaxConns is the reason of a connection that was refused because of
	// Server.MaxConns.
	ErrMaxConns = errors.New("tcp: too many connections")

	// ErrMaxHandshakes is the reason of a connection that was refused, or whose
	// handshake had to make way for another, because of Server.MaxHandshakes.
	ErrMaxHandshakes = errors.New("tcp: too many handshakes")

	// ErrInvalid is fs.ErrInvalid too.
	ErrInvalid = fmt.Errorf("tcp: %w", iostream.ErrInvalid)
)

// Server accepts connections and hands each to a handler on one of its loops.
// Its fields are set before the first Listen or Serve and not changed after.
type Server struct {
	// Message, if set, is called for every message of every connection, each time as
	// a task: it reads like blocking code and may wait, and a quiet connection costs
	// no task and no stack. What a message is, Frame says. An error closes the
	// connection once everything written is out; after a panic or a Goexit it is
	// aborted. The connection counts as open until Message has returned, also when
	// its client has gone. See iostream.Stream.HandleTask, and iostream.Value for what
	// is to be known of a connection.
	Message func(t *ioloop.Task, s *iostream.Stream, msg []byte) error

	// Frame is what a message is. It is set if Message is, and only then.
	Frame iostream.Frame

	// Open, if set, is run as a task for each connection before its first message, behind
	// a PROXY header and the TLS handshake: for protocols in which the server speaks
	// first. It may read, and leaves the messages that have come to Message. An error
	// closes the connection as one of Message does, a panic or a Goexit aborts it with
	// ErrHandler; it counts as a Handler while it runs. Later the connection costs no
	// more than without. Open goes only with Message.
	Open func(t *ioloop.Task, s *iostream.Stream) error

	// Handler, if set, is run as a task for each connection. When it returns
	// or an error, the stream is closed once everything written is out (see
	// iostream.Stream.Close); after a panic or a Goexit it is closed at
	// once. The connection counts as open until its Handler has returned, also
	// when its client has gone. Exactly one of Message, Handler and Callback is set.
	Handler func(t *ioloop.Task, s *iostream.Stream) error

	// Callback, if set, is called on the loop for each connection, to start
	// reading with callbacks. The stream is its to close. If it panics, the
	// stream is closed.
	Callback func(s *iostream.Stream)

	// TLS, if set, has every connection shake hands before Handler or Callback
	// is called, which are not if that fails. Stream.HandshakeTimeout bounds
	// the wait for the client's first byte, and then the handshake. See
	// iostream.Stream.StartTLSServer, and NetListener.
	TLS *tls.Config

	// Group is what the streams live on. It is the caller's to run and close, before
	// or after Serve has begun: a server whose Group does not run accepts nobody. Streams
	// on a Group that runs no more are closed when the Group is. Nil makes Serve open and
	// run one of Loops loops.
	Group *ioloop.Group

	// Loops is how many loops Serve opens without a Group; 0 is one for each
	// processor.
	Loops int

	// Stream sets up the streams. While its Budget, if it has one, is full, there
	// is no room for connections. A MessageTimeout or SendTimeout of 0 is
	// DefaultMessageTimeout or DefaultSendTimeout here, one below 0 is never.
	Stream iostream.Config

	// Socket sets up the sockets.
	Socket SocketOptions

	// Backlog is how many connections may wait in the kernel to be accepted, for
	// each listening socket; the kernel lowers it to a limit of its own
	// (somaxconn). 0 is DefaultBacklog.
	Backlog int

	// ReusePort gives each loop a listening socket of its own for each TCP
	// address (SO_REUSEPORT). The kernel then deals the connections out, by chance
	// and not by load, and no loop waits for another to accept. Where the kernel
	// does not (macOS, NetBSD, OpenBSD), Listen fails with errors.ErrUnsupported.
	ReusePort bool

	// ProxyProtocol, if set, has connections begin with a PROXY header.
	ProxyProtocol *ProxyProtocol

	// MaxConns is how many connections may be open at once. A connection whose
	// Handler runs is open, whatever its client does. 0 is no limit.
	MaxConns int

	// MaxHandshakes is how many connections at once may have to say something
	// before they are served: a PROXY header, or a TLS handshake, also with
	// Stream.HandshakeOffLoop. 0 is DefaultMaxHandshakes. When there are as many, the
	// oldest is aborted for the sake of the next, with ErrMaxHandshakes, if it has taken a
	// quarter of Stream.HandshakeTimeout; else Overload says what becomes of the next.
	MaxHandshakes int

	// Overload is what becomes of connections for which there is no room, be it
	// for MaxConns, for MaxHandshakes or for memory.
	Overload Overload

	// IdleTimeout closes streams on which nothing moves for so long. 0 is
	// never.
	IdleTimeout time.Duration

	// DrainTimeout is for how long the server drains when the context of Serve is done:
	// as Shutdown does, until what is under way has finished, and what is left after
	// so long is closed by force. 0 closes everything at once. Close cuts it short.
	DrainTimeout time.Duration

	// ProfileLabel, if set, is what profiles and traces know the handlers by: their
	// tasks carry it as the pprof label "server" and are trace regions of that
	// name. Callbacks are not marked.
	ProfileLabel string

	// Hooks are called when something happens that metrics count.
	Hooks Hooks

	// Logger is written to on a goroutine, with at most 10 records a second of one
	// kind (debug records aside); "left_out" counts those left out. It hears of trouble with accepting (error, warn) and of handlers that
	// return an error and of TLS handshakes that fail (debug). Nil is
	// slog.Default().
	Logger *slog.Logger

	logOnce sync.Once
	bounded *slog.Logger // see logger

	mu        sync.Mutex
	started   bool // Serve was called
	forcing   bool // connections that there are must go
	cause     error
	workers   []*worker   // there once Serve runs
	listeners []*listener // that are open
	open      int         // connections that are not over
	shaking   []*conn     // those that have yet to say something first, the oldest in front
	wanting   bool        // a listener had no room
	stats     Stats
	drain     DrainCounts
	stream    iostream.Config // what the streams are really set up with
	net       *NetListener    // to which all connections go, or nil
	fed       []*NetListener  // to which those go that are delivered
	idle      chan struct{}   // closed when cause is set and nothing is open
	forced    chan struct{}   // closed when forcing is set
	abandoned atomic.Bool     // what would not end is no longer waited for
}

// worker is a loop and what this server has on it.
type worker struct {
	loop  *ioloop.Loop
	open  int                        // connections, under Server.mu
	conns map[*iostream.Stream]*conn // those that are more than a stream, of the loop alone

	handling atomic.Int64 // tasks that run Message
}

// Stats are the numbers of a Server.
type Stats struct {
	Conns        int    // open now, or with a Handler that has not returned
	Handlers     int    // Handlers, or tasks that run Open or Message, at work now
	Handshakes   int    // connections that have yet to send a PROXY header or agree on TLS
	Accepted     uint64 // ever
	Refused      uint64 // closed unserved: no room (see Overload) or a bad PROXY header
	AcceptPauses uint64 // times that accepting was put off for want of descriptors or memory

	HandshakeErrors uint64 // connections closed because TLS was not agreed on
}

// Stats returns the server's numbers. It may be called at any time.
func (srv *Server) Stats() Stats {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	stats := srv.stats
	stats.Handshakes = len(srv.shaking)
	stats.Conns = srv.open
	for _, w := range srv.workers {
		stats.Handlers += int(w.handling.Load())
	}
	return stats
}

func (srv *Server) check() error {
	switch {
	case srv.net != nil && srv.styles() > 0:
		return fmt.Errorf("%w: set Handler or Callback before NetListener, which takes no Message", ErrInvalid)
	case srv.net == nil && srv.styles() != 1:
		return fmt.Errorf("%w: exactly one of Message, Handler and Callback must be set", ErrInvalid)
	case srv.Message != nil && streamhook.CheckFrame(&srv.Stream, &srv.Frame) != nil:
		return fmt.Errorf("%w: Frame says no message within Stream.ReadLimit, which Message needs", ErrInvalid)
	case srv.Message == nil && streamhook.CheckFrame(&srv.Stream, &srv.Frame) == nil:
		return fmt.Errorf("%w: Frame is for Message, which is not set", ErrInvalid)
	case srv.Message == nil && srv.Open != nil:
		return fmt.Errorf("%w: Open comes before Message, which is not set; a Handler begins with what it says first", ErrInvalid)
	case srv.Loops < 0 || srv.MaxConns < 0 || srv.MaxHandshakes < 0 || srv.IdleTimeout < 0 || srv.DrainTimeout < 0:
		return fmt.Errorf("%w: negative Loops, MaxConns, MaxHandshakes, IdleTimeout or DrainTimeout", ErrInvalid)
	case srv.Backlog < 0:
		return fmt.Errorf("%w: negative Backlog", ErrInvalid)
	case srv.Overload != OverloadQueue && srv.Overload != OverloadRefuse:
		return fmt.Errorf("%w: unknown Overload", ErrInvalid)
	}
	if err := srv.ProxyProtocol.check(); err != nil {
		return err
	}
	if err := srv.Socket.check(); err != nil {
		return err
	}
	return errors.Join(checkServerTLS(srv.TLS), streamhook.CheckConfig(&srv.Stream))
}

// styles returns how many ways to serve are set.
func (srv *Server) styles() (n int) {
	for _, set := range [...]bool{srv.Message != nil, srv.Handler != nil, srv.Callback != nil} {
		if set {
			n++
		}
	}
	return n
}

func (srv *Server) maxHandshakes() int {
	if srv.MaxHandshakes == 0 {
		return DefaultMaxHandshakes
	}
	return srv.MaxHandshakes
}

func (srv *Server) handshakeTimeout() time.Duration {
	if srv.Stream.HandshakeTimeout == 0 {
		return iostream.DefaultHandshakeTimeout
	}
	return srv.Stream.HandshakeTimeout
}

// logger returns Logger as one that never blocks, and whose rate is bounded.
func (srv *Server) logger() *slog.Logger {
	srv.logOnce.Do(func() {
		logger := srv.Logger
		if logger == nil {
			logger = slog.Default()
		}
		srv.bounded = ratelog.New(logger.Handler())
	})
	return srv.bounded
}
