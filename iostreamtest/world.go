// Package iostreamtest plays the outside world to streams, so that a protocol
// can be tested under every chunking, delay and fault without a socket, a sleep
// or luck.
//
// A [Wire] is the far end of a simulated connection: what it is told to let
// arrive, the stream can read, and it knows what the stream has sent. A [World]
// is an event loop that runs only when it is asked to, on a clock that stands
// still, so that a test is the same in every run:
//
//	world := iostreamtest.NewWorld()
//	defer world.Close()
//	wire := iostreamtest.NewWire(iostreamtest.Options{ReadSize: 1})
//	stream, err := iostream.New(world.Loop, wire.Transport(), nil)
//	// ... start the protocol on stream, with callbacks or as a task ...
//	wire.Arrive("GET /\r\n")
//	err = world.Settle()
//	// ... and look at wire.Sent()
//
// A Wire serves streams on a running loop as well.
package iostreamtest

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/poller"
)

// ErrBusy is what Settle returns when the world does not come to rest.
var ErrBusy = errors.New("iostreamtest: the loop does not come to rest")

// World is a loop that runs when it is told to and has no descriptors. Its
// methods are for one goroutine at a time. Callbacks and tasks on the loop are
// deterministic; goroutines of the test's own run when the scheduler lets them.
type World struct {
	Loop  *ioloop.Loop
	Clock *ioloop.ManualClock
}

// NewWorld returns a World at rest, which has to be closed.
func NewWorld() *World {
	w := &World{Clock: new(ioloop.ManualClock)}
	l, err := ioloop.New(ioloop.Config{
		Clock:  w.Clock,
		Poller: noPoller{},
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		panic(err) // nothing that New does without a kernel can fail
	}
	w.Loop = l
	return w
}

// Step runs one turn of the loop, and reports whether it had anything to do.
func (w *World) Step() (bool, error) { return w.Loop.RunOnce() }

// maxTurns is far more than what any finite cause keeps the loop busy for.
const maxTurns = 100_000

// Settle runs the loop until it has nothing to do. It returns the error of
// Step, or ErrBusy if that does not come to be: something spins.
func (w *World) Settle() error {
	for range maxTurns {
		if worked, err := w.Step(); err != nil || !worked {
			return err
		}
	}
	return fmt.Errorf("%w within %d turns", ErrBusy, maxTurns)
}

// Advance lets time pass, and then settles.
func (w *World) Advance(d time.Duration) error {
	w.Clock.Advance(d)
	return w.Settle()
}

// Close closes the loop: its tasks are told to stop. Streams on Wires have no
// descriptors and are not told; close them before.
func (w *World) Close() error { return w.Loop.Close() }

// noPoller has no descriptors to wait for.
type noPoller struct{ poller.Unimplemented }

// Wait refuses to block: time passes by hand.
func (noPoller) Wait(_ []poller.Event, timeout time.Duration) (int, error) {
	if timeout != 0 {
		return 0, poller.ErrUnsupported
	}
	return 0, nil
}
