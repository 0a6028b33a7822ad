package tcp

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"time"

	"github.com/eddyloop/eddy/internal/socket"
	"github.com/eddyloop/eddy/internal/streamhook"
	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
)

// conn is an accepted connection. This is its life, in this order; every step
// may be the last one:
//
//	admitted     it is counted, and on its way to its loop     admit, start
//	opened       it has a stream, and hooks have been told     open, announce
//	introduced   its PROXY header has been read, if any        introduce
//	secured      TLS has been agreed on, if any                secure, secured
//	served       it is with Callback, Open and Message,
//	             Handler or Accept                             serve, handle, offer
//	over         its stream has closed and its Handler has     streamClosed, taskEnded
//	             returned: it is counted out
//
// A connection with a Callback or a Message is nothing but its stream once it is
// served, unless its stream closes while Message runs. All others are in
// worker.conns, by their stream, until they are over.
type conn struct {
	srv    *Server
	worker *worker
	stream *iostream.Stream
	peer   socket.Address
	fd     int32
	own    bool // it comes from a listener that nobody else has

	// Under Server.mu.
	shaking bool          // it is in Server.shaking
	since   time.Duration // when it was accepted, on its loop's clock

	// Of the loop alone.
	running bool // its task has been started and has not ended
	waiting bool // it has yet to say what comes first: it counts as a handshake
	silent  bool // of that not one byte has come
	closed  bool // its stream has closed
	failed  bool // its Handler has returned an error
	served  bool // it is with Callback, Message, Handler or Accept

	delivered bool // it is with a NetListener, though its Handler has returned
}

// start hands a connection that was admitted to its loop. From here on it is
// counted out once.
func (c *conn) start() {
	var err error
	if c.needsTask() {
		c.running = true
		err = c.worker.loop.Go(func(t *ioloop.Task) { c.attend(t, c.begin) })
	} else {
		err = c.worker.loop.Kit().Schedule(c)
	}
	if err != nil {
		c.drop(err)
	}
}

// needsTask reports whether the connection begins as a task. Callback and Message
// do not need one, unless something has to be read before it is called, and the wait
// for a TLS handshake is cheaper without.
func (c *conn) needsTask() bool {
	return c.srv.ProxyProtocol != nil || c.srv.attends() && c.srv.TLS == nil
}

// attends reports whether connections are served by a task from their beginning.
func (srv *Server) attends() bool { return srv.Handler != nil || srv.Open != nil }

// Run begins with a connection that needs no task.
func (c *conn) Run() { _ = c.begin(nil) }

// Fail implements ioloop.Failer: Callback or a hook has panicked.
func (c *conn) Fail(err error) {
	if c.stream != nil {
		c.stream.Abort(err)
	}
}

// begin is what happens to every connection, up to where it is served. t is nil
// if it needed no task.
func (c *conn) begin(t *ioloop.Task) error {
	c.worker.loop.Kit().Charge(beginWork)
	if !c.open() {
		return nil
	}
	c.announce()
	if c.srv.ProxyProtocol != nil {
		if err := c.introduce(t); err != nil {
			return err
		}
	}
	if c.srv.TLS != nil {
		return c.secure()
	}
	return c.serve(t)
}

// open makes the stream. The handler is called right after, so that the loop's
// first look at the stream finds its first read and listens for that.
func (c *conn) open() bool {
	srv := c.srv
	if c.stream == nil { // else it is simulated
		srv.Socket.setAccepted(int(c.fd), &c.peer)
		stream, err := c.newStream()
		if err != nil {
			c.drop(err)
			return false
		}
		c.stream = stream
	}
	stream := c.stream
	if srv.IdleTimeout > 0 {
		_ = stream.SetIdleTimeout(srv.IdleTimeout)
	}
	if srv.attends() || srv.net != nil || srv.handshakes() {
		c.worker.conns[stream] = c
	}
	return true
}

