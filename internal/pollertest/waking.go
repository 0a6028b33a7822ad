//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd || windows

package pollertest

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/eddyloop/eddy/poller"
	"github.com/stretchr/testify/require"
)

// woken waits for a wake-up.
func (h *harness) woken() {
	h.Helper()
	start := time.Now()
	n, err := h.Wait(h.buf, patience)
	require.NoError(h, err)
	require.Empty(h, h.buf[:n])
	require.Less(h, time.Since(start), patience, "not woken")
}

func (s suite) wake(t *testing.T) {
	s.run(t, "BeforeWait", func(h *harness) {
		require.NoError(h, h.Wake())
		h.woken()
		h.silent()
	})
	s.run(t, "ManyAreOne", func(h *harness) {
		for range 1000 {
			require.NoError(h, h.Wake())
		}
		h.woken()
		h.silentFor(idle)
		require.NoError(h, h.Wake())
		h.woken()
		h.silent()
	})
	s.run(t, "DuringWait", func(h *harness) {
		for range 20 {
			finish := h.waiting(-1)
			require.NoError(h, h.Wake())
			events, err := finish()
			require.NoError(h, err)
			require.Empty(h, events)
		}
		h.silent()
	})
	s.run(t, "EndsTimedWaitEarly", func(h *harness) {
		finish := h.waiting(time.Hour)
		require.NoError(h, h.Wake())
		_, err := finish()
		require.NoError(h, err)
	})
	s.run(t, "ZeroTimeoutConsumesIt", func(h *harness) {
		for range 10 {
			require.NoError(h, h.Wake())
			n, err := h.Wait(h.buf, 0)
			require.NoError(h, err)
			require.Zero(h, n)
			h.silent()
		}
	})
	s.run(t, "TogetherWithEvents", func(h *harness) {
		rd, wr := h.pipe()
		h.add(rd, 1, r, level)
		h.write(wr, "x")
		require.NoError(h, h.Wake())
		h.expect(1, r)
		h.drained(rd)
		h.silent()
		// Behind what has been ready for longer, too.
		h.add(wr, 2, w, level)
		h.expect(2, w)
		require.NoError(h, h.Wake())
		h.expect(2, w)
		h.modify(wr, 2, 0, level)
		h.silent()
		require.NoError(h, h.Wake())
		h.woken()
	})
	s.run(t, "WithRoomForOneEvent", func(h *harness) {
		// A descriptor that is always ready must not keep the wake-up out.
		_, wr := h.pipe()
		h.add(wr, 1, w, level)
		for range 10 {
			require.NoError(h, h.Wake())
			woken := false
			for range 3 {
				n, err := h.Wait(h.buf[:1], patience)
				require.NoError(h, err)
				woken = woken || n == 0
			}
			require.True(h, woken)
		}
	})
	s.run(t, "NoneIsLost", func(h *harness) { h.wakeStorm() })
	s.run(t, "ManyNeverBlock", func(h *harness) {
		for range 1_000_000 {
			if err := h.Wake(); err != nil {
				require.NoError(h, err)
			}
		}
		h.woken()
		h.silent()
	})
}

// wakeStorm hands numbers to a waiting goroutine, one by one: each wake-up
// must be seen, whatever the waiter is doing at the time.
func (h *harness) wakeStorm() {
	count := int64(1_000_000)
	if raceEnabled || testing.Short() {
		count /= 10 // several times slower under the race detector
	}
	var posted, seen atomic.Int64
	errs := make(chan error, 1)
	go func() {
		events := make([]poller.Event, 4)
		for seen.Load() < count {
			if _, err := h.Wait(events, -1); err != nil {
				errs <- err
				return
			}
			seen.Store(posted.Load())
		}
		errs <- nil
	}()
	go func() {
		for i := range count {
			posted.Store(i + 1)
			h.Wake()
			if i%1024 == 0 {
				// Every now and then the waiter gets to sleep first.
				for end := time.Now().Add(patience); seen.Load() <= i && time.Now().Before(end); {
					time.Sleep(0)
				}
			}
		}
	}()
	select {
	case err := <-errs:
		require.NoError(h, err)
	case <-time.After(3 * patience):
		require.FailNow(h.T, "a wake-up was lost", "%d of %d", seen.Load(), posted.Load())
	}
}
