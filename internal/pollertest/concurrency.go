//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd || windows

package pollertest

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/eddyloop/eddy/poller"
	"github.com/stretchr/testify/require"
)

func (s suite) concurrency(t *testing.T) {
	s.eachMode(t, "AddDuringWait", func(h *harness, mode poller.Mode) {
		for i := range poller.Token(20) {
			rd, wr := h.pipe()
			h.write(wr, "x")
			finish := h.awaiting()
			h.add(rd, i, r, mode)
			events, err := finish()
			require.NoError(h, err)
			require.Equal(h, []poller.Event{{Token: i, Ready: r}}, events)
			h.remove(rd)
		}
	})
	s.eachMode(t, "ModifyDuringWait", func(h *harness, mode poller.Mode) {
		a, b := h.pair()
		h.write(b, "x")
		h.add(a, 1, 0, mode)
		for range 20 {
			finish := h.awaiting()
			h.modify(a, 2, r, mode)
			events, err := finish()
			require.NoError(h, err)
			require.Equal(h, []poller.Event{{Token: 2, Ready: r}}, events)
			h.modify(a, 1, 0, mode)
			h.silent()
		}
	})
	s.eachMode(t, "RemoveDuringWait", func(h *harness, mode poller.Mode) {
		for range 20 {
			a, b := h.pair()
			h.add(a, 1, r, mode)
			finish := h.waiting(20 * time.Millisecond)
			h.remove(a)
			h.write(b, "x")
			events, err := finish()
			require.NoError(h, err)
			require.Empty(h, events)
			h.close(a)
			h.close(b)
		}
	})
	s.run(t, "SecondWaiterIsRefused", func(h *harness) {
		var woken atomic.Bool
		finish := h.inBackground(func(events []poller.Event) (n int, err error) {
			for !woken.Load() && err == nil { // signals
				n, err = h.Wait(events, -1)
			}
			return n, err
		})
		_, err := h.Wait(h.buf, 0)
		require.ErrorIs(h, err, poller.ErrBusy)
		_, err = h.Wait(h.buf, -1)
		require.ErrorIs(h, err, poller.ErrBusy)
		woken.Store(true)
		require.NoError(h, h.Wake())
		_, err = finish()
		require.NoError(h, err)
		n, err := h.Wait(h.buf, 0)
		require.NoError(h, err)
		require.Zero(h, n)
	})
	s.run(t, "ManyGoroutinesRegister", func(h *harness) {
		const goroutines, each = 8, 20
		type end struct{ rd, wr int }
		ends := make([]end, goroutines*each)
		for i := range ends {
			ends[i].rd, ends[i].wr = h.pipe()
		}
		var all sync.WaitGroup
		errs := make(chan error, len(ends)*3)
		for g := range goroutines {
			all.Go(func() {
				for i := g * each; i < (g+1)*each; i++ {
					errs <- h.Add(ends[i].rd, poller.Token(i), w, level)
					errs <- h.Modify(ends[i].rd, poller.Token(i), r, level)
					if i%2 == 1 {
						errs <- h.Remove(ends[i].rd)
					}
				}
			})
		}
		finish := h.waiting(5 * time.Millisecond)
		all.Wait()
		_, err := finish()
		require.NoError(h, err)
		for range len(errs) {
			require.NoError(h, <-errs)
		}
		for _, e := range ends {
			h.write(e.wr, "x")
		}
		seen := map[poller.Token]bool{}
		for len(seen) < len(ends)/2 {
			for _, ev := range h.batch() {
				require.False(h, seen[ev.Token], "twice")
				require.Zero(h, ev.Token%2, "removed")
				seen[ev.Token] = true
				h.drained(ends[ev.Token].rd)
			}
		}
		h.silent()
	})
}