func (c *conn) newStream() (*iostream.Stream, error) {
	create := streamhook.NewAccepted
	if c.own {
		create = streamhook.NewPrepared
	}
	stream, err := create(c.worker.loop, int(c.fd), c.peer, &c.srv.stream)
	if err != nil {
		return nil, err
	}
	return stream.(*iostream.Stream), nil
}

// drop closes a connection that does not become a stream.
func (c *conn) drop(err error) {
	c.srv.logger().Warn("connection dropped", slog.Any("err", err))
	if c.fd >= 0 {
		_ = socket.Close(int(c.fd))
	}
	c.heard()
	if c.srv.net != nil {
		c.srv.net.remove(c, nil)
	}
	c.srv.gone(c.worker, false)
}

// announce tells that the connection is there, and the connection if the
// server ends.
func (c *conn) announce() {
	srv := c.srv
	if srv.Hooks.Accepted != nil {
		srv.Hooks.Accepted(c.stream)
	}
	srv.mu.Lock()
	ending, forcing := srv.cause != nil, srv.forcing
	srv.mu.Unlock()
	switch {
	case forcing:
		c.stream.Abort(ErrServerClosed)
	case ending:
		srv.drainStream(c.stream)
	}
}

// heard says that the connection has said what had to come first.
func (c *conn) heard() {
	if c.waiting {
		c.waiting = false
		c.srv.endHandshake(c)
	}
}

// secure has a TLS handshake precede what serves the connection. It begins with
// the client's first byte: who says nothing costs no more than a stream.
func (c *conn) secure() error {
	c.silent = true
	limit := c.srv.handshakeTimeout()
	timer := c.worker.loop.AfterFunc(limit, func() { c.stream.Abort(iostream.ErrHandshakeTimeout) })
	err := c.stream.ReadFunc(iostream.Peek(1), func(_ []byte, err error) {
		timer.Stop()
		c.silent = c.silent && err != nil
		switch {
		case err != nil:
			c.secured(err)
		case c.srv.net != nil:
			c.secureNetConn(limit)
		default:
			if err := c.stream.StartTLSFunc(iostream.TLSServer(c.srv.TLS), c.secured); err != nil {
				c.secured(err)
			}
		}
	})
	if err != nil {
		timer.Stop()
		c.secured(err)
	}
	return nil
}

// secureNetConn shakes hands on a goroutine: what Accept returns is then a
// *tls.Conn, which net/http and others look for.
func (c *conn) secureNetConn(limit time.Duration) {
	secured := tls.Server(c.stream.NetConn(), c.srv.TLS)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), limit)
		defer cancel()
		err := secured.HandshakeContext(ctx)
		_ = c.worker.loop.Post(func() {
			if err != nil || c.closed {
				c.secured(err)
				return
			}
			c.heard()
			c.srv.net.offer(c, secured)
		})
	}()
}

// secured is called on the loop when the handshake is over.
func (c *conn) secured(err error) {
	if err == nil {
		err = c.serve(nil)
		if err == nil {
			return
		}
	}
	c.heard()
	if c.silent && c.stream.Err() != nil && c.srv.ending() {
		return // it was not the client that failed
	}
	c.srv.countHandshakeError()
	c.srv.log(slog.LevelDebug, "TLS handshake failed", err, c.stream)
	streamhook.Close(c.stream, err) // the alert shall arrive
}

// serve leaves the connection to Callback, Message, Handler or Accept. Without a task
// it returns an error if no task can be started for a Handler.
func (c *conn) serve(t *ioloop.Task) error {
	c.heard()
	c.served = true
	switch {
	case c.srv.net != nil:
		c.srv.net.offer(c, c.stream.NetConn())
	case c.srv.Callback != nil:
		if !c.running {
			delete(c.worker.conns, c.stream)
		}
		c.srv.Callback(c.stream)
	case c.srv.Message != nil && c.srv.Open == nil:
		if !c.running {
			delete(c.worker.conns, c.stream)
		}
		if err := c.stream.HandleTask(c.srv.Frame, c.srv.Message); err != nil {
			c.stream.Abort(err)
		}
	case t != nil:
		return c.handle(t)
	case c.closed:
	default:
		c.running = true
		if err := c.worker.loop.Go(func(t *ioloop.Task) { c.attend(t, c.handle) }); err != nil {
			c.running = false
			return err
		}
	}
	return nil
}

