//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd || windows

package pollertest

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/eddyloop/eddy/internal/posix"
	"github.com/eddyloop/eddy/poller"
	"github.com/stretchr/testify/require"
)

// random compares random sequences of operations with a model. What the
// descriptors are ready for is asked from poll(2); the model knows what has
// been told and what has happened since.
func (s suite) random(t *testing.T) {
	seeds, steps := uint64(8), 800
	if testing.Short() {
		seeds = 2
	}
	for seed := range seeds {
		s.run(t, fmt.Sprint(seed), func(h *harness) {
			m := &model{h: h, rnd: rand.New(rand.NewPCG(seed, 42))}
			for i := range m.conns {
				m.open(i)
			}
			h.buf = make([]poller.Event, len(m.conns))
			for range steps {
				for range 1 + m.rnd.IntN(3) {
					m.step()
				}
				m.check()
				if h.Failed() {
					h.Logf("%s", m.log)
					return
				}
			}
		})
	}
}

type model struct {
	h     *harness
	rnd   *rand.Rand
	token poller.Token
	conns [6]modelConn
	log   []string
}

// modelConn is a connection, whose end a may be watched.
type modelConn struct {
	a, b     int
	ended    bool // b has sent its end
	watched  bool
	token    poller.Token
	interest poller.Interest
	mode     poller.Mode

	armed bool // changed since the last event
	moved bool // something happened on either end since the last check
	told  bool // PeerClosed has been told

	now poller.Interest // what it was ready for behind the last harvest

	// was is what it has been ready for: since it was armed in mode OneShot, which may
	// tell of that though it has been taken, else since the last check.
	was poller.Interest
}

func (m *model) open(i int) {
	a, b := m.h.pair()
	m.conns[i] = modelConn{a: a, b: b, moved: true}
}

func (m *model) note(format string, args ...any) {
	if m.log = append(m.log, fmt.Sprintf(format, args...)); len(m.log) > 20 {
		m.log = m.log[1:]
	}
}

// step does one thing to one connection.
func (m *model) step() {
	i := m.rnd.IntN(len(m.conns))
	c := &m.conns[i]
	op := m.rnd.IntN(10)
	m.note("%d:%d", i, op)
	switch op {
	case 0, 1: // register, or change, or try what is refused
		m.token++
		token, interest, mode := m.token, poller.Interest(m.rnd.IntN(8)), poller.Mode(m.rnd.IntN(3))
		if m.h.suite.limits&NoEdges != 0 && mode == edge {
			mode = level
		}
		if m.h.suite.limits&LateEnd != 0 {
			interest &^= pc // when it's told depends on time
		}
		m.note(" %d %d", interest, mode)
		if !c.watched {
			require.ErrorIs(m.h, m.h.Modify(c.a, token, interest, mode), poller.ErrNotExist)
			m.h.add(c.a, token, interest, mode)
		} else {
			require.ErrorIs(m.h, m.h.Add(c.a, token, interest, mode), poller.ErrExists)
			m.h.modify(c.a, token, interest, mode)
		}
		c.watched, c.token, c.interest, c.mode = true, token, interest, mode
		c.armed, c.told, c.was = true, false, c.ready()
	case 2:
		if c.watched {
			m.h.remove(c.a)
			c.watched = false
		}
	case 3, 4:
		if !c.ended {
			posix.Write(c.b, []byte("hello"))
			c.moved = true
		}
	case 5:
		if n, _ := posix.Read(c.a, make([]byte, 1+m.rnd.IntN(20))); n > 0 {
			c.was |= r
		}
		c.moved = true
	case 6:
		if fill(c.a) > 0 {
			c.was |= w
		}
		c.moved = true
	case 7:
		drain(c.b)
		c.moved = true
	case 8:
		if m.rnd.IntN(3) == 0 && !c.ended {
			posix.Shutdown(c.b, posix.SHUT_WR)
			c.ended, c.moved = true, true
		}
	case 9:
		if m.rnd.IntN(3) == 0 {
			if c.watched {
				m.h.remove(c.a)
			}
			m.h.close(c.a)
			m.h.close(c.b)
			m.open(i)
		}
	}
	c.was |= c.ready()
}

