//go:build (linux || windows) && !eddy_kqueue && !eddy_poll

package poller_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/eddyloop/eddy/internal/posix"
	"github.com/eddyloop/eddy/internal/testtime"
	"github.com/eddyloop/eddy/poller"
	"github.com/stretchr/testify/require"
)

// op is something that is done to all twins of a connection.
type op struct {
	what     opKind
	conn     int
	interest poller.Interest
	mode     poller.Mode
	n        int
}

type opKind uint8

const (
	opCheck opKind = iota
	opWatch        // Add, or Modify
	opRemove
	opWrite // by the peer
	opRead
	opFill
	opDrain     // by the peer
	opPeerEnds  // half-close
	opEnd       // the own half-close
	opPeerGoes  // closes
	opReset     // closes, with a reset
	opDup       // the watched end
	opReplace   // Remove, close, open anew
	opWrongWay  // close, Remove, open anew
	opTakenOver // close, open anew at the same number, Modify
	opDial      // Remove, close, connect anew: to who accepts, or to nobody
	opWake
)

var opNames = [...]string{
	"check", "watch", "remove", "write", "read", "fill", "drain", "peer ends", "end",
	"peer goes", "reset", "dup", "replace", "close and remove", "take over", "dial", "wake",
}

func (o op) String() string {
	return fmt.Sprintf("%d %s (interest %03b, mode %d, n %d)", o.conn, opNames[o.what], o.interest, o.mode, o.n)
}

// chances are how often each is done.
var chances = [...]int{
	opCheck: 40, opWatch: 20, opRemove: 3, opWrite: 15, opRead: 12, opFill: 6, opDrain: 6, opPeerEnds: 3,
	opEnd: 2, opPeerGoes: 2, opReset: 3, opDup: 2, opReplace: 3, opWrongWay: 2, opTakenOver: 2, opDial: 3, opWake: 3,
}

func randomOp(rnd *rand.Rand) op {
	o := op{
		conn: rnd.IntN(len(kinds)), interest: poller.Interest(rnd.IntN(8)), mode: modes[rnd.IntN(len(modes))], n: 1 + rnd.IntN(30),
	}
	total := 0
	for _, c := range chances {
		total += c
	}
	x := rnd.IntN(total)
	for what, c := range chances {
		if x -= c; x < 0 {
			o.what = opKind(what)
			break
		}
	}
	return o
}

// do does an op to all twins. What makes no sense is left out.
func (c *twins) do(pollers []poller.Poller, o op) string {
	socket := c.kind == tcpPair || c.kind == unixPair
	switch o.what {
	case opWatch:
		return c.watch(pollers, o)
	case opRemove:
		return c.remove(pollers)
	case opWake:
		for _, p := range pollers {
			p.Wake()
		}
	case opWrite:
		if c.kind != pipeWriter && !c.peerGone {
			c.write(o.n)
		}
	case opRead:
		c.each(func(k int) { posix.Read(c.own[k], make([]byte, o.n)) })
	case opFill:
		// Over TCP, room comes about whenever an acknowledgement arrives.
		if c.kind != pipeReader && (c.kind != tcpPair || lateness > 0) && !c.ended {
			c.fill()
		}
	case opDrain:
		c.drain()
	case opPeerEnds:
		if socket && !c.peerGone {
			c.peerGone = true
			c.each(func(k int) { posix.Shutdown(c.peer[k], posix.SHUT_WR) })
			c.awaitEnd(pollEnd)
		}
	case opEnd:
		if socket && !c.ended {
			// A Unix socket that is full and has been shut down is writable for
			// kqueue alone: the write fails at once.
			c.drain()
			c.ended = true
			c.each(func(k int) { posix.Shutdown(c.own[k], posix.SHUT_WR) })
		}
	case opPeerGoes, opReset:
		c.peerGoes(o.what == opReset && c.kind == tcpPair)
	case opDup:
		c.each(func(k int) {
			fd, err := posix.Dup(c.own[k])
			require.NoError(c.t, err)
			posix.CloseOnExec(fd)
			c.dups = append(c.dups, fd)
		})
	case opReplace, opDial:
		defer c.leave()
		return c.remove(pollers)
	case opWrongWay:
		c.leave()
		return c.remove(pollers)
	case opTakenOver:
		return c.takeOver(pollers, o)
	}
	return ""
}

func (c *twins) each(f func(k int)) {
	for k := range c.own {
		f(k)
	}
}

func (c *twins) leave() {
	c.gone = true
	c.each(func(k int) { posix.Close(c.own[k]) })
}

