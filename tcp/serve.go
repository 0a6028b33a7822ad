package tcp

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/eddyloop/eddy/internal/streamhook"
	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
)

// ListenAndServe is Listen on one address and then Serve.
func (srv *Server) ListenAndServe(ctx context.Context, network, address string) error {
	if ctx == nil {
		return errNilContext
	}
	if _, err := srv.Listen(network, address); err != nil {
		return err
	}
	return srv.Serve(ctx)
}

var errNilContext = fmt.Errorf("%w: nil context", ErrInvalid)

// Serve accepts connections on all addresses given to Listen until the server
// ends. It never returns nil: the error is ErrServerClosed after Shutdown or
// Close, context.Cause(ctx) after ctx is done, which closes everything at once
// or, with DrainTimeout, in good order, or the error that it failed with. A
// Server serves once; a second call returns ErrInvalid and changes nothing.
// With an *ioloop.Task as ctx, Serve suspends the task.
//
// When Serve has returned, the server does not listen and its connections are
// over. The exceptions are a loop that is held up or does not run, and a
// Handler that goes on after its loop has told it to stop: Serve waits a second
// for these and then leaves them behind. Streams on a Group that has stopped
// are closed when the Group is.
func (srv *Server) Serve(ctx context.Context) error {
	if ctx == nil {
		return errNilContext
	}
	if task, ok := ctx.(*ioloop.Task); ok {
		_, err := ioloop.Await(task, func() (struct{}, error) { return struct{}{}, srv.Serve(task.Detach()) })
		return err
	}
	if err := ioloop.CheckContext(ctx); errors.Is(err, ioloop.ErrTaskContext) {
		return err
	}
	if err := ioloop.MayBlock(); err != nil {
		return err
	}
	if err := srv.begin(); err != nil {
		return err
	}
	if err := srv.serve(ctx); err != nil {
		srv.end(err)
	}
	srv.await(nil)
	srv.mu.Lock()
	defer srv.mu.Unlock()
	return srv.cause
}

// serve returns when the server has ended, or why it has to.
func (srv *Server) serve(ctx context.Context) error {
	if err := srv.check(); err != nil {
		return err
	}
	group := srv.Group
	if group == nil {
		var err error
		if group, err = ioloop.NewGroup(srv.Loops, ioloop.Config{Logger: srv.logger()}); err != nil {
			return err
		}
		defer group.Close()
	}
	srv.tellStarted(group.Loops())
	if err := srv.start(group); err != nil {
		return err
	}
	cancel := context.AfterFunc(ctx, func() { srv.endWith(ctx) })
	defer cancel()
	unbound := time.AfterFunc(listenTime, srv.warnUnbound)
	defer unbound.Stop()
	if srv.Group == nil {
		srv.run(group)
	} else {
		srv.await(nil)
	}
	return nil
}

// listenTime is how long after Serve the first Listen may come. Only then does the log say
// that it is missing: it is no error at once, as another goroutine may be about to call it.
const listenTime = time.Second

// warnUnbound has the log say that Listen was forgotten.
func (srv *Server) warnUnbound() {
	srv.mu.Lock()
	unbound := !srv.listened && srv.net == nil && srv.cause == nil
	srv.mu.Unlock()
	if unbound {
		srv.logger().Warn("the server serves nothing: call Listen before Serve, or ListenAndServe")
	}
}

// endWith ends the server because the context of Serve is done.
func (srv *Server) endWith(ctx context.Context) {
	if srv.DrainTimeout == 0 {
		srv.end(context.Cause(ctx))
		return
	}
	limit, cancel := context.WithTimeout(context.Background(), srv.DrainTimeout)
	defer cancel()
	_ = srv.finish(limit, context.Cause(ctx))
}

func (srv *Server) begin() error {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	switch {
	case srv.started:
		return fmt.Errorf("%w: Serve was called before", ErrInvalid)
	case srv.cause != nil:
		return ErrServerClosed
	}
	srv.started = true
	srv.initLocked()
	return nil
}

// tellStarted calls the hook of that name.
func (srv *Server) tellStarted(loops []*ioloop.Loop) {
	if srv.Hooks.Started != nil {
		srv.Hooks.Started(loops)
	}
}

// start has the loops of a group accept.
func (srv *Server) start(group *ioloop.Group) error {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	if srv.cause != nil {
		return srv.cause
	}
	return srv.startLocked(group.Loops())
}

func (srv *Server) startLocked(loops []*ioloop.Loop) error {
	srv.stream = srv.Stream
	srv.stream.MessageTimeout = orDefault(srv.Stream.MessageTimeout, DefaultMessageTimeout)
	srv.stream.SendTimeout = orDefault(srv.Stream.SendTimeout, DefaultSendTimeout)
	srv.stream.OnClosed = srv.streamClosed
	if srv.Message != nil {
		streamhook.OnTasks(&srv.stream, srv.messageTasks())
	}
	for _, l := range loops {
		srv.workers = append(srv.workers, &worker{loop: l, conns: make(map[*iostream.Stream]*conn)})
	}
	for i, l := range srv.listeners {
		if err := l.openLocked(srv.workers[i%len(srv.workers)]); err != nil {
			return err
		}
	}
	return nil
}

// run runs a group of the server's own until the server has ended.
func (srv *Server) run(group *ioloop.Group) {
	result, ended := make(chan error, 1), make(chan struct{})
	go func() {
		result <- group.Run(context.Background())
		close(ended)
	}()
	srv.await(ended)
	select {
	case err := <-result:
		if err == nil {
			err = errors.New("somebody stopped them")
		}
		srv.end(fmt.Errorf("tcp: loops ended: %w", err))
		return
	default:
	}
	group.Stop() // tells Handlers that still run
	select {
	case <-ended:
	case <-time.After(patience):
	}
}

// patience is how long what was told to end may take without anything ending.
const patience = time.Second

// await waits until the server has ended and nothing is open any more, or done
// is closed. It gives up, having closed everything by force, when nothing ends
// any more: a loop is held up or has ended, or a Handler does not return.
func (srv *Server) await(done <-chan struct{}) {
	select {
	case <-srv.idle:
		return
	case <-done:
		return
	case <-srv.forced:
	}
	if srv.abandoned.Load() {
		return
	}
	ticker := time.NewTicker(patience / 100)
	defer ticker.Stop()
	left, since := srv.left(), time.Now()
	for {
		select {
		case <-srv.idle:
			return
		case <-done:
			return
		case now := <-ticker.C:
			if l := srv.left(); l != left {
				left, since = l, now
			} else if now.Sub(since) > patience {
				srv.abandon()
				return
			}
		}
	}
}

// left returns how much is still open.
func (srv *Server) left() int {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	return srv.open + len(srv.listeners)
}
