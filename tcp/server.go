// Package tcp serves and dials streams over TCP and Unix sockets.
//
// A server whose messages are lines:
//
//	srv := &tcp.Server{
//		Frame: iostream.Until("\n"),
//		Message: func(t *ioloop.Task, s *iostream.Stream, line []byte) error {
//			_, err := s.Write(line)
//			return err
//		},
//	}
//	err := srv.ListenAndServe(ctx, "tcp", ":8000")
//
// [Server.Message] is one of three styles. A [Server.Handler] serves a whole
// connection in a task; a [Server.Callback] starts callbacks.
// [Server.NetListener] gives the connections to net/http and other packages
// that take a net.Listener.
//
// A client, in a task t or, with any other context, in a goroutine while the
// loop runs:
//
//	s, err := tcp.Dial(t, loop, "tcp", "example.org:80")
//
// Streams are those of package iostream. See the examples, and in docs/
// styles.md for the styles, bounds.md for limits and time-outs,
// guides/shutdown.md and guides/tls.md. UDP is out of scope.
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

// DefaultMaxHandshakes is what a Server.MaxHandshakes of 0 stands for. A TLS
// handshake in progress holds up to some 90 KB.
const DefaultMaxHandshakes = 1024

// What zero time-outs of Server.Stream stand for. They end clients that send a
// message very slowly, or do not take what they have asked for.
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
	// ErrServerClosed is returned by Serve, and by Listen, after Shutdown or
	// Close. Streams that the server closes by force get it as their reason.
	ErrServerClosed = errors.New("tcp: server closed")

	// ErrLoopsStopped is returned by Shutdown when it has closed connections by
	// force because the loops of Server.Group do not run.
	ErrLoopsStopped = errors.New("tcp: the server's loops do not run")

	// ErrHandler is the reason of a stream whose Handler has panicked or called
	// runtime.Goexit.
	ErrHandler = errors.New("tcp: handler failed")

	// ErrMaxConns is the reason of a connection that was refused because of
	// Server.MaxConns.
	ErrMaxConns = errors.New("tcp: too many connections")

	// ErrMaxHandshakes is the reason of a connection that was refused, or
	// aborted to make room for another, because of Server.MaxHandshakes.
	ErrMaxHandshakes = errors.New("tcp: too many handshakes")

	// ErrInvalid: an argument or a field is out of range. Nothing has changed.
	// It is fs.ErrInvalid too.
	ErrInvalid = fmt.Errorf("tcp: %w", iostream.ErrInvalid)
)

