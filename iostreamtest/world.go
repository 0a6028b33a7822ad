// Package iostreamtest tests protocols on simulated connections, under every
// chunking, delay and fault, without sockets or sleeps.
//
// A [Wire] is the far end of a simulated connection: the stream reads what a
// test lets arrive there, and the wire records what the stream has sent. A
// [World] is an event loop that runs only when a test calls for it, on a clock
// that only the test moves, so every run is the same. World.Serve has the
// program's own tcp.Server serve a wire:
//
//	world := iostreamtest.NewWorld()
//	defer world.Close()
//	wire := iostreamtest.NewWire(iostreamtest.Options{ReadSize: 1})
//	stream, err := world.Serve(newServer(), wire)
//	wire.Arrive([]byte("GET /\r\n"))
//	err = world.Settle()
//	// ... and look at wire.Sent() and stream.Err()
//
// The examples show each style: callback, message, task, goroutine, net.Conn. A
// client of a protocol, or anything else without a server, starts with
// iostream.New(world.Loop, wire.Transport(), nil). [Pipe] connects both ends of
// a protocol. With Options.Seed a wire misbehaves as a network may, differently
// for each seed. Reset, FailReads, FailWrites, FailAttach, FailArm and
// FailProbe are faults. A Wire also serves a stream on a loop that runs by
// itself.
package iostreamtest

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/poller"
)

// ErrBusy is returned by Settle when the loop does not become idle.
var ErrBusy = errors.New("iostreamtest: the loop does not come to rest")

// World is a loop without descriptors that runs only when a test calls for it,
// on a clock that only the test moves. Call its methods from one goroutine at a
// time. Callbacks and tasks are deterministic; goroutines of the test run when
// the scheduler lets them.
type World struct {
	Loop  *ioloop.Loop
	Clock *ioloop.ManualClock
}

// NewWorld returns a World with nothing to do. The caller closes it.
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

// RunOnce runs one turn of the loop, and reports whether it had anything to do.
func (w *World) RunOnce() (bool, error) { return w.Loop.RunOnce() }

// maxTurns is far more than what any finite cause keeps the loop busy for.
const maxTurns = 100_000

// Settle runs the loop until it has nothing to do. It returns the error of
// RunOnce, or ErrBusy if the loop does not become idle.
func (w *World) Settle() error {
	for range maxTurns {
		if worked, err := w.RunOnce(); err != nil || !worked {
			return err
		}
	}
	return fmt.Errorf("%w within %d turns", ErrBusy, maxTurns)
}

// Advance calls Settle, moves the clock by d in one step, and calls Settle
// again.
func (w *World) Advance(d time.Duration) error {
	if err := w.Settle(); err != nil {
		return err
	}
	w.Clock.Advance(d)
	return w.Settle()
}

// Close closes the loop. Its tasks are told to stop, and streams that are open
// end with ioloop.ErrClosed.
func (w *World) Close() error { return w.Loop.Close() }

// noPoller has no descriptors to wait for. It takes noFD for one.
type noPoller struct{ poller.Unimplemented }

// noFD is what Wires register, so that the loop knows of their streams (see
// iostream.Streams). Other pollers refuse it.
const noFD = -1

func (noPoller) Add(int, poller.Token, poller.Interest, poller.Mode) error { return nil }

func (noPoller) Remove(int) error { return nil }

// Wait refuses to block: time passes by hand.
func (noPoller) Wait(_ []poller.Event, timeout time.Duration) (int, error) {
	if timeout != 0 {
		return 0, poller.ErrUnsupported
	}
	return 0, nil
}
