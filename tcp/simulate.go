package tcp

import (
	"fmt"

	"github.com/eddyloop/eddy/internal/streamhook"
	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
)

func init() {
	streamhook.Simulate = func(server any, l *ioloop.Loop, transport any) (any, error) {
		return server.(*Server).simulate(l, transport.(iostream.Transport))
	}
}

// simulate serves a connection over a transport that a test has made, as if a
// listener had accepted it, on a loop that the test runs.
func (srv *Server) simulate(l *ioloop.Loop, t iostream.Transport) (*iostream.Stream, error) {
	if err := srv.check(); err != nil {
		return nil, err
	}
	first, err := srv.startSimulation(l)
	if err != nil {
		return nil, err
	}
	if first {
		srv.tellStarted([]*ioloop.Loop{l})
	}
	c, err := srv.admitSimulated(t)
	if err != nil {
		return nil, err
	}
	c.start() // before its stream looks at the transport; on a closed loop both fail
	c.stream, err = iostream.New(l, t, &srv.stream)
	return c.stream, err
}

// startSimulation is Serve for a loop that the caller runs, at the first call.
func (srv *Server) startSimulation(l *ioloop.Loop) (first bool, err error) {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	switch {
	case srv.cause != nil:
		return false, ErrServerClosed
	case len(srv.listeners) > 0 || srv.Group != nil:
		return false, fmt.Errorf("%w: a server with a Group or with addresses is not simulated", ErrInvalid)
	case !srv.started:
		srv.started = true
		srv.initLocked()
		return true, srv.startLocked([]*ioloop.Loop{l})
	case len(srv.workers) != 1 || srv.workers[0].loop != l:
		return false, fmt.Errorf("%w: the server serves on other loops", ErrInvalid)
	}
	return false, nil
}

// admitSimulated is admit, without a queue in the kernel to leave a connection in.
func (srv *Server) admitSimulated(t iostream.Transport) (*conn, error) {
	srv.mu.Lock()
	refusal := srv.fullLocked()
	if refusal != nil {
		srv.stats.Refused++
		srv.mu.Unlock()
		if a, ok := t.(iostream.Addresser); ok {
			srv.refused(a.LocalAddr(), refusal)
		}
		return nil, refusal
	}
	defer srv.mu.Unlock()
	return srv.newConnLocked(srv.workers[0]), nil
}
