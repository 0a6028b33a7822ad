//go:build (linux || windows) && !eddy_kqueue && !eddy_poll

package poller_test

import (
	"testing"
	"time"

	"github.com/eddyloop/eddy/internal/posix"
	"github.com/eddyloop/eddy/poller"
	"github.com/stretchr/testify/require"
)

type twinKind uint8

const (
	tcpPair twinKind = iota
	unixPair
	pipeReader
	pipeWriter
)

func (k twinKind) String() string { return [...]string{"TCP", "Unix", "pipe reader", "pipe writer"}[k] }

// twins are equal connections, one for each backend.
type twins struct {
	kind     twinKind
	t        *testing.T
	own      []int // the watched ends
	peer     []int // or -1
	dups     []int
	peerGone bool // or has ended its stream
	ended    bool
	gone     bool // has been closed
	filled   bool // over TCP
	full     bool // not drained since

	watched  bool
	token    poller.Token
	interest poller.Interest
	mode     poller.Mode
	before   poller.Interest // what the oracle said at the last check
	arrived  bool            // data has come since
	was      poller.Interest // what has been so, of the last one: see look
	untrue   poller.Interest // what the last one has told, and was not so
	spent    bool            // the one-shot of one has fired, and perhaps not that of all
}

var lastToken poller.Token

func newTwins(t *testing.T, kind twinKind) *twins {
	return connectTwins(t, kind, func() (own, peer int) {
		if kind == tcpPair {
			return connect(t, false)
		}
		return connectLocal(t, kind)
	})
}

// newDialed returns twins that may still be connecting.
func newDialed(t *testing.T, kind twinKind, refused bool) *twins {
	if kind != tcpPair {
		return newTwins(t, kind)
	}
	c := connectTwins(t, kind, func() (own, peer int) { return connect(t, refused) })
	c.peerGone = refused
	return c
}

func connectTwins(t *testing.T, kind twinKind, connect func() (own, peer int)) *twins {
	c := &twins{kind: kind, t: t}
	for range backends {
		own, peer := connect()
		c.own, c.peer = append(c.own, own), append(c.peer, peer)
	}
	return c
}

// connect connects a socket over TCP: to a peer, or in vain.
func connect(t *testing.T, refused bool) (own, peer int) {
	l, err := posix.Socket(posix.AF_INET, posix.SOCK_STREAM, 0)
	require.NoError(t, err)
	require.NoError(t, posix.Bind(l, &posix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
	addr, err := posix.Getsockname(l)
	require.NoError(t, err)
	if !refused {
		require.NoError(t, posix.Listen(l, 1))
	}
	defer posix.Close(l)
	own, err = posix.Socket(posix.AF_INET, posix.SOCK_STREAM, 0)
	require.NoError(t, err)
	setUp(t, own)
	if err = posix.Connect(own, addr); err != posix.EINPROGRESS && !refused {
		require.NoError(t, err)
	}
	if refused {
		return own, -1
	}
	awaitPoll(t, l, posix.POLLIN)
	peer, _, err = posix.Accept(l)
	require.NoError(t, err)
	setUp(t, peer)
	return own, peer
}

func setUp(t *testing.T, fd int) {
	posix.CloseOnExec(fd)
	require.NoError(t, posix.SetNonblock(fd, true))
	require.NoError(t, posix.SetsockoptInt(fd, posix.IPPROTO_TCP, posix.TCP_NODELAY, 1))
}

func (c *twins) close() {
	for k := range c.own {
		if !c.gone {
			posix.Close(c.own[k])
		}
		if c.peer[k] >= 0 {
			posix.Close(c.peer[k])
		}
	}
	for _, fd := range c.dups {
		posix.Close(fd)
	}
}

// settle waits until the kernel shows the same of all twins. TCP may leave room to one
// of those that are full, and none to one that is not.
func (c *twins) settle() {
	for try := range 2000 {
		switch {
		case try%50 < 49 || !c.filled:
		case c.full:
			c.fill()
		default:
			c.drain()
		}
		same := true
		first, _ := ask(c.own[0])
		for _, fd := range c.own[1:] {
			ready, _ := ask(fd)
			same = same && ready == first && unread(fd) == unread(c.own[0])
		}
		if same {
			return
		}
		time.Sleep(time.Millisecond)
	}
}
