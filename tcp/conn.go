package tcp

import (
	"context"
	"fmt"
	"log/slog"
	"net"

	"github.com/eddyloop/eddy/internal/socket"
	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
)

// accepted is a connection on its way to its loop.
type accepted struct {
	srv    *Server
	worker *worker
	fd     int
	own    bool // it comes from a listener that nobody else has
	stream *iostream.Stream
}

// accept takes a connection from a listener; it returns nil and no error for
// one that it has refused. Without room and with Overload Queue it returns why
// there is none.
func (srv *Server) accept(l *listener) (*accepted, error) {
	conn, refusal, err := srv.admit(l)
	if err == nil && refusal != nil {
		srv.refused(l.addr, refusal)
		return nil, nil
	}
	return conn, err
}

// admit accepts under the lock, so that no connection goes beyond MaxConns and
// none comes after stop. It returns why it has closed the connection.
func (srv *Server) admit(l *listener) (conn *accepted, refusal, err error) {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	if srv.cause != nil {
		return nil, nil, ErrServerClosed
	}
	refusal = srv.full()
	if refusal != nil && srv.Overload == Queue {
		return nil, nil, refusal
	}
	accept, own := socket.Accept, !l.foreign()
	if !own {
		accept = socket.AcceptShared
	}
	fd, err := accept(l.fd)
	if err != nil {
		return nil, nil, err
	}
	if refusal != nil {
		_ = socket.Close(fd)
		srv.stats.Refused++
		return nil, refusal, nil
	}
	w := srv.workerFor(l)
	w.conns++
	srv.conns++
	srv.stats.Accepted++
	return &accepted{srv: srv, worker: w, fd: fd, own: own}, nil, nil
}

// full returns why there is no room for a connection, nil if there is.
func (srv *Server) full() error {
	switch {
	case srv.MaxConns > 0 && srv.conns >= srv.MaxConns:
		return ErrMaxConns
	case srv.Stream.Budget.Full():
		return iostream.ErrBudget
	}
	return nil
}

// workerFor returns the loop for a connection: the listener's if every loop has
// one of its own, else the one that has the fewest.
func (srv *Server) workerFor(l *listener) *worker {
	if l.shared {
		return l.worker
	}
	best := srv.workers[0]
	for _, w := range srv.workers[1:] {
		if w.conns < best.conns {
			best = w
		}
	}
	return best
}

// refused tells that a connection was closed unserved.
func (srv *Server) refused(addr net.Addr, reason error) {
	if srv.Hooks.Refused != nil {
		srv.Hooks.Refused(addr, reason)
	}
}

// start hands the connection to its loop. From here on it is counted out once,
// by drop or by streamClosed.
func (c *accepted) start() {
	var err error
	if c.needsTask() {
		err = c.worker.loop.Go(c.handle)
	} else {
		err = c.worker.loop.Schedule(c)
	}
	if err != nil {
		c.drop(err)
	}
}

// needsTask reports whether the connection begins as a task. A Callback does
// not need one, unless something has to be read before it is called, and a TLS
// handshake is cheaper without.
func (c *accepted) needsTask() bool {
	return c.srv.ProxyProtocol != nil || c.srv.Handler != nil && c.srv.TLS == nil
}

// drop closes a connection that does not become a stream.
func (c *accepted) drop(err error) {
	c.srv.logger().Warn("connection dropped", slog.Any("err", err))
	_ = socket.Close(c.fd)
	c.srv.gone(c.worker)
}

// open makes the stream. The handler is called right after, so that the loop's
// first look at the stream finds its first read and listens for that.
func (c *accepted) open() bool {
	srv := c.srv
	srv.Socket.setAccepted(c.fd)
	stream, err := c.newStream()
	if err != nil {
		c.drop(err)
		return false
	}
	c.stream = stream
	if srv.IdleTimeout > 0 {
		_ = stream.SetIdleTimeout(srv.IdleTimeout)
	}
	return true
}

// announce tells that the connection is there, and the connection if the
// server ends.
func (c *accepted) announce() {
	srv := c.srv
	if srv.Hooks.Accepted != nil {
		srv.Hooks.Accepted(c.stream)
	}
	srv.mu.Lock()
	ending, forcing := srv.cause != nil, srv.forcing
	srv.mu.Unlock()
	switch {
	case forcing:
		_ = c.stream.CloseWithError(ErrServerClosed)
	case ending:
		c.stream.CloseWhenIdle()
	}
}

func (c *accepted) newStream() (*iostream.Stream, error) {
	if c.own {
		return iostream.NewPrepared(c.worker.loop, socket.Prepared(c.fd), &c.srv.stream)
	}
	return iostream.NewSocket(c.worker.loop, c.fd, &c.srv.stream)
}

// Run calls Callback, on the loop, or begins with TLS.
func (c *accepted) Run() {
	if !c.open() {
		return
	}
	c.announce()
	if c.srv.TLS != nil {
		c.secure()
	} else {
		c.srv.Callback(c.stream)
	}
}

// Fail implements ioloop.Failer: Callback or a hook has panicked.
func (c *accepted) Fail(err error) {
	if c.stream != nil {
		_ = c.stream.CloseWithError(err)
	}
}

// handle is the connection's task.
func (c *accepted) handle(t *ioloop.Task) {
	if c.open() {
		c.attend(t, c.serve)
	}
}

// attend runs what a task does for the connection, and then closes the stream,
// unless a Callback has it.
func (c *accepted) attend(t *ioloop.Task, serve func(*ioloop.Task) error) {
	if c.srv.Name != "" {
		defer profile(c.srv.Name)()
	}
	err := ErrHandler // if serve does not return
	defer func() {
		switch {
		case err != nil:
			c.failed(err)
		case c.srv.Handler != nil:
			_ = c.stream.CloseAfterFlush(c.srv.linger())
		}
	}()
	err = serve(t)
}

// serve reads what comes before the conversation.
func (c *accepted) serve(t *ioloop.Task) error {
	c.announce()
	if err := c.introduce(t); err != nil {
		return err
	}
	if c.srv.TLS != nil {
		if err := c.stream.StartTLSServer(t, c.srv.TLS); err != nil {
			c.srv.countHandshakeError()
			return err
		}
	}
	return c.converse(t)
}

// converse leaves the connection to Handler or Callback.
func (c *accepted) converse(t *ioloop.Task) error {
	if c.srv.Handler == nil {
		c.srv.Callback(c.stream)
		return nil
	}
	return c.srv.Handler(t, c.stream)
}

func (c *accepted) failed(err error) {
	if log := c.srv.logger(); log.Enabled(context.Background(), slog.LevelDebug) {
		log.Debug("handler failed", slog.Any("err", err),
			slog.String("client", fmt.Sprint(c.stream.RemoteAddr())))
	}
	_ = c.stream.CloseWithError(err)
}

// streamClosed is called on a stream's loop when it has closed.
func (srv *Server) streamClosed(s *iostream.Stream, err error) {
	for _, w := range srv.workers {
		if w.loop == s.Loop() {
			srv.gone(w)
			break
		}
	}
	if srv.Stream.Closed != nil {
		srv.Stream.Closed(s, err)
	}
}

// gone counts a connection out.
func (srv *Server) gone(w *worker) {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	w.conns--
	srv.conns--
	if srv.MaxConns > 0 && srv.conns == srv.MaxConns-1 {
		for _, l := range srv.listeners {
			_ = l.loop.Post(l.room)
		}
	}
	srv.checkIdleLocked()
}
