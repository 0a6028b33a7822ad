//go:build unix

package iostream_test

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/eddyloop/eddy/internal/allocs"
	"github.com/eddyloop/eddy/internal/testtime"
	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
	"github.com/eddyloop/eddy/iostreamtest"
	"github.com/eddyloop/eddy/poller"
	"github.com/stretchr/testify/require"
)

// These tests hold what a message costs, in calls and not in time: what is
// counted does not depend on how fast the machine is.

// countedMessages are enough for one call too many in ten to show.
const countedMessages = 200

// loopStyles are those echoes that run on the loop alone. What goroutines cost
// depends on who comes first.
func loopStyles(t *testing.T, test func(t *testing.T, start func(testing.TB, *iostream.Stream))) {
	for _, echo := range echoes {
		if echo.name != "goroutine" {
			t.Run(echo.name, func(t *testing.T) { test(t, echo.start) })
		}
	}
	t.Run("message", func(t *testing.T) { test(t, startMessageEcho) })
}

func startMessageEcho(t testing.TB, s *iostream.Stream) {
	require.NoError(t, s.HandleTask(iostream.Until("\n"), func(_ *ioloop.Task, s *iostream.Stream, line []byte) error {
		_, err := s.Write(line)
		return err
	}))
}

// TestMessageAllocations: one for sixteen bursts of messages, which makes their Tasks.
func TestMessageAllocations(t *testing.T) {
	testtime.WholeTurns(t) // else an answer comes in pieces
	if raceEnabled {
		t.Skip("the race detector allocates on its own")
	}
	client := echoPair(t, startMessageEcho)
	for _, lines := range []int{1, 16} {
		message := []byte(strings.Repeat("message\n", lines))
		answer := make([]byte, len(message))
		average := allocs.PerRun(20, func() {
			for range countedMessages {
				roundTrip(client, message, answer)
			}
		})
		require.InDelta(t, 1.0/16, average/countedMessages, 0.02, "allocations for each burst of %d", lines)
	}
}

// TestTransportCallsForEachMessage: one Read that takes it, one Write that sends
// the answer, nothing else. A socket's are system calls.
func TestTransportCallsForEachMessage(t *testing.T) {
	testtime.WholeTurns(t)
	loopStyles(t, func(t *testing.T, start func(testing.TB, *iostream.Stream)) {
		testTransportCalls(t, nil, start)
		budget, err := iostream.NewBudget(1 << 30) // such a stream has no express
		require.NoError(t, err)
		testTransportCalls(t, &iostream.Config{Budget: budget}, start)
	})
}

func testTransportCalls(t *testing.T, config *iostream.Config, start func(testing.TB, *iostream.Stream)) {
	w := iostreamtest.NewWire(iostreamtest.Options{})
	// On a clock that stands still a turn is not cut short, however slow the machine.
	l := startLoop(t, ioloop.Config{Clock: new(ioloop.ManualClock)})
	s, err := iostream.New(l, w.Transport(), config)
	require.NoError(t, err)
	start(t, s)
	exchange := func(message string) {
		sent := len(w.Sent())
		w.Arrive([]byte(message))
		for len(w.Sent()) < sent+len(message) {
			onLoop(t, l, func() {})
		}
	}
	exchange("first\n")
	before := w.State()
	for range countedMessages {
		exchange("message\n")
	}
	require.Equal(t, countedMessages, w.State().Reads-before.Reads, "reads")
	require.Equal(t, countedMessages, w.State().Writes-before.Writes, "writes")
	require.Zero(t, w.State().Arms-before.Arms, "changes of interest")

	before = w.State()
	exchange(strings.Repeat("message\n", 16)) // at once: a share of a turn
	require.Equal(t, 1, w.State().Reads-before.Reads, "reads of pipelined messages")
	require.Equal(t, 1, w.State().Writes-before.Writes, "writes of pipelined messages")

	before = w.State()
	w.Arrive([]byte("mess"))
	quiet(t, l)
	exchange("age\n")
	require.Equal(t, 2, w.State().Reads-before.Reads, "reads of a message in two pieces")
	require.NoError(t, s.Close())
}

// TestPollerCallsForEachMessage: one Wait, no change of what is watched, no
// Wake.
func TestPollerCallsForEachMessage(t *testing.T) {
	loopStyles(t, func(t *testing.T, start func(testing.TB, *iostream.Stream)) {
		system, err := poller.New()
		require.NoError(t, err)
		p := &countedPoller{Poller: system}
		client := echoPairOn(t, startLoop(t, ioloop.Config{Poller: p, Clock: new(ioloop.ManualClock)}), start)
		message, answer := []byte("message\n"), make([]byte, 8)
		for range 10 {
			roundTrip(client, message, answer)
		}
		waits, changes, wakes := p.waits.Load(), p.changes.Load(), p.wakes.Load()
		for range countedMessages {
			roundTrip(client, message, answer)
		}
		require.EqualValues(t, countedMessages, p.waits.Load()-waits, "waits")
		require.Zero(t, p.changes.Load()-changes, "changes of interest")
		require.Zero(t, p.wakes.Load()-wakes, "wakes")
	})
}

// countedPoller counts calls.
type countedPoller struct {
	poller.Poller
	waits, changes, wakes atomic.Int64
	signalled             bool
}