// Server accepts connections and serves each on one of its loops, in the style
// of Message, Handler or Callback. Set its fields before the first Listen or
// Serve and do not change them afterwards. Its methods may be called from any
// goroutine.
type Server struct {
	// Message, if set, is called for every message of every connection, each
	// time as a task: it may wait, and a quiet connection costs no task and no
	// stack. Frame says what a message is. msg is valid until Message returns.
	// If Message returns an error, the connection is closed after everything
	// written is sent; if it panics or calls runtime.Goexit, the connection is
	// aborted. The connection counts as open until Message has returned, also
	// when its client has gone. Exactly one of Message, Handler and Callback is
	// set, or none with NetListener. See iostream.Stream.HandleTask, and
	// iostream.Value for the state of a connection.
	Message func(t *ioloop.Task, s *iostream.Stream, msg []byte) error

	// Frame says what a message is. It must be set with Message, and only then.
	Frame iostream.Frame

	// Open, if set, is run as a task for each connection before its first
	// message, after a PROXY header and the TLS handshake, for protocols in
	// which the server speaks first. It may read; what it does not read goes to
	// Message. If it returns an error, the connection is closed as after an
	// error of Message; if it panics or calls runtime.Goexit, the connection is
	// aborted with ErrHandler. While it runs, it counts as a Handler. Open goes
	// only with Message.
	Open func(t *ioloop.Task, s *iostream.Stream) error

	// Handler, if set, is run as a task for each connection. When it has
	// returned, nil or an error, the stream is closed after everything written
	// is sent (see iostream.Stream.Close). If it panics or calls
	// runtime.Goexit, the stream is closed at once, with ErrHandler. The
	// connection counts as open until its Handler has returned, also when its
	// client has gone.
	Handler func(t *ioloop.Task, s *iostream.Stream) error

	// Callback, if set, is called on the loop for each connection and begins to
	// read with callbacks. It must not block. The Callback, or what it has
	// begun, closes the stream; see iostream.Stream.Handle for the end of a
	// stream that nobody reads. If Callback panics, the stream is closed.
	Callback func(s *iostream.Stream)

	// TLS, if set, makes each connection a TLS server before Message, Handler
	// or Callback is called; if the handshake fails, none is called.
	// Stream.HandshakeTimeout limits the wait for the client's first byte, and
	// then the handshake. See iostream.Stream.StartTLS, and
	// NetListener.Accept.
	TLS *tls.Config

	// Group, if set, has the loops that the streams are on. The caller runs and
	// closes it, before or after Serve has begun: while it does not run, the
	// server accepts nobody, and streams on a Group that has stopped are closed
	// when the Group is. Nil makes Serve open and run a group of Loops loops.
	Group *ioloop.Group

	// Loops is how many loops Serve opens without a Group. 0 is one for each
	// processor (runtime.GOMAXPROCS).
	Loops int

	// Stream sets up the streams. In a Server, a MessageTimeout of 0 is
	// DefaultMessageTimeout and a SendTimeout of 0 is DefaultSendTimeout, one
	// minute each; below 0 is never. While the Budget of Stream is full, there
	// is no room for connections.
	Stream iostream.Config

	// Socket sets up the sockets.
	Socket SocketOptions

	// Backlog is how many connections may wait in the kernel to be accepted,
	// for each listening socket. 0 is DefaultBacklog (4,096). The kernel may
	// lower it (somaxconn).
	Backlog int

	// ReusePort gives each loop a listening socket of its own for each TCP
	// address (SO_REUSEPORT). The kernel then distributes the connections at
	// random and not by load, and no loop waits for another to accept. Where
	// the kernel does not distribute them (macOS, NetBSD, OpenBSD), Listen
	// fails with errors.ErrUnsupported.
	ReusePort bool

	// ProxyProtocol, if set, has connections begin with a PROXY header.
	ProxyProtocol *ProxyProtocol

	// MaxConns is how many connections may be open at once. A connection whose
	// Handler runs is open, also when its client has gone. 0 is no limit.
	MaxConns int

	// MaxHandshakes is how many connections may at once be in a TLS handshake
	// or owe a PROXY header, also with Stream.HandshakeOffLoop. 0 is
	// DefaultMaxHandshakes (1,024). When there are as many, a new connection
	// takes the place of the oldest, which is aborted with ErrMaxHandshakes if
	// it has taken a quarter of Stream.HandshakeTimeout. Otherwise Overload
	// decides about the new one.
	MaxHandshakes int

	// Overload says what happens to connections for which there is no room
	// because of MaxConns, MaxHandshakes or memory. The zero value is
	// OverloadQueue.
	Overload Overload

	// IdleTimeout closes streams on which nothing moves for so long, with
	// iostream.ErrIdle; see iostream.Stream.SetIdleTimeout. 0 is never.
	IdleTimeout time.Duration

	// DrainTimeout is how long the server drains when the context of Serve is
	// done: it ends as Shutdown does, and what is left after that time is
	// closed by force. 0 closes everything at once. Close cuts it short.
	DrainTimeout time.Duration

	// ProfileLabel, if set, is the value of the pprof label "server" of the
	// tasks that run Handlers and Messages, and the name of their trace
	// regions. Callbacks are not marked.
	ProfileLabel string

	// Hooks are called when something happens that metrics count.
	Hooks Hooks

	// Logger gets records of failures to accept (error, warn), and of Handlers
	// that return an error and TLS handshakes that fail (debug). It is called
	// on a goroutine of its own, with at most 10 records a second of one kind,
	// except debug records; "left_out" counts those left out. Nil is
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
	listened  bool        // there has been one
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

	handling atomic.Int64 // tasks that run Message and have waited
}

// Stats are the numbers of a Server.
type Stats struct {
	Conns        int    // open now, or with a Handler that has not returned
	Handlers     int    // at work now: Handlers, tasks of Open, and tasks of Message that have had to wait
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
	frameErr := streamhook.CheckFrame(&srv.Stream, &srv.Frame)
	switch {
	case srv.net != nil && srv.styles() > 0:
		return fmt.Errorf("%w: set Handler or Callback before NetListener, which takes no Message", ErrInvalid)
	case srv.net == nil && srv.styles() != 1:
		return fmt.Errorf("%w: exactly one of Message, Handler and Callback must be set", ErrInvalid)
	case srv.Message != nil && frameErr != nil:
		return fmt.Errorf("%w: Frame: %w", ErrInvalid, frameErr)
	case srv.Message == nil && frameErr == nil:
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