// handle runs Handler, or Open.
func (c *conn) handle(t *ioloop.Task) error {
	c.srv.countHandler(1)
	defer c.srv.countHandler(-1)
	streamhook.Serve(c.stream)
	if c.srv.Open != nil {
		return c.openMessages(t)
	}
	err := c.srv.Handler(t, c.stream)
	if err == nil && !c.delivered {
		_ = c.stream.Close()
	}
	return err
}

// openMessages runs Open, and has Message called from then on.
func (c *conn) openMessages(t *ioloop.Task) error {
	err := c.srv.Open(t, c.stream)
	if open := streamhook.Unserve(c.stream); err != nil || !open {
		return err
	}
	return c.stream.HandleTask(c.srv.Frame, c.srv.Message)
}

// attend runs what a task does for the connection, which ends it: after an error
// what was written before still goes out, a panic or Goexit leaves nothing to
// rely on.
func (c *conn) attend(t *ioloop.Task, step func(*ioloop.Task) error) {
	if c.srv.ProfileLabel != "" {
		defer profile(c.srv.ProfileLabel)()
	}
	defer c.taskEnded()
	err, returned := ErrHandler, false
	defer func() {
		if err != nil && c.stream != nil {
			c.fail(err, returned)
		}
	}()
	err = step(t)
	returned = true
}

// fail ends the connection for what its Handler, or what comes before, came to.
func (c *conn) fail(err error, inOrder bool) {
	c.failed = true
	if inOrder {
		streamhook.Close(c.stream, err)
	} else {
		c.stream.Abort(err)
	}
	c.srv.handlerFailed(c.stream, err)
}

func (srv *Server) handlerFailed(s *iostream.Stream, err error) {
	srv.log(slog.LevelDebug, "handler failed", err, s)
	if srv.Hooks.Failed != nil {
		srv.Hooks.Failed(s, err)
	}
}

// taskEnded is called when the connection's task has ended.
func (c *conn) taskEnded() {
	c.running = false
	if c.stream == nil {
		return // dropped, and counted out
	}
	switch {
	case c.closed:
		c.over()
	case c.served && !c.failed && c.srv.net == nil:
		delete(c.worker.conns, c.stream) // nothing but a stream
	}
}

// over counts the connection out.
func (c *conn) over() {
	delete(c.worker.conns, c.stream)
	c.srv.gone(c.worker, c.silent)
}

// streamClosed is called on a stream's loop when it has closed.
func (srv *Server) streamClosed(s *iostream.Stream, err error) {
	for _, l := range srv.fed {
		l.remove(nil, s)
	}
	w := srv.workerOf(s.Loop())
	c := w.conns[s]
	if c == nil && streamhook.Handling(s) {
		w.conns[s] = &conn{srv: srv, worker: w, stream: s, running: true, closed: true}
	} else if c == nil {
		srv.gone(w, false)
	} else {
		c.closed = true
		if srv.net != nil {
			srv.net.remove(c, s)
		}
		c.heard()
		if !c.running {
			c.over()
		}
	}
	if srv.Stream.OnClosed != nil {
		srv.Stream.OnClosed(s, err)
	}
}

func (srv *Server) workerOf(l *ioloop.Loop) *worker {
	for _, w := range srv.workers {
		if w.loop == l {
			return w
		}
	}
	return nil
}

// log tells of a connection's trouble. What anybody can cause who connects is
// not worth more than a debug message.
func (srv *Server) log(level slog.Level, message string, err error, s *iostream.Stream) {
	if log := srv.logger(); log.Enabled(context.Background(), level) {
		log.Log(context.Background(), level, message, slog.Any("err", err),
			slog.String("client", fmt.Sprint(s.RemoteAddr())))
	}
}