// ready asks the kernel what c is ready for.
func (c *modelConn) ready() (found poller.Interest) {
	fds := []posix.PollFd{{Fd: int32(c.a), Events: posix.POLLIN | posix.POLLOUT}}
	posix.Poll(fds, 0)
	if fds[0].Revents&(posix.POLLIN|posix.POLLHUP|posix.POLLERR) != 0 {
		found |= r
	}
	if fds[0].Revents&(posix.POLLOUT|posix.POLLERR) != 0 {
		found |= w
	}
	if c.ended {
		found |= pc
	}
	return found
}

// check harvests once and compares with what was so right behind it: TCP may bring
// room at any time.
func (m *model) check() {
	got := map[poller.Token]poller.Interest{}
	m.harvest(got)
	for end := time.Now().Add(patience); m.lacks(got) && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
		m.harvest(got)
	}
	for i := range m.conns {
		c := &m.conns[i]
		if !c.watched {
			continue
		}
		m.compare(i, c, got[c.token])
		delete(got, c.token)
		c.moved = false
		if c.mode != oneShot {
			c.was = c.now | c.ready()
		}
	}
	require.Empty(m.h, got, "events of unknown registrations")
}

// harvest adds what a Wait finds to got, and looks at the connections.
func (m *model) harvest(got map[poller.Token]poller.Interest) {
	n, err := m.h.Wait(m.h.buf, 0)
	require.NoError(m.h, err)
	seen := map[poller.Token]bool{}
	for _, ev := range m.h.buf[:n] {
		require.NotZero(m.h, ev.Ready)
		require.False(m.h, seen[ev.Token], "two events for one descriptor")
		seen[ev.Token] = true
		got[ev.Token] |= ev.Ready
	}
	for i := range m.conns {
		m.conns[i].now = m.conns[i].ready()
	}
}

// lacks tells whether an event may be under way that has to come.
func (m *model) lacks(got map[poller.Token]poller.Interest) bool {
	if m.h.suite.limits&Late == 0 {
		return false
	}
	for i := range m.conns {
		c := &m.conns[i]
		must := c.now & c.interest
		if c.told {
			must &^= pc
		}
		if c.watched && (c.mode == level || c.armed && got[c.token] == 0) && must&^got[c.token] != 0 {
			return true
		}
	}
	return false
}

func (m *model) compare(i int, c *modelConn, got poller.Interest) {
	now := c.now & c.interest
	possible := now
	if c.mode == oneShot || m.h.suite.limits&TellsPassed != 0 {
		possible |= c.was & c.interest
	}
	fail := func(why string) {
		m.h.Errorf("%s: connection %d interest %03b mode %d: ready %03b, reported %03b", why, i, c.interest, c.mode, now, got)
	}
	if got&^possible != 0 {
		fail("not so")
	}
	if got&pc != 0 && c.told {
		fail("told twice")
	}
	untold := now
	if c.told {
		untold &^= pc
	}
	switch c.mode {
	case level:
		if untold&^got != 0 { // more than is possible has failed
			fail("level")
		}
	case oneShot:
		if c.armed && now&^got != 0 {
			fail("one-shot")
		}
		if !c.armed && got != 0 {
			fail("fired before")
		}
	case edge:
		if c.armed && got != now {
			fail("edge after arming")
		}
		if !c.armed && !c.moved && got != 0 {
			fail("edge without a cause")
		}
		if now&pc != 0 && !c.told && got&pc == 0 {
			fail("end not told")
		}
	}
	if got&pc != 0 {
		c.told = true
	}
	if got != 0 || c.mode == edge {
		c.armed = false
	}
}
