//go:build (linux || windows) && !eddy_kqueue && !eddy_poll

package poller_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/eddyloop/eddy/internal/testtime"
	"github.com/eddyloop/eddy/poller"
)

var seeds = flag.Int("seeds", 20, "random sequences that TestBackendsAgree tries")

// TestBackendsAgree does the same to sets of equal descriptors, each watched by
// another backend, and compares what they report with what the oracle says.
func TestBackendsAgree(t *testing.T) {
	count := *seeds
	if testing.Short() {
		count = min(count, 8)
	}
	for seed := range uint64(count) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(seed, 7))
			ops := make([]op, opCount)
			for i := range ops {
				ops[i] = randomOp(rnd)
			}
			at, why := replay(t, seed, ops)
			if why == "" {
				return
			}
			t.Logf("seed %d, step %d: %s", seed, at, why)
			ops = shrink(t, seed, ops[:at+1])
			_, why = replay(t, seed, ops)
			t.Fatalf("with less: %s\n%s", why, trace(ops))
		})
	}
}

// shrink leaves out what the difference doesn't need.
func shrink(t *testing.T, seed uint64, ops []op) []op {
	end := time.Now().Add(testtime.Patience(30 * time.Second))
	for size := len(ops) / 2; size > 0; size /= 2 {
		for i := 0; i+size <= len(ops) && time.Now().Before(end); {
			less := append(append([]op(nil), ops[:i]...), ops[i+size:]...)
			if at, why := replay(t, seed, less); why != "" {
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

// rig is what a sequence is played on.
type rig struct {
	pollers []poller.Poller // one for each of backends
	asFound bool            // one of them has kqueue's one-shots: see toldOfTaken
	conns   [len(kinds)]*twins
	got     []map[poller.Token]poller.Event // of the check in progress
}

// replay does what ops say until the backends differ.
func replay(t *testing.T, seed uint64, ops []op) (at int, why string) {
	r := newRig(t, seed)
	for i := range r.conns {
		r.conns[i] = newTwins(t, kinds[i])
	}
	defer func() {
		for _, c := range r.conns {
			c.close()
		}
		for _, p := range r.pollers {
			p.Close()
		}
	}()
	for i, o := range ops {
		c := r.conns[o.conn]
		if o.what == opCheck {
			if why := r.check(); why != "" {
				return i, why
			}
			continue
		}
		c.look()
		if why := c.do(r.pollers, o); why != "" {
			return i, why
		}
		if c.gone {
			c.close()
			if o.what == opDial {
				r.conns[o.conn] = newDialed(t, c.kind, o.n%2 == 0)
			} else {
				r.conns[o.conn] = newTwins(t, c.kind)
			}
		}
		r.conns[o.conn].look()
	}
	return 0, ""
}

// check has every Poller report, and compares. Where a kernel takes a moment to tell,
// what is missing is waited for.
func (r *rig) check() (why string) {
	r.got = make([]map[poller.Token]poller.Event, len(r.pollers))
	for k := range r.got {
		r.got[k] = map[poller.Token]poller.Event{}
	}
	for end := time.Now().Add(lateness); ; time.Sleep(time.Millisecond) {
		for _, c := range r.conns {
			c.settle()
			c.look()
		}
		if why := r.harvest(); why != "" {
			return why
		}
		for _, c := range r.conns {
			c.look()
		}
		if why = r.compare(); why == "" || time.Now().After(end) {
			break
		}
	}
	for _, c := range r.conns {
		c.checked(r.events(c))
	}
	return why
}

// harvest has every Poller report once. What it has said before counts, if it is not
// said again as long as it is so.
func (r *rig) harvest() string {
	for k, p := range r.pollers {
		var buf [16]poller.Event
		n, err := p.Wait(buf[:], 0)
		if err != nil {
			return fmt.Sprintf("%s: %v", backends[k], err)
		}
		before, seen := r.got[k], map[poller.Token]poller.Event{}
		for _, ev := range buf[:n] {
			if _, twice := seen[ev.Token]; twice {
				return backends[k] + ": two events for one descriptor"
			}
			seen[ev.Token] = ev
		}
		for token, ev := range before {
			if r.modeOf(token) != poller.OneShot {
				if ev.Ready &= poller.PeerClosed; ev.Ready == 0 {
					continue
				}
			} else if _, twice := seen[token]; twice {
				return backends[k] + ": two events of a one-shot"
			}
			now := seen[token]
			seen[token] = poller.Event{Token: token, Ready: now.Ready | ev.Ready, Hints: now.Hints | ev.Hints}
		}
		r.got[k] = seen
	}
	return ""
}

func (r *rig) modeOf(token poller.Token) poller.Mode {
	for _, c := range r.conns {
		if c.watched && c.token == token {
			return c.mode
		}
	}
	return poller.Level
}

// events is what each Poller has said of a connection.
func (r *rig) events(c *twins) []poller.Event {
	events := make([]poller.Event, len(r.got))
	for k := range r.got {
		if c.watched {
			events[k] = r.got[k][c.token]
		}
	}
	return events
}

func (r *rig) compare() string {
	known := map[poller.Token]bool{}
	for _, c := range r.conns {
		if !c.watched {
			continue
		}
		known[c.token] = true
		events := r.events(c)
		if why := c.compare(r, events); why != "" {
			return fmt.Sprintf("%v, interest %03b, mode %d: %s\n\t%v: %v", c.kind, c.interest, c.mode, why, backends, events)
		}
	}
	for k, got := range r.got {
		for token, ev := range got {
			if !known[token] {
				return fmt.Sprintf("%s: event of an unknown registration: %v", backends[k], ev)
			}
		}
	}
	return ""
}
