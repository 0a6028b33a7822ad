//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd || windows

package pollertest

import (
	"math"
	"os"
	"os/signal"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func (s suite) timing(t *testing.T) {
	s.run(t, "NeverEarly", func(h *harness) {
		for _, d := range []time.Duration{
			1, time.Microsecond, 50 * time.Microsecond, 999 * time.Microsecond,
			time.Millisecond, 1500 * time.Microsecond, 3100 * time.Microsecond, 30 * time.Millisecond,
		} {
			for range 5 {
				h.lasts(d)
			}
		}
	})
	s.run(t, "ShortWaitDoesNotSpin", func(h *harness) {
		// Rounded down to nothing, a caller that waits again would be busy.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		waits := 0
		for end := time.Now().Add(idle); time.Now().Before(end); waits++ {
			_, err := h.Wait(h.buf, 500*time.Microsecond)
			require.NoError(h, err)
		}
		require.LessOrEqual(h, waits, 2*int(idle/(500*time.Microsecond)))
	})
	s.run(t, "LongestTimeout", func(h *harness) {
		for _, d := range []time.Duration{math.MaxInt64, 25 * 24 * time.Hour, time.Duration(math.MaxUint32) * time.Millisecond} {
			finish := h.waiting(d)
			require.NoError(h, h.Wake())
			events, err := finish()
			require.NoError(h, err)
			require.Empty(h, events)
		}
	})
	s.run(t, "EveryNegativeTimeoutIsEndless", func(h *harness) {
		for _, d := range []time.Duration{-1, -time.Hour, math.MinInt64} {
			require.NoError(h, h.Wake())
			h.woken()
			finish := h.waiting(d)
			time.Sleep(quiet)
			require.NoError(h, h.Wake())
			_, err := finish()
			require.NoError(h, err)
		}
	})
	s.run(t, "ZeroTimeoutStillFinds", func(h *harness) {
		rd, wr := h.pipe()
		h.add(rd, 1, r, level)
		for range 50 {
			h.write(wr, "x")
			n, err := h.Wait(h.buf, 0)
			require.NoError(h, err)
			require.Equal(h, 1, n)
			h.drained(rd)
		}
	})
	s.run(t, "EventsWinOverTime", func(h *harness) {
		_, wr := h.pipe()
		h.add(wr, 1, w, level)
		for range 100 {
			n, err := h.Wait(h.buf, 1)
			require.NoError(h, err)
			require.Equal(h, 1, n)
		}
	})
	s.run(t, "SignalsAreNoEvents", func(h *harness) { h.signals() })
}

// lasts checks that a wait for nothing lasts its time. One that a signal ends
// is repeated: the runtime sends them at its own discretion.
func (h *harness) lasts(d time.Duration) {
	h.Helper()
	var took time.Duration
	for range 500 {
		start := time.Now()
		n, err := h.Wait(h.buf, d)
		require.NoError(h, err)
		require.Zero(h, n)
		if took = time.Since(start); took >= d {
			return
		}
	}
	require.FailNow(h.T, "early", "%v instead of %v", took, d)
}

// signals interrupts a timed wait again and again.
func (h *harness) signals() {
	h.unless(NoSignals)
	caught := make(chan os.Signal, 1)
	signal.Notify(caught, interruption)
	defer signal.Stop(caught)

	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	thread := threadID()
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			case <-time.After(2 * time.Millisecond):
				interrupt(thread, interruption)
			}
		}
	}()
	const total = 60 * time.Millisecond
	begun := time.Now()
	interrupted := false
	for !interrupted && time.Since(begun) < patience {
		waits := 0
		start := time.Now()
		for left := total; left > 0; left = total - time.Since(start) {
			n, err := h.Wait(h.buf, left)
			require.NoError(h, err)
			require.Zero(h, n)
			waits++
		}
		interrupted = waits > 1 || runtime.GOOS != "linux"
	}
	close(stop)
	<-stopped
	require.True(h, interrupted, "no wait was interrupted")
	rd, wr := h.pipe()
	h.add(rd, 1, r, level)
	h.write(wr, "x")
	h.expect(1, r)
}
