//go:build !eddy_kqueue && !eddy_poll

package poller_test

import (
	"fmt"
	"testing"

	"github.com/eddyloop/eddy/internal/kqueuesim"
	"github.com/eddyloop/eddy/poller"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// backends are compared with the first.
var backends = []string{"oracle", "poll", "epoll", "kqueue"}

var kinds = [...]twinKind{tcpPair, unixPair, pipeReader, pipeWriter}

var modes = []poller.Mode{poller.Level, poller.Edge, poller.OneShot}

const (
	opCount  = 400
	lateness = 0 // what the kernel says of a descriptor, all learn at once
	pollEnd  = unix.POLLRDHUP
)

func newRig(t *testing.T, seed uint64) *rig {
	p := kqueuesim.Profiles[seed%uint64(len(kqueuesim.Profiles))]
	r := &rig{pollers: []poller.Poller{newOracle()}, asFound: p.OneShotAsFound}
	for _, f := range []func() (poller.Poller, error){
		func() (poller.Poller, error) { return poller.NewPoll(true) },
		poller.New,
		func() (poller.Poller, error) { return poller.NewEmulated(p, p.NoUser || len(p.Name)%2 == 0) },
	} {
		p, err := f()
		require.NoError(t, err)
		r.pollers = append(r.pollers, p)
	}
	return r
}

// ask tells what fd is ready for by poll(2).
func ask(fd int) (found poller.Interest, failed bool) {
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN | unix.POLLOUT | unix.POLLRDHUP}}
	for {
		if _, err := unix.Poll(fds, 0); err != unix.EINTR {
			break
		}
	}
	for flag, means := range map[int16]poller.Interest{
		unix.POLLIN:    poller.Readable,
		unix.POLLOUT:   poller.Writable,
		unix.POLLRDHUP: poller.PeerClosed,
		unix.POLLHUP:   poller.Readable | poller.PeerClosed,
		unix.POLLERR:   poller.Readable | poller.Writable | poller.PeerClosed,
	} {
		if fds[0].Revents&flag != 0 {
			found |= means
		}
	}
	return found, fds[0].Revents&unix.POLLERR != 0
}

// unread is how many bytes there are to read.
func unread(fd int) int {
	n, _ := unix.IoctlGetInt(fd, unix.TIOCINQ)
	return n
}

// takeNumber gives the descriptor from the number to, whose file is closed.
func takeNumber(t *testing.T, from, to int) bool {
	require.NoError(t, unix.Dup3(from, to, unix.O_CLOEXEC))
	unix.Close(from)
	return true
}

func connectLocal(t *testing.T, kind twinKind) (own, peer int) {
	if kind == unixPair {
		fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		require.NoError(t, err)
		return fds[0], fds[1]
	}
	var fds [2]int
	require.NoError(t, unix.Pipe2(fds[:], unix.O_CLOEXEC|unix.O_NONBLOCK))
	if kind == pipeReader {
		return fds[0], fds[1]
	}
	return fds[1], fds[0]
}

// look is for kernels that tell of what has passed.
func (c *twins) look() {}

// checked notes what is to be known at the next check.
func (c *twins) checked(events []poller.Event) { c.arrived, c.before = false, events[0].Ready }

// compare says in what the events of one connection differ.
func (c *twins) compare(r *rig, events []poller.Event) string {
	if r.asFound && c.mode == poller.OneShot && c.toldOfTaken(events) {
		return ""
	}
	oracle := events[0].Ready
	for k, ev := range events[1:] {
		name := backends[k+1]
		if c.mode != poller.Edge || name == "poll" {
			if ev.Ready != oracle {
				return name + " differs"
			}
		} else if why := c.compareEdge(ev.Ready, oracle, c.arrived); why != "" {
			return name + why
		}
	}
	return c.compareHints(events)
}

// toldOfTaken reports whether kqueue's one shot has told of what has been taken, so
// that the backends are not in the same state until the next watch.
func (c *twins) toldOfTaken(events []poller.Event) bool {
	oracle, kqueue := events[0].Ready, events[3].Ready
	if oracle&^kqueue == 0 && kqueue&^oracle&^poller.PeerClosed != 0 {
		c.spent = true
	}
	return c.spent
}

// compareEdge compares with the oracle, which has no edges and so reports at
// every check what is ready. An edge must be told. More may be told if it's
// so: epoll tells both directions for an edge of either, kqueue doesn't.
func (c *twins) compareEdge(ready, oracle poller.Interest, arrived bool) string {
	must := oracle &^ c.before
	if arrived {
		must |= oracle & poller.Readable
	}
	if must&^ready != 0 {
		return fmt.Sprintf(" lacks an edge: %03b", must&^ready)
	}
	// The oracle tells the end of the stream once, whatever else there is.
	if extra := ready &^ oracle; extra != 0 {
		return fmt.Sprintf(" tells what isn't so: %03b", extra)
	}
	return ""
}

// compareHints looks at what may be relied on. Of a pipe nothing: the kernels
// call a writer without reader failed or hung up. Of kqueue not Hangup, which
// it can tell only when both filters are armed, but it mustn't invent it.
func (c *twins) compareHints(events []poller.Event) string {
	oracle, poll, epoll, kqueue := events[0].Hints, events[1].Hints, events[2].Hints, events[3].Hints
	if c.kind == pipeReader || c.kind == pipeWriter || c.mode == poller.Edge {
		return "" // with edges not all have an event at the same time
	}
	if (oracle^poll)&poller.Failed != 0 {
		return "hints of poll differ"
	}
	if poll != epoll {
		return "hints of epoll differ"
	}
	if (kqueue^poll)&poller.Failed != 0 || kqueue&^poll != 0 {
		return "hints of kqueue differ"
	}
	return ""
}
