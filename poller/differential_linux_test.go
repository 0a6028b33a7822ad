//go:build !eddy_kqueue && !eddy_poll

package poller_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/eddyloop/eddy/internal/kqueuesim"
	"github.com/eddyloop/eddy/poller"
	"github.com/stretchr/testify/require"
)

var seeds = flag.Int("seeds", 20, "random sequences that TestBackendsAgree tries")

// TestBackendsAgree does the same to three sets of equal descriptors, each
// watched by another backend, and compares what they report.
func TestBackendsAgree(t *testing.T) {
	for seed := range uint64(*seeds) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(seed, 7))
			ops := make([]op, 400)
			for i := range ops {
				ops[i] = randomOp(rnd)
			}
			profile := kqueuesim.Profiles[seed%uint64(len(kqueuesim.Profiles))]
			at, why := replay(t, profile, ops)
			if why == "" {
				return
			}
			ops = shrink(t, profile, ops[:at+1])
			_, why = replay(t, profile, ops)
			t.Fatalf("seed %d, %s: %s\n%s", seed, profile.Name, why, trace(ops))
		})
	}
}

// shrink leaves out what the difference doesn't need.
func shrink(t *testing.T, p *kqueuesim.Profile, ops []op) []op {
	for size := len(ops) / 2; size > 0; size /= 2 {
		for i := 0; i+size <= len(ops); {
			less := append(append([]op(nil), ops[:i]...), ops[i+size:]...)
			if at, why := replay(t, p, less); why != "" {
				ops = less[:at+1]
			} else {
				i += size
			}
		}
	}
	return ops
}

func trace(ops []op) string {
	var b strings.Builder
	for _, o := range ops {
		fmt.Fprintf(&b, "\t%s\n", o)
	}
	return b.String()
}

// backends are compared with the first.
var backends = []string{"poll", "epoll", "kqueue"}

func newBackends(t *testing.T, p *kqueuesim.Profile) (list []poller.Poller) {
	for _, f := range []func() (poller.Poller, error){
		func() (poller.Poller, error) { return poller.NewPoll(true) },
		poller.New,
		func() (poller.Poller, error) { return poller.NewEmulated(p, p.NoUser || len(p.Name)%2 == 0) },
	} {
		p, err := f()
		require.NoError(t, err)
		list = append(list, p)
	}
	return list
}

// replay does what ops say until the backends differ.
func replay(t *testing.T, p *kqueuesim.Profile, ops []op) (at int, why string) {
	pollers := newBackends(t, p)
	var conns [4]*twins
	for i := range conns {
		conns[i] = newTwins(t, kinds[i])
	}
	defer func() {
		for _, c := range conns {
			c.close()
		}
		for _, p := range pollers {
			p.Close()
		}
	}()
	for i, o := range ops {
		c := conns[o.conn]
		if o.what == opCheck {
			if why := check(pollers, conns[:], p.OneShotAsFound); why != "" {
				return i, why
			}
			continue
		}
		if why := c.do(pollers, o); why != "" {
			return i, why
		}
		if c.gone {
			c.close()
			conns[o.conn] = newTwins(t, c.kind)
		}
	}
	return 0, ""
}

// check has every Poller report, and compares.
func check(pollers []poller.Poller, conns []*twins, asFound bool) string {
	for _, c := range conns {
		c.settle()
	}
	var got [3]map[poller.Token]poller.Event
	for k, p := range pollers {
		got[k] = map[poller.Token]poller.Event{}
		var buf [16]poller.Event
		n, err := p.Wait(buf[:], 0)
		if err != nil {
			return fmt.Sprintf("%s: %v", backends[k], err)
		}
		for _, ev := range buf[:n] {
			if _, twice := got[k][ev.Token]; twice {
				return backends[k] + ": two events for one descriptor"
			}
			got[k][ev.Token] = ev
		}
	}
	for _, c := range conns {
		if !c.watched {
			continue
		}
		var events [3]poller.Event
		for k := range events {
			events[k] = got[k][c.token]
			delete(got[k], c.token)
		}
		if asFound && c.mode == poller.OneShot && c.toldOfTaken(events) {
			continue
		}
		if why := c.compare(events); why != "" {
			return fmt.Sprintf("%v, interest %03b, mode %d: %s\n\t%v: %v", c.kind, c.interest, c.mode, why, backends, events)
		}
	}
	for k := range got {
		if len(got[k]) > 0 {
			return fmt.Sprintf("%s: events of unknown registrations: %v", backends[k], got[k])
		}
	}
	return ""
}

// toldOfTaken reports whether kqueue's one shot has told of what has been taken, so
// that the backends are not in the same state until the next watch.
func (c *twins) toldOfTaken(events [3]poller.Event) bool {
	oracle, kqueue := events[0].Ready, events[2].Ready
	if oracle&^kqueue == 0 && kqueue&^oracle&^poller.PeerClosed != 0 {
		c.spent = true
	}
	return c.spent
}

// compare says in what the events of one connection differ.
func (c *twins) compare(events [3]poller.Event) string {
	oracle := events[0].Ready
	arrived := c.arrived
	c.arrived = false
	for k, ev := range events[1:] {
		name := backends[k+1]
		if c.mode != poller.Edge {
			if ev.Ready != oracle {
				return name + " differs"
			}
		} else if why := c.compareEdge(ev.Ready, oracle, arrived); why != "" {
			return name + why
		}
	}
	c.before = oracle
	return c.compareHints(events)
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
func (c *twins) compareHints(events [3]poller.Event) string {
	poll, epoll, kqueue := events[0].Hints, events[1].Hints, events[2].Hints
	if c.kind == pipeReader || c.kind == pipeWriter || c.mode == poller.Edge {
		return "" // with edges not all have an event at the same time
	}
	if poll != epoll {
		return "hints of epoll differ"
	}
	if (kqueue^poll)&poller.Failed != 0 || kqueue&^poll != 0 {
		return "hints of kqueue differ"
	}
	return ""
}