func (p *countedPoller) Wait(events []poller.Event, timeout time.Duration) (int, error) {
	n, err := p.Poller.Wait(events, timeout)
	switch {
	case n == 0 && timeout != 0: // a signal, as the runtime sends them
		p.signalled = true
		return n, err
	case n > 0 || !p.signalled: // else it is the look that follows a signal
		p.waits.Add(1)
	}
	p.signalled = false
	return n, err
}

func (p *countedPoller) Modify(fd int, token poller.Token, interest poller.Interest, mode poller.Mode) error {
	p.changes.Add(1)
	return p.Poller.Modify(fd, token, interest, mode)
}

func (p *countedPoller) Wake() error {
	p.wakes.Add(1)
	return p.Poller.Wake()
}

// TestNetConnAllocatesNothing: a Read and a Write that succeed.
func TestNetConnAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates on its own")
	}
	client := echoPair(t, func(_ testing.TB, s *iostream.Stream) {
		go func() {
			for c, p := s.NetConn(), make([]byte, 64); ; {
				n, err := c.Read(p)
				if err != nil {
					return
				}
				_, _ = c.Write(p[:n])
			}
		}()
	})
	message, answer := []byte("message\n"), make([]byte, 8)
	average := allocs.PerRun(20, func() {
		for range countedMessages {
			roundTrip(client, message, answer)
		}
	})
	require.Less(t, average/countedMessages, 0.01, "allocations for each message")
}

// Whatever a call waits for, the next one uses the same memory.
func TestWaitsUseTheirMemoryAgain(t *testing.T) {
	made := iostream.CountMade(t)
	for name, wait := range map[string]func(task *ioloop.Task, s *iostream.Stream) error{
		"flush": func(task *ioloop.Task, s *iostream.Stream) error {
			_, _ = s.Write([]byte("x"))
			return s.Flush(task)
		},
		"read": func(task *ioloop.Task, s *iostream.Stream) error {
			_, err := s.Read(task, iostream.Bytes(1))
			return err
		},
		"read into": func(task *ioloop.Task, s *iostream.Stream) error {
			_, err := s.ReadAtLeast(task, make([]byte, 1), 1)
			return err
		},
		"read into, callback": func(task *ioloop.Task, s *iostream.Stream) error {
			_ = s.ReadAtLeastFunc(make([]byte, 1), 1, func(int, error) {})
			return s.WaitReadClosed(task)
		},
		"read closed": func(task *ioloop.Task, s *iostream.Stream) error { return s.WaitReadClosed(task) },
		"closed":      func(task *ioloop.Task, s *iostream.Stream) error { return s.WaitClosed(task) },
	} {
		t.Run(name, func(t *testing.T) {
			w := iostreamtest.NewWorld()
			defer w.Close()
			made.Store(0)
			done := 0
			for range countedMessages {
				wire := fullWire()
				s, err := iostream.New(w.Loop, wire.Transport(), nil)
				require.NoError(t, err)
				require.NoError(t, w.Loop.Go(func(task *ioloop.Task) {
					if wait(task, s) == nil {
						done++
					}
				}))
				require.NoError(t, w.Settle())
				require.Equal(t, 1, w.Loop.Stats().Tasks, "it waits")
				wire.Arrive([]byte("x"))
				wire.AddWindow(1)
				wire.FIN()
				if name == "closed" {
					s.Abort(nil)
				}
				require.NoError(t, w.Settle())
				s.Abort(nil)
			}
			require.Equal(t, countedMessages, done)
			require.Less(t, made.Load(), int64(countedMessages*3/4), "a collection, and the race detector, empty pools")
		})
	}
}

// Nor does StartTLS cost memory for good, whatever it comes to.
func TestStartTLSUsesItsMemoryAgain(t *testing.T) {
	w := iostreamtest.NewWorld()
	defer w.Close()
	for want, side := range map[error]iostream.TLS{
		iostream.ErrInvalid: iostream.TLSClient(nil),
		errPlayed:           iostream.TLSServer(serverConfig(0)),
	} {
		made := iostream.CountMade(t)
		for range countedMessages {
			wire := iostreamtest.NewWire(iostreamtest.Options{})
			wire.FailReads(errPlayed)
			s, err := iostream.New(w.Loop, wire.Transport(), nil)
			require.NoError(t, err)
			require.NoError(t, w.Loop.Go(func(task *ioloop.Task) { err = s.StartTLS(task, side) }))
			require.NoError(t, w.Settle())
			requireIs(t, err, want)
			s.Abort(nil)
		}
		require.Less(t, made.Load(), int64(countedMessages*3/4), want)
	}
}

// The transport is told what to listen for when it is attached, and not once more.
func TestAttachSaysWhatToListenFor(t *testing.T) {
	w := iostreamtest.NewWorld()
	defer w.Close()
	for _, reads := range []bool{false, true} {
		wire := iostreamtest.NewWire(iostreamtest.Options{})
		s, err := iostream.New(w.Loop, wire.Transport(), nil)
		require.NoError(t, err)
		if reads {
			require.NoError(t, s.ReadFunc(iostream.Until("\n"), func([]byte, error) {}))
		}
		require.NoError(t, w.Settle())
		require.Zero(t, wire.State().Arms)
		s.Abort(nil)
	}
}
