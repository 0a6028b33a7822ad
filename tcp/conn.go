package tcp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/eddyloop/eddy/internal/socket"
	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
)

// accepted is a connection on its way to its loop.
type accepted struct {
	srv    *Server
	worker *worker
	fd     int
	stream *iostream.Stream
}

// errNoRoom is returned by accept when there may be no further connection.
var errNoRoom = errors.New("no room")

// accept takes a connection from a listening socket for the loop that has the
// fewest. It holds the lock meanwhile, so that no connection goes beyond
// MaxConns and none comes after stop.
func (srv *Server) accept(fd int) (*accepted, error) {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	if srv.cause != nil || srv.MaxConns > 0 && srv.conns >= srv.MaxConns {
		return nil, errNoRoom
	}
	conn, err := socket.Accept(fd)
	if err != nil {
		return nil, err
	}
	best := srv.workers[0]
	for _, w := range srv.workers[1:] {
		if w.conns < best.conns {
			best = w
		}
	}
	best.conns++
	srv.conns++
	srv.stats.Accepted++
	return &accepted{srv: srv, worker: best, fd: conn}, nil
}

// start hands the connection to its loop. From here on it is counted out once,
// by drop or by streamClosed.
func (c *accepted) start() {
	var err error
	if c.srv.Callback == nil && c.srv.TLS == nil {
		err = c.worker.loop.Go(c.handle)
	} else {
		err = c.worker.loop.Schedule(c)
	}
	if err != nil {
		c.drop(err)
	}
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
	_ = socket.SetNoDelay(c.fd, true)
	stream, err := iostream.NewSocket(c.worker.loop, c.fd, &srv.stream)
	if err != nil {
		c.drop(err)
		return false
	}
	c.stream = stream
	if srv.IdleTimeout > 0 {
		_ = stream.SetIdleTimeout(srv.IdleTimeout)
	}
	srv.mu.Lock()
	ending, forcing := srv.cause != nil, srv.forcing
	srv.mu.Unlock()
	switch {
	case forcing:
		_ = stream.CloseWithError(ErrServerClosed)
	case ending:
		stream.CloseWhenIdle()
	}
	return true
}

// Run calls Callback, on the loop, or begins with TLS.
func (c *accepted) Run() {
	switch {
	case !c.open():
	case c.srv.TLS != nil:
		c.secure()
	default:
		c.srv.Callback(c.stream)
	}
}

// Fail implements ioloop.Failer: Callback has panicked.
func (c *accepted) Fail(err error) {
	if c.stream != nil {
		_ = c.stream.CloseWithError(err)
	}
}

// handle is the connection's task.
func (c *accepted) handle(t *ioloop.Task) {
	if c.open() {
		c.serve(t)
	}
}

// serve calls Handler, in the task.
func (c *accepted) serve(t *ioloop.Task) {
	err := ErrHandler // if Handler does not return
	defer func() {
		if err == nil {
			_ = c.stream.CloseAfterFlush(c.srv.linger())
		} else {
			c.failed(err)
		}
	}()
	err = c.srv.Handler(t, c.stream)
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
