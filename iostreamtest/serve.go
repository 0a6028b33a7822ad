package iostreamtest

import (
	"runtime"
	"time"

	"github.com/eddyloop/eddy/internal/streamhook"
	"github.com/eddyloop/eddy/iostream"
	"github.com/eddyloop/eddy/tcp"
)

// Serve has a server serve a client at the far end of a wire, exactly as it serves one
// that it has accepted: with its Message, Handler, Callback or NetListener, its TLS and
// ProxyProtocol, its limits and clocks (those of World.Clock), its Hooks and its Stats.
// The server needs no address and no Serve; it has no Group. Shutdown and Close end it
// (Shutdown waits: see RunWhile). It serves any number of wires, of one World.
//
// The stream that it returns is the server's; a test looks whether it is Closed and
// for which Err. The server begins with it at the next turn of the loop.
//
// It returns the error of Server.Serve if the server's fields make no sense, ErrInvalid
// for Options that do not, and why a client is refused: tcp.ErrMaxConns,
// tcp.ErrMaxHandshakes, iostream.ErrBudget or tcp.ErrServerClosed.
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

// RunWhile runs fn on a goroutine of its own, and the loop until fn has returned and
// the loop has nothing to do any more: for code that waits with a plain context, for a
// net.Conn of a stream, for tcp.Server.Shutdown. fn may use the methods of Wires, and
// Clock.Advance, but not the World's other methods. If fn never returns, neither does
// RunWhile.
//
// It returns fn's error, or else the loop's.
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
