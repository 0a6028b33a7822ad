package tcp

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/eddyloop/eddy/internal/streamhook"
	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
)

// DrainCounts count how the connections ended that were open when their server
// was told to end, or were accepted after that.
type DrainCounts struct {
	Drained int // in good order, when nothing was under way any more
	Silent  int // they had yet to send the first byte of a PROXY header or of TLS
	Forced  int // by force
}

// Shutdown ends the server in good order. It accepts the clients that have
// connected already and then no more, closes every stream as soon as it is
// idle, and waits until all have closed and every Handler has returned. A
// stream is idle when a read waits for a message of which nothing has come,
// everything written is sent, and there is no iostream.Stream.Hold. Serve then
// returns, and every call of Shutdown returns the same counts.
//
// When ctx is done first, Shutdown closes the rest at once and returns the
// error of ctx. If for a second none of the loops that still have something to
// close has run, it closes the rest and returns ErrLoopsStopped. Connections
// that do not end even then (see Serve) are not counted. With DrainTimeout, the
// end of Serve's context begins a Shutdown too.
//
// A connection that NetListener has returned, or will return, is never idle:
// Shutdown waits until it is closed. So first shut down what serves it, for
// instance by http.Server.Shutdown.
//
// A task may call Shutdown; if its context is done first, the counts are zero.
// A Handler that calls it waits for its own connection too and should set a
// limit (see ioloop.Task.WithTimeout). A callback must not call it, since it
// would block the loop.
func (srv *Server) Shutdown(ctx context.Context) (DrainCounts, error) {
	if ctx == nil {
		return DrainCounts{}, errNilContext
	}
	if task, ok := ctx.(*ioloop.Task); ok {
		return ioloop.Await(task, func() (DrainCounts, error) { return srv.Shutdown(task.Detach()) })
	}
	if err := ioloop.CheckContext(ctx); errors.Is(err, ioloop.ErrTaskContext) {
		return DrainCounts{}, err
	}
	if err := ioloop.MayBlock(); err != nil {
		return DrainCounts{}, err
	}
	err := srv.finish(ctx, ErrServerClosed)
	srv.await(nil)
	srv.mu.Lock()
	defer srv.mu.Unlock()
	if err == ErrLoopsStopped && srv.drain.Forced == 0 {
		err = nil // there was nothing for the loops to do
	}
	return srv.drain, err
}

// finish has the server end in good order, and by force if ctx is done first; it returns
// why that was.
func (srv *Server) finish(ctx context.Context, cause error) error {
	srv.stop(cause, true)
	srv.each(srv.drainStream)
	err := srv.awaitDrained(ctx)
	if err != nil {
		srv.force()
	}
	if err == ErrLoopsStopped {
		srv.abandon()
	}
	return err
}

// awaitDrained waits until nothing is open any more, or somebody has ended the server
// by force, or returns why that is not waited for.
func (srv *Server) awaitDrained(ctx context.Context) error {
	ticker := time.NewTicker(patience / 10)
	defer ticker.Stop()
	for since := time.Now(); ; {
		select {
		case <-srv.idle:
			return nil
		case <-srv.forced:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		case now := <-ticker.C:
			if srv.loopsRun() {
				since = now
			} else if now.Sub(since) > patience {
				return ErrLoopsStopped
			}
		}
	}
}

// loopsRun reports whether one of the loops runs on which something is open.
func (srv *Server) loopsRun() bool {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	for _, w := range srv.workers {
		listens := slices.ContainsFunc(srv.listeners, func(l *listener) bool { return l.worker == w })
		if (w.open > 0 || listens) && w.loop.Kit().Running() {
			return true
		}
	}
	return false
}

// drainStream has a stream closed as soon as it is idle.
func (srv *Server) drainStream(s *iostream.Stream) {
	if srv.net == nil { // a net.Conn is its user's to close
		streamhook.CloseWhenIdle(s)
		return
	}
	if c := srv.workerOf(s.Loop()).conns[s]; c != nil && c.silent {
		streamhook.CloseWhenIdle(s)
	}
}

// Close ends the server at once: it stops accepting and closes every stream by
// force. It returns nil and does not wait; Serve does.
func (srv *Server) Close() error {
	srv.end(ErrServerClosed)
	return nil
}

// end stops accepting and closes every stream. See stop.
func (srv *Server) end(cause error) bool {
	first := srv.stop(cause, false)
	srv.force()
	return first
}

// stop stops accepting, after a last sweep if it is to be one. It reports whether
// nobody had ended the server before.
func (srv *Server) stop(cause error, sweep bool) bool {
	srv.mu.Lock()
	srv.initLocked()
	first := srv.cause == nil
	if first {
		srv.cause = cause
	}
	listeners := slices.Clone(srv.listeners)
	srv.checkIdleLocked()
	queue, fed := srv.net, srv.fed
	srv.mu.Unlock()
	if queue != nil {
		queue.end(sweep)
	}
	for _, l := range fed {
		l.end(sweep)
	}
	for _, l := range listeners {
		if sweep && queue == nil {
			l.sweep()
		} else {
			l.close()
		}
	}
	return first
}

// force closes every stream.
func (srv *Server) force() {
	srv.mu.Lock()
	if !srv.forcing {
		srv.forcing = true
		close(srv.forced)
		srv.drain.Forced = srv.open
	}
	srv.mu.Unlock()
	srv.each(func(s *iostream.Stream) { s.Abort(ErrServerClosed) })
}

// each calls fn on each loop for each stream of the server there. One that is
// being accepted sees to itself, in conn.announce.
func (srv *Server) each(fn func(*iostream.Stream)) {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	for _, w := range srv.workers {
		_ = w.loop.Post(func() {
			for s := range iostream.Streams(w.loop) {
				if streamhook.HasConfig(s, &srv.stream) {
					fn(s)
				}
			}
		})
	}
}

// abandon stops listening whatever the loops do. A loop that goes on later finds
// nothing to accept, and then releases what it knows of the listener.
func (srv *Server) abandon() {
	srv.abandoned.Store(true)
	srv.mu.Lock()
	defer srv.mu.Unlock()
	for _, l := range slices.Clone(srv.listeners) {
		l.abandonLocked()
	}
}

func (srv *Server) initLocked() {
	if srv.idle == nil {
		srv.idle = make(chan struct{})
		srv.forced = make(chan struct{})
	}
}

// checkIdleLocked closes srv.idle when the server is ended and nothing is open.
func (srv *Server) checkIdleLocked() {
	if srv.cause == nil || srv.open > 0 || len(srv.listeners) > 0 {
		return
	}
	select {
	case <-srv.idle:
	default:
		close(srv.idle)
	}
}
