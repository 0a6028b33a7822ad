//go:build !eddy_kqueue && !eddy_poll

package poller_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/eddyloop/eddy/internal/testtime"
	"github.com/eddyloop/eddy/poller"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
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
	opWake
)

var opNames = [...]string{
	"check", "watch", "remove", "write", "read", "fill", "drain", "peer ends", "end",
	"peer goes", "reset", "dup", "replace", "close and remove", "take over", "wake",
}

func (o op) String() string {
	return fmt.Sprintf("%d %s (interest %03b, mode %d, n %d)", o.conn, opNames[o.what], o.interest, o.mode, o.n)
}

// chances are how often each is done.
var chances = [...]int{
	opCheck: 40, opWatch: 20, opRemove: 3, opWrite: 15, opRead: 12, opFill: 6, opDrain: 6, opPeerEnds: 2,
	opEnd: 2, opPeerGoes: 2, opReset: 2, opDup: 2, opReplace: 3, opWrongWay: 2, opTakenOver: 2, opWake: 3,
}

func randomOp(rnd *rand.Rand) op {
	o := op{
		conn: rnd.IntN(4), interest: poller.Interest(rnd.IntN(8)), mode: poller.Mode(rnd.IntN(3)), n: 1 + rnd.IntN(30),
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

type twinKind uint8

const (
	tcpPair twinKind = iota
	unixPair
	pipeReader
	pipeWriter
)

var kinds = [4]twinKind{tcpPair, unixPair, pipeReader, pipeWriter}

func (k twinKind) String() string { return [...]string{"TCP", "Unix", "pipe reader", "pipe writer"}[k] }

// twins are equal connections, one for each backend.
type twins struct {
	kind     twinKind
	t        *testing.T
	own      [3]int // the watched ends
	peer     [3]int
	dups     []int
	peerGone bool // or has ended its stream
	ended    bool
	gone     bool // has been closed

	watched  bool
	token    poller.Token
	interest poller.Interest
	mode     poller.Mode
	before   poller.Interest // what the oracle said at the last check
	arrived  bool            // data has come since
	spent    bool            // see toldOfTaken
}

var lastToken poller.Token

func newTwins(t *testing.T, kind twinKind) *twins {
	c := &twins{kind: kind, t: t}
	for k := range c.own {
		c.own[k], c.peer[k] = connect(t, kind)
	}
	return c
}

func connect(t *testing.T, kind twinKind) (own, peer int) {
	const flags = unix.SOCK_CLOEXEC | unix.SOCK_NONBLOCK
	switch kind {
	case tcpPair:
		l, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|flags, 0)
		require.NoError(t, err)
		defer unix.Close(l)
		require.NoError(t, unix.Bind(l, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
		require.NoError(t, unix.Listen(l, 1))
		addr, err := unix.Getsockname(l)
		require.NoError(t, err)
		own, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		require.NoError(t, err)
		require.NoError(t, unix.Connect(own, addr))
		require.NoError(t, unix.SetNonblock(own, true))
		awaitPoll(t, l, unix.POLLIN) // the last word of the handshake may be under way
		peer, _, err = unix.Accept4(l, flags)
		require.NoError(t, err)
		for _, fd := range []int{own, peer} {
			require.NoError(t, unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1))
		}
		return own, peer
	case unixPair:
		fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|flags, 0)
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

func (c *twins) close() {
	for k := range c.own {
		if !c.gone {
			unix.Close(c.own[k])
		}
		if c.peer[k] >= 0 {
			unix.Close(c.peer[k])
		}
	}
	for _, fd := range c.dups {
		unix.Close(fd)
	}
}

// settle waits until the kernel shows the same of all twins.
func (c *twins) settle() {
	for range 2000 {
		var seen [3]string
		for k, fd := range c.own {
			fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN | unix.POLLOUT | unix.POLLRDHUP}}
			unix.Poll(fds, 0)
			n, _ := unix.IoctlGetUint32(fd, unix.TIOCINQ)
			seen[k] = fmt.Sprint(fds[0].Revents, n)
		}
		if seen[0] == seen[1] && seen[1] == seen[2] {
			return
		}
		time.Sleep(time.Millisecond)
	}
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
		c.each(func(k int) { unix.Read(c.own[k], make([]byte, o.n)) })
	case opFill:
		// Over TCP, room comes about whenever an acknowledgement arrives.
		if c.kind != pipeReader && c.kind != tcpPair && !c.ended {
			c.fill()
		}
	case opDrain:
		c.drain()
	case opPeerEnds:
		if socket && !c.peerGone {
			c.peerGone = true
			c.each(func(k int) { unix.Shutdown(c.peer[k], unix.SHUT_WR) })
			c.awaitEnd(unix.POLLRDHUP)
		}
	case opEnd:
		if socket && !c.ended {
			// A Unix socket that is full and has been shut down is writable for
			// kqueue alone: the write fails at once.
			c.drain()
			c.ended = true
			c.each(func(k int) { unix.Shutdown(c.own[k], unix.SHUT_WR) })
		}
	case opPeerGoes, opReset:
		c.peerGoes(o.what == opReset && c.kind == tcpPair)
	case opDup:
		c.each(func(k int) {
			fd, err := unix.FcntlInt(uintptr(c.own[k]), unix.F_DUPFD_CLOEXEC, 0)
			require.NoError(c.t, err)
			c.dups = append(c.dups, fd)
		})
	case opReplace:
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
	c.each(func(k int) { unix.Close(c.own[k]) })
}

func (c *twins) watch(pollers []poller.Poller, o op) string {
	switch c.kind {
	case pipeReader:
		o.interest &^= poller.Writable // the kernels disagree about the wrong end
	case pipeWriter:
		o.interest &^= poller.Readable
	}
	lastToken++
	c.token, c.interest, c.mode, c.before, c.spent = lastToken, o.interest, o.mode, 0, false
	for k, p := range pollers {
		f, mode := p.Add, o.mode
		if c.watched {
			f = p.Modify
		}
		if k == 0 && mode == poller.Edge {
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
		before, _ := unix.IoctlGetUint32(c.own[k], unix.TIOCINQ)
		n, err := unix.Write(c.peer[k], make([]byte, n))
		for range 2000 {
			now, _ := unix.IoctlGetUint32(c.own[k], unix.TIOCINQ)
			if err != nil || int(now-before) >= n {
				break
			}
			time.Sleep(time.Millisecond)
		}
	})
}

func (c *twins) fill() {
	c.each(func(k int) {
		for size := 1 << 16; size > 0; {
			if _, err := unix.Write(c.own[k], make([]byte, size)); err != nil {
				size /= 2
			}
		}
	})
}

func (c *twins) drain() {
	c.each(func(k int) {
		for n := 1; n > 0 && c.peer[k] >= 0; {
			n, _ = unix.Read(c.peer[k], make([]byte, 1<<16))
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
	fds := []unix.PollFd{{Fd: int32(fd), Events: events}}
	for end := time.Now().Add(testtime.Patience(30 * time.Second)); ; { // signals
		if n, _ := unix.Poll(fds, 1000); n > 0 {
			return
		}
		require.True(t, time.Now().Before(end), "it does not come")
	}
}

func (c *twins) peerGoes(reset bool) {
	if c.peer[0] < 0 {
		return
	}
	c.peerGone = true
	c.each(func(k int) {
		if reset {
			unix.SetsockoptLinger(c.peer[k], unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
		}
		unix.Close(c.peer[k])
		c.peer[k] = -1
	})
	if reset {
		c.awaitEnd(0)
	} else {
		c.awaitEnd(unix.POLLRDHUP)
	}
}

// takeOver puts other descriptors at the numbers, against the rules.
func (c *twins) takeOver(pollers []poller.Poller, o op) string {
	if !c.watched {
		return ""
	}
	fresh := newTwins(c.t, c.kind)
	c.each(func(k int) {
		require.NoError(c.t, unix.Dup3(fresh.own[k], c.own[k], unix.O_CLOEXEC))
		unix.Close(fresh.own[k])
		fresh.own[k] = c.own[k]
		if c.peer[k] >= 0 {
			unix.Close(c.peer[k])
		}
	})
	dups := c.dups
	fresh.watched = true
	*c = *fresh
	c.dups = dups
	return c.watch(pollers, o)
}
