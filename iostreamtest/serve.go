package iostreamtest

import (
	"runtime"
	"time"

	"github.com/eddyloop/eddy/internal/streamhook"
	"github.com/eddyloop/eddy/iostream"
	"github.com/eddyloop/eddy/tcp"
)

// Serve has srv serve a client at the far end of wire, as it serves a
// connection that it has accepted: with its Message, Handler, Callback or
// NetListener, its TLS and ProxyProtocol, its limits and time-outs (on
// World.Clock), its Hooks and its Stats. The server has no Group, no address
// and no Serve. Shutdown and Close end it; Shutdown waits, so call it in
// RunWhile. A server may serve any number of wires of one World.
//
// The stream that Serve returns belongs to the server, which begins with it at
// the next turn of the loop. A test may look at its Closed and Err.
//
// Serve returns the error that Server.Serve returns for fields out of range,
// ErrInvalid for Options out of range, and for a client that is refused
// tcp.ErrMaxConns, tcp.ErrMaxHandshakes, iostream.ErrBudget or
// tcp.ErrServerClosed.
func (w *World) Serve(srv *tcp.Server, wire *Wire) (*iostream.Stream, error) {
	if err := wire.options.check(); err != nil {
		return nil, err
	}
	s, err := streamhook.Simulate(srv, w.Loop, wire.Transport())
	if err != nil {
		return nil, err
	}
	return s.(*iostream.Stream), nil
}

// RunWhile runs fn on a goroutine of its own, and the loop until fn has
// returned and the loop has nothing to do. It is for code that waits with a
// plain context, such as a net.Conn of a stream or tcp.Server.Shutdown. fn may
// use the methods of Wires and Clock.Advance, but not the World's other
// methods. If fn never returns, neither does RunWhile. RunWhile returns the
// error of fn, or else of the loop.
func (w *World) RunWhile(fn func() error) error {
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		err = fn()
	}()
	for {
		worked, loopErr := w.RunOnce()
		select {
		case <-done:
			if err != nil {
				return err
			}
			if loopErr != nil {
				return loopErr
			}
			return w.Settle()
		default:
		}
		if loopErr != nil { // what fn waits for may be told of it
			<-done
			continue
		}
		if !worked {
			w.rest()
		}
	}
}

// rest leaves the processor to goroutines that may give the loop something to do.
func (w *World) rest() {
	runtime.Gosched()
	time.Sleep(20 * time.Microsecond)
}