func (c *twins) watch(pollers []poller.Poller, o op) string {
	switch c.kind {
	case pipeReader:
		o.interest &^= poller.Writable // the kernels disagree about the wrong end
	case pipeWriter:
		o.interest &^= poller.Readable
	}
	lastToken++
	c.token, c.interest, c.mode, c.before, c.was, c.untrue, c.spent = lastToken, o.interest, o.mode, 0, 0, 0, false
	for k, p := range pollers {
		f, mode := p.Add, o.mode
		if c.watched {
			f = p.Modify
		}
		if !p.SupportsEdge() && mode == poller.Edge {
			mode = poller.Level // see compareEdge
		}
		if err := f(c.own[k], c.token, c.interest, mode); err != nil {
			return fmt.Sprintf("%s: %v", backends[k], err)
		}
	}
	c.watched = true
	return ""
}

func (c *twins) remove(pollers []poller.Poller) string {
	if !c.watched {
		return ""
	}
	c.watched = false
	for k, p := range pollers {
		if err := p.Remove(c.own[k]); err != nil {
			return fmt.Sprintf("%s: %v", backends[k], err)
		}
	}
	return ""
}

// write has data arrive, and waits for it: TCP takes its time.
func (c *twins) write(n int) {
	c.arrived = true
	c.each(func(k int) {
		before := unread(c.own[k])
		n, err := posix.Write(c.peer[k], make([]byte, n))
		for range 2000 {
			if err != nil || unread(c.own[k])-before >= n {
				break
			}
			time.Sleep(time.Millisecond)
		}
	})
}

// fill writes until there is no room: over TCP, until none comes about for a while.
func (c *twins) fill() {
	c.filled, c.full = c.kind == tcpPair, true
	c.each(func(k int) {
		for again := true; again; {
			again = false
			for size := 1 << 16; size > 0; {
				switch _, err := posix.Write(c.own[k], make([]byte, size)); {
				case err == nil:
					again = true
				case c.kind == tcpPair:
					size = 0 // it takes a part of what is too much
				default:
					size /= 2
				}
			}
			again = again && c.kind == tcpPair && pollFor(c.own[k], posix.POLLOUT, 20*time.Millisecond)
		}
	})
}

func (c *twins) drain() {
	c.full = false
	c.each(func(k int) {
		for n := 1; n > 0 && c.peer[k] >= 0; {
			n, _ = posix.Read(c.peer[k], make([]byte, 1<<16))
		}
	})
}

// awaitEnd waits until what the peer has done has come through: its end, or
// with no events asked for, that the connection is gone.
func (c *twins) awaitEnd(events int16) {
	if c.kind == tcpPair || c.kind == unixPair {
		c.each(func(k int) {
			awaitPoll(c.t, c.own[k], events)
		})
	}
}

// awaitPoll waits until the kernel finds one of events in fd, or what it tells unasked.
func awaitPoll(t *testing.T, fd int, events int16) {
	t.Helper()
	require.True(t, pollFor(fd, events, testtime.Patience(30*time.Second)), "it does not come")
}

func pollFor(fd int, events int16, limit time.Duration) bool {
	fds := []posix.PollFd{{Fd: int32(fd), Events: events}}
	for end := time.Now().Add(limit); time.Now().Before(end); { // signals
		if n, _ := posix.Poll(fds, int(limit.Milliseconds())); n > 0 {
			return true
		}
	}
	return false
}

func (c *twins) peerGoes(reset bool) {
	if c.peer[0] < 0 {
		return
	}
	c.peerGone = true
	c.each(func(k int) {
		if reset {
			posix.SetLinger(c.peer[k], 0)
		}
		posix.Close(c.peer[k])
		c.peer[k] = -1
	})
	if reset {
		c.awaitEnd(0)
	} else {
		c.awaitEnd(pollEnd)
	}
}

// takeOver puts other descriptors at the numbers, against the rules.
func (c *twins) takeOver(pollers []poller.Poller, o op) string {
	if !c.watched {
		return ""
	}
	fresh, taken := newTwins(c.t, c.kind), true
	c.each(func(k int) {
		if takeNumber(c.t, fresh.own[k], c.own[k]) {
			fresh.own[k] = c.own[k]
		} else {
			taken = false // by another thread
		}
	})
	if !taken {
		fresh.close()
		c.gone = true
		return c.remove(pollers)
	}
	c.each(func(k int) {
		if c.peer[k] >= 0 {
			posix.Close(c.peer[k])
		}
	})
	dups := c.dups
	fresh.watched = true
	*c = *fresh
	c.dups = dups
	return c.watch(pollers, o)
}
