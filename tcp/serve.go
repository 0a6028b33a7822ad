package tcp

import (
	"context"
	"errors"
	"fmt"

	"github.com/eddyloop/eddy/ioloop"
)

// ListenAndServe listens on one address and serves. See Listen and Serve.
func (srv *Server) ListenAndServe(ctx context.Context, network, address string) error {
	if _, err := srv.Listen(network, address); err != nil {
		return err
	}
	return srv.Serve(ctx)
}

// Serve accepts connections on all addresses given to Listen until the server
// is ended, and returns why: ErrServerClosed after Shutdown or Close,
// context.Cause(ctx) once ctx is done, which closes everything at once, or what
// failed. It never returns nil. A Server serves once; a second call returns
// ErrInvalid and changes nothing. A task is suspended meanwhile.
func (srv *Server) Serve(ctx context.Context) error {
	if task, ok := ctx.(*ioloop.Task); ok {
		_, err := ioloop.Await(task, func() (struct{}, error) { return struct{}{}, srv.Serve(task.Detach()) })
		return err
	}
	if err := ioloop.CheckContext(ctx); errors.Is(err, ioloop.ErrTaskContext) {
		return err
	}
	if err := srv.begin(); err != nil {
		return err
	}
	if err := srv.serve(ctx); err != nil {
		srv.end(err)
	}
	<-srv.idle
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
		if group, err = ioloop.NewGroup(srv.Loops, ioloop.Config{Logger: srv.Logger}); err != nil {
			return err
		}
		defer group.Close()
	}
	if err := srv.start(group); err != nil {
		return err
	}
	cancel := context.AfterFunc(ctx, func() { srv.end(context.Cause(ctx)) })
	defer cancel()
	if srv.Group == nil {
		srv.run(group)
	} else {
		<-srv.idle
	}
	return nil
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

// start has the loops of group accept.
func (srv *Server) start(group *ioloop.Group) error {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	if srv.cause != nil {
		return srv.cause
	}
	srv.stream = srv.Stream
	srv.stream.Closed = srv.streamClosed
	if srv.net != nil {
		srv.stream.AllowHalfClose = true // as of every net.Conn, before it is accepted too
	}
	for _, l := range group.Loops() {
		srv.workers = append(srv.workers, &worker{loop: l})
	}
	for i, l := range srv.listeners {
		if err := l.open(srv.workers[i%len(srv.workers)]); err != nil {
			return err
		}
	}
	return nil
}

// run runs a group of the server's own until the server has ended.
func (srv *Server) run(group *ioloop.Group) {
	result := make(chan error, 1)
	go func() { result <- group.Run(context.Background()) }()
	select {
	case <-srv.idle:
		group.Stop()
		<-result
	case err := <-result:
		if err == nil {
			err = errors.New("somebody stopped them")
		}
		srv.end(fmt.Errorf("tcp: loops ended: %w", err))
	}
}
