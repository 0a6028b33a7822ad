//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd || windows

package pollertest

import (
	"errors"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/eddyloop/eddy/internal/posix"
	"github.com/eddyloop/eddy/internal/testtime"
	"github.com/eddyloop/eddy/poller"
	"github.com/stretchr/testify/require"
)

const (
	r  = poller.Readable
	w  = poller.Writable
	pc = poller.PeerClosed

	level   = poller.Level
	edge    = poller.Edge
	oneShot = poller.OneShot
)

// patience is how long something that must happen may take.
var patience = testtime.Patience(20 * time.Second)

// quiet is how long something that must not happen is waited for.
const quiet = 3 * time.Millisecond

// Limits are what a kernel can't do. The suite then checks that what happens
// instead is what package poller says.
type Limits uint16

const (
	// NoEdges: mode Edge is refused.
	NoEdges Limits = 1 << iota

	// NoFD: FD is -1, and the Poller can't be watched by another.
	NoFD

	// LateEnd: that the peer has ended its stream is learned only when all data
	// before it has been read.
	LateEnd

	// NoFIFOs: FIFOs are refused, pipes are not.
	NoFIFOs

	// NullPolls: the null device isn't refused.
	NullPolls

	// NoFIFOWriters: the writing ends of FIFOs are refused.
	NoFIFOWriters

	// NoPipes: sockets alone can be watched. Pipes are played by sockets then.
	NoPipes

	// NoSignals: no signal interrupts a wait.
	NoSignals

	// NoHangup: there is no hint that both sides have finished.
	NoHangup

	// OwnEndUntold: the end that a socket has itself set to its reading is no event.
	OwnEndUntold

	// KeepsErrors: SO_ERROR is not gone when it has been read.
	KeepsErrors

	// NoNumbers: the system alone gives descriptors their numbers.
	NoNumbers

	// UntoldDatagrams: that nobody takes datagrams is not told.
	UntoldDatagrams

	// Late: what the system notices may take a moment to reach the Poller.
	Late

	// ResetsAreEnds: reading after a reset finds an end, without the error.
	ResetsAreEnds

	// TellsPassed: what has come and gone between two waits may be told once.
	TellsPassed
)

// Run runs the suite on Pollers made by newPoller.
func Run(t *testing.T, newPoller func() (poller.Poller, error), limits Limits) {
	warmUp(t)
	if runtime.GOOS == "darwin" {
		limits |= NoFIFOs
	}
	if runtime.GOOS != "linux" {
		limits |= NullPolls
	}
	s := suite{newPoller, limits | systemLimits}
	t.Run("Lifecycle", s.lifecycle)
	t.Run("Registration", s.registration)
	t.Run("Concurrency", s.concurrency)
	t.Run("Events", s.events)
	t.Run("Reuse", s.reuse)
	t.Run("Modes", s.inModes)
	t.Run("Closing", s.closing)
	t.Run("Reset", s.reset)
	t.Run("CloseWatch", s.closeWatch)
	t.Run("Pipe", s.pipes)
	t.Run("Connect", s.connecting)
	t.Run("Datagram", s.datagrams)
	t.Run("Listener", s.listener)
	t.Run("Wake", s.wake)
	t.Run("Time", s.timing)
	t.Run("Stress", s.stress)
	t.Run("Random", s.random)
}

// warmUp makes the runtime open the descriptors that it keeps.
func warmUp(t *testing.T) {
	a, b, err := os.Pipe()
	require.NoError(t, err)
	a.Close()
	b.Close()
	raiseFileLimit()
}

type suite struct {
	newPoller func() (poller.Poller, error)
	limits    Limits
}

// modes are those that the kernel has.
func (s suite) modes() map[string]poller.Mode {
	modes := map[string]poller.Mode{"Level": level, "Edge": edge, "OneShot": oneShot}
	if s.limits&NoEdges != 0 {
		delete(modes, "Edge")
	}
	return modes
}

// harness is what a scenario works with: a Poller, and descriptors that are
// closed in the end.
type harness struct {
	*testing.T
	poller.Poller
	suite suite
	fds   map[int]bool
	buf   []poller.Event
}

// run runs one scenario and checks that no descriptor is left open.
func (s suite) run(t *testing.T, name string, scenario func(h *harness)) {
	t.Run(name, func(t *testing.T) {
		before := openFDs()
		t.Cleanup(func() {
			if !t.Failed() {
				require.Equal(t, before, openFDs(), "descriptors before and after")
			}
		})
		h := &harness{T: t, suite: s, fds: map[int]bool{}, buf: make([]poller.Event, 64)}
		h.Poller = h.another()
		t.Cleanup(func() {
			for fd := range h.fds {
				posix.Close(fd)
			}
		})
		scenario(h)
	})
}

// unless skips a scenario that asks more than the kernel can do.
func (h *harness) unless(limit Limits) {
	if h.suite.limits&limit != 0 {
		h.Skip("the kernel can't do this: ", map[Limits]string{
			NoEdges:         "no edges",
			NoFD:            "no descriptor of its own",
			NoPipes:         "no pipes",
			NoSignals:       "no signals",
			NoNumbers:       "numbers can't be chosen",
			UntoldDatagrams: "unreachable ports are not told",
			OwnEndUntold:    "its own end of reading is not told",
		}[limit])
	}
}

