package tcp

import (
	"context"
	"errors"
	"slices"

	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
)

// Drain tells how the connections ended that were open when their server was:
// in good order or by force.
type Drain struct {
	Drained int
	Forced  int
}

// Shutdown ends the server in good order. It stops accepting, closes every
// stream as soon as it is idle (see iostream.Stream.CloseWhenIdle), and waits
// until all have closed. If ctx is done first, it closes the rest at once and
// returns the context's error. Either way Serve then returns. Every call
// returns the same numbers.
//
// A task may call it, and if its context is done first has no numbers. A
// Handler that does waits for its own connection too, so it should set a limit
// (see ioloop.Task.WithTimeout). A callback would hold the loop.
func (srv *Server) Shutdown(ctx context.Context) (Drain, error) {
	if task, ok := ctx.(*ioloop.Task); ok {
		return ioloop.Await(task, func() (Drain, error) { return srv.Shutdown(task.Detach()) })
	}
	if err := ioloop.CheckContext(ctx); errors.Is(err, ioloop.ErrTaskContext) {
		return Drain{}, err
	}
	srv.stop(ErrServerClosed)
	srv.each((*iostream.Stream).CloseWhenIdle)
	var err error
	select {
	case <-srv.idle:
	case <-ctx.Done():
		err = ctx.Err()
		srv.force()
		<-srv.idle
	}
	srv.mu.Lock()
	defer srv.mu.Unlock()
	return srv.drain, err
}

// Close ends the server at once: it stops accepting and closes every stream. It
// does not wait for that; Serve does. It always returns nil.
func (srv *Server) Close() error {
	srv.end(ErrServerClosed)
	return nil
}

// end stops accepting and closes every stream. See stop.
func (srv *Server) end(cause error) bool {
	first := srv.stop(cause)
	srv.force()
	return first
}

// stop stops accepting. It reports whether nobody had ended the server before.
func (srv *Server) stop(cause error) bool {
	srv.mu.Lock()
	srv.initLocked()
	first := srv.cause == nil
	if first {
		srv.cause = cause
		srv.drain.Drained = srv.conns
	}
	listeners := slices.Clone(srv.listeners)
	srv.checkIdleLocked()
	queue := srv.net
	srv.mu.Unlock()
	if queue != nil {
		queue.end()
	}
	closeAll(listeners)
	return first
}

// force closes every stream.
func (srv *Server) force() {
	srv.mu.Lock()
	if !srv.forcing {
		srv.forcing = true
		srv.drain.Forced = srv.conns
		srv.drain.Drained -= srv.conns
	}
	srv.mu.Unlock()
	srv.each(func(s *iostream.Stream) { _ = s.CloseWithError(ErrServerClosed) })
}

// each calls fn on each loop for each stream of the server there. One that is
// being accepted sees to itself, in accepted.open.
func (srv *Server) each(fn func(*iostream.Stream)) {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	for _, w := range srv.workers {
		_ = w.loop.Post(func() {
			for s := range iostream.Streams(w.loop) {
				if s.Config() == &srv.stream {
					fn(s)
				}
			}
		})
	}
}

func (srv *Server) initLocked() {
	if srv.idle == nil {
		srv.idle = make(chan struct{})
	}
}

// checkIdleLocked closes srv.idle when the server is ended and nothing is open.
func (srv *Server) checkIdleLocked() {
	if srv.cause == nil || srv.conns > 0 || len(srv.listeners) > 0 {
		return
	}
	select {
	case <-srv.idle:
	default:
		close(srv.idle)
	}
}
