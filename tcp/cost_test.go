//go:build unix

package tcp_test

import (
	"sync/atomic"
	"testing"

	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/poller"
	"github.com/eddyloop/eddy/tcp"
	"github.com/stretchr/testify/require"
)

// countedPoller counts the calls that change what is watched.
type countedPoller struct {
	poller.Poller
	added, changed, removed atomic.Int64
}

func (p *countedPoller) Add(fd int, token poller.Token, interest poller.Interest, mode poller.Mode) error {
	p.added.Add(1)
	return p.Poller.Add(fd, token, interest, mode)
}

func (p *countedPoller) Modify(fd int, token poller.Token, interest poller.Interest, mode poller.Mode) error {
	p.changed.Add(1)
	return p.Poller.Modify(fd, token, interest, mode)
}

func (p *countedPoller) Remove(fd int) error {
	p.removed.Add(1)
	return p.Poller.Remove(fd)
}

// TestPollerCallsForEachConnection: one call when it comes and one when it goes. A task is
// told of the end in a step of its own, and until then the watch is changed.
func TestPollerCallsForEachConnection(t *testing.T) {
	for name, test := range map[string]struct {
		srv     *tcp.Server
		changes int64
	}{
		"callback": {&tcp.Server{Callback: lineCallback}, 0},
		"message":  {&tcp.Server{Frame: line, Message: lineMessage}, 0},
		"handler":  {&tcp.Server{Handler: lines}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			system, err := poller.New()
			require.NoError(t, err)
			p := &countedPoller{Poller: system}
			test.srv.Group = newGroup(t, 1, ioloop.Config{Poller: p})
			addr, _ := local(t, test.srv)
			visit := func() {
				c := dial(t, addr)
				c.echo("hello\n")
				require.NoError(t, c.Close())
				eventually(t, func() bool { return test.srv.Stats().Conns == 0 })
			}
			visit()
			const connections = 50
			added, changed, removed := p.added.Load(), p.changed.Load(), p.removed.Load()
			for range connections {
				visit()
			}
			require.EqualValues(t, connections, p.added.Load()-added, "additions")
			require.LessOrEqual(t, p.changed.Load()-changed, test.changes*connections, "changes of interest")
			require.EqualValues(t, connections, p.removed.Load()-removed, "removals")
		})
	}
}