// another returns one more Poller, which is closed in the end.
func (h *harness) another() poller.Poller {
	p, err := h.suite.newPoller()
	require.NoError(h.T, err)
	h.Cleanup(func() { p.Close() })
	return p
}

// streams runs a scenario over TCP and over Unix sockets.
func (s suite) streams(t *testing.T, name string, scenario func(h *harness, a, b int)) {
	s.run(t, name+"/TCP", func(h *harness) {
		a, b := h.tcp()
		scenario(h, a, b)
	})
	s.run(t, name+"/Unix", func(h *harness) {
		a, b := h.pair()
		scenario(h, a, b)
	})
}

// eachMode runs a scenario in every mode.
func (s suite) eachMode(t *testing.T, name string, scenario func(h *harness, mode poller.Mode)) {
	for mode, value := range s.modes() {
		s.run(t, name+"/"+mode, func(h *harness) { scenario(h, value) })
	}
}

func (h *harness) add(fd int, token poller.Token, interest poller.Interest, mode poller.Mode) {
	h.Helper()
	require.NoError(h.T, h.Add(fd, token, interest, mode))
}

func (h *harness) modify(fd int, token poller.Token, interest poller.Interest, mode poller.Mode) {
	h.Helper()
	require.NoError(h.T, h.Modify(fd, token, interest, mode))
}

func (h *harness) remove(fd int) {
	h.Helper()
	require.NoError(h.T, h.Remove(fd))
}

// batch waits until there are events.
func (h *harness) batch() []poller.Event {
	h.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); {
		n, err := h.Wait(h.buf, time.Second)
		require.NoError(h.T, err)
		if n > 0 {
			return h.buf[:n]
		}
	}
	require.FailNow(h.T, "no event")
	return nil
}

// next waits for one event.
func (h *harness) next() poller.Event {
	h.Helper()
	events := h.batch()
	require.Len(h.T, events, 1)
	return events[0]
}

// expect waits for one event, which must be of token and have found ready.
func (h *harness) expect(token poller.Token, ready poller.Interest) poller.Event {
	h.Helper()
	ev := h.next()
	require.Equal(h.T, token, ev.Token, "token")
	require.Equal(h.T, ready, ev.Ready, "ready")
	return ev
}

// silent checks that there are no events, now and for a short while, and that
// no time is spent on finding none.
func (h *harness) silent() {
	h.Helper()
	h.silentFor(quiet)
}

func (h *harness) silentFor(d time.Duration) {
	h.Helper()
	n, err := h.Wait(h.buf, 0)
	require.NoError(h.T, err)
	require.Empty(h.T, h.buf[:n])
	for tries := 10; ; tries-- {
		spent := h.waitInVain(d)
		if d < idle || spent < d/2 {
			return
		}
		// A machine under load charges time to whoever runs; one that spins
		// does so every time.
		require.Positive(h.T, tries, "time spent on waiting for nothing: %v of %v", spent, d)
	}
}

// waitInVain waits for d, in which nothing must come, and returns the time that
// the thread has worked meanwhile.
func (h *harness) waitInVain(d time.Duration) time.Duration {
	h.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before, end := cpuTime(), time.Now().Add(d)
	for left := d; left > 0; left = time.Until(end) {
		n, err := h.Wait(h.buf, left)
		require.NoError(h.T, err)
		require.Empty(h.T, h.buf[:n])
	}
	return cpuTime() - before
}

// idle is long enough to see in the CPU time whether waiting spins.
const idle = 40 * time.Millisecond

// eventually waits for what other goroutines or the kernel bring about.
func (h *harness) eventually(what string, cond func() bool) {
	h.Helper()
	for end := time.Now().Add(patience); !cond(); time.Sleep(time.Millisecond) {
		require.True(h.T, time.Now().Before(end), what)
	}
}

// waiting starts a Wait on another goroutine and returns when it is likely to
// block; finish returns its result.
func (h *harness) waiting(timeout time.Duration) (finish func() ([]poller.Event, error)) {
	return h.inBackground(func(events []poller.Event) (int, error) {
		return h.Wait(events, timeout)
	})
}

// awaiting is waiting, until there are events.
func (h *harness) awaiting() (finish func() ([]poller.Event, error)) {
	return h.inBackground(func(events []poller.Event) (n int, err error) {
		for n == 0 && err == nil { // signals
			n, err = h.Wait(events, -1)
		}
		return n, err
	})
}

func (h *harness) inBackground(wait func([]poller.Event) (int, error)) (finish func() ([]poller.Event, error)) {
	type result struct {
		events []poller.Event
		err    error
	}
	done := make(chan result, 1)
	go func() {
		events := make([]poller.Event, 8)
		n, err := wait(events)
		for errors.Is(err, poller.ErrBusy) { // met the probe below
			n, err = wait(events)
		}
		done <- result{events[:n], err}
	}()
	// The second waiter's refusal shows that the first one is inside.
	probe := make([]poller.Event, 1)
	for end := time.Now().Add(patience); time.Now().Before(end) && len(done) == 0; {
		if _, err := h.Wait(probe, 0); err != nil {
			break
		}
		time.Sleep(time.Millisecond)
	}
	time.Sleep(2 * time.Millisecond)
	return func() ([]poller.Event, error) {
		h.Helper()
		select {
		case res := <-done:
			return res.events, res.err
		case <-time.After(patience):
			require.FailNow(h.T, "Wait has not returned")
			return nil, nil
		}
	}
}
