//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd || windows

package pollertest

import (
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/eddyloop/eddy/internal/posix"
	"github.com/eddyloop/eddy/poller"
	"github.com/stretchr/testify/require"
)

func (s suite) stress(t *testing.T) {
	s.run(t, "RemoveRacesDelivery", func(h *harness) { h.removeRace(level) })
	s.run(t, "RemoveRacesDeliveryOfEdges", func(h *harness) {
		h.unless(NoEdges)
		h.removeRace(edge)
	})
	s.run(t, "RemoveRacesDeliveryOfOneShots", func(h *harness) { h.removeRace(oneShot) })
	s.run(t, "ModifyRacesOneShot", func(h *harness) { h.modifyRace() })
	s.run(t, "NumbersAreReused", func(h *harness) { h.reuseRounds() })
	s.run(t, "CollectorAndStackGrowth", func(h *harness) {
		defer debug.SetGCPercent(debug.SetGCPercent(1))
		h.buf = make([]poller.Event, 32)
		rds := make([]int, 32)
		wrs := make([]int, 32)
		for i := range rds {
			rds[i], wrs[i] = h.pipe()
			h.add(rds[i], poller.Token(i), r, level)
		}
		for round := range 20 {
			for _, wr := range wrs {
				h.write(wr, "x")
			}
			done := make(chan struct{})
			go func() { // a fresh stack, which has to grow
				defer close(done)
				deep(200, func() {
					n, err := h.Wait(h.buf, 0)
					if err != nil || n != len(rds) {
						h.Errorf("round %d: %d events, %v", round, n, err)
					}
				})
			}()
			<-done
			runtime.GC()
			for _, rd := range rds {
				h.drained(rd)
			}
		}
	})
}

// rounds is how often something is done in a hurry.
func rounds(n int) int {
	if testing.Short() {
		n /= 5
	}
	return n
}

// deep calls f at the given depth of the stack.
func deep(depth int, f func()) {
	var pad [256]byte
	if depth == 0 {
		f()
		return
	}
	deep(depth-1, f)
	runtime.KeepAlive(&pad)
}

// removeRace removes and adds descriptors while another goroutine waits. What
// a Wait hands out that began after Remove has returned must not be of what
// was removed.
func (h *harness) removeRace(mode poller.Mode) {
	const fds = 8
	rounds := rounds(300)
	a, b := make([]int, fds), make([]int, fds)
	for i := range a {
		a[i], b[i] = h.pair()
		h.write(b[i], "x")
	}
	var oldest atomic.Int64 // tokens below it have been removed
	stop := make(chan struct{})
	var waiter sync.WaitGroup
	var wrong, delivered atomic.Int64
	waiter.Go(func() {
		events := make([]poller.Event, fds)
		for {
			select {
			case <-stop:
				return
			default:
			}
			limit := oldest.Load()
			n, err := h.Wait(events, time.Millisecond)
			if err != nil {
				h.Error(err)
				return
			}
			for _, ev := range events[:n] {
				delivered.Add(1)
				if int64(ev.Token) < limit {
					wrong.Add(1)
				}
			}
		}
	})
	token := int64(1)
	for range rounds {
		first := token
		for i := range a {
			h.add(a[i], poller.Token(token), r, mode)
			token++
		}
		if first%3 == 0 {
			time.Sleep(100 * time.Microsecond)
		}
		for i := range a {
			h.remove(a[i])
		}
		oldest.Store(token)
	}
	for i := range a {
		h.add(a[i], poller.Token(token), r, mode)
	}
	h.eventually("delivery", func() bool { return delivered.Load() > 0 })
	close(stop)
	waiter.Wait()
	require.Zero(h, wrong.Load(), "events of removed registrations")
}

// modifyRace re-arms a one-shot from another goroutine than the one that
// waits: each arming has one event, none is lost and none comes twice.
func (h *harness) modifyRace() {
	rounds := int64(rounds(2000))
	a, b := h.pair()
	h.write(b, "x")
	h.add(a, 0, r, oneShot)
	var last atomic.Int64
	last.Store(-1)
	stop := make(chan struct{})
	var waiter sync.WaitGroup
	waiter.Go(func() {
		events := make([]poller.Event, 4)
		for {
			select {
			case <-stop:
				return
			default:
			}
			n, err := h.Wait(events, 100*time.Microsecond)
			if err != nil {
				h.Error(err)
				return
			}
			for _, ev := range events[:n] {
				if int64(ev.Token) <= last.Load() {
					h.Errorf("arming %d has had its event: %d", last.Load(), ev.Token)
				}
				last.Store(int64(ev.Token))
			}
		}
	})
	for i := range rounds {
		if i%2 == 0 {
			h.eventually("the event of this arming", func() bool { return last.Load() == i })
		}
		h.modify(a, poller.Token(i+1), r, oneShot)
	}
	h.eventually("the last event", func() bool { return last.Load() == rounds })
	time.Sleep(quiet)
	close(stop)
	waiter.Wait()
	require.EqualValues(h, rounds, last.Load())
}

// reuseRounds opens and closes so that numbers go from hand to hand.
func (h *harness) reuseRounds() {
	type conn struct{ a, b int }
	live := map[poller.Token]conn{}
	token := poller.Token(0)
	for range rounds(2000) {
		token++
		a, b := h.pair()
		live[token] = conn{a, b}
		h.add(a, token, r|pc, level)
		h.write(b, "x")
		if len(live) < 6 {
			continue
		}
		for _, ev := range append([]poller.Event(nil), h.batch()...) {
			c, ok := live[ev.Token]
			if !ok {
				continue // closed on behalf of another event of this batch
			}
			n, err := posix.Read(c.a, make([]byte, 8))
			require.NoError(h, err)
			require.Equal(h, 1, n)
			for victim, v := range live {
				delete(live, victim)
				h.remove(v.a)
				h.close(v.a)
				h.close(v.b)
				break
			}
			if c, ok := live[ev.Token]; ok {
				h.write(c.b, "x")
			}
		}
	}
}
