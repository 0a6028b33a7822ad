//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd || windows

package pollertest

import (
	"math/rand/v2"
	"testing"

	"github.com/eddyloop/eddy/internal/posix"
	"github.com/eddyloop/eddy/poller"
	"github.com/stretchr/testify/require"
)

func (s suite) events(t *testing.T) {
	s.streams(t, "DirectionsAreJoined", func(h *harness, a, b int) {
		for mode, value := range s.modes() {
			h.write(b, "x")
			awaitPoll(a, posix.POLLIN)
			h.add(a, 1, r|w, value)
			ev := h.expect(1, r|w)
			require.Zero(h, ev.Hints, mode)
			h.drained(a)
			h.remove(a)
		}
	})
	s.run(t, "EachConnectionHasItsToken", func(h *harness) {
		const count = 100
		var ends [count][2]int
		for i := range ends {
			ends[i][0], ends[i][1] = h.pair()
			h.add(ends[i][0], poller.Token(i), r, level)
		}
		rnd := rand.New(rand.NewPCG(1, 2))
		for range 3 {
			for _, i := range rnd.Perm(count) {
				h.write(ends[i][1], "x")
				h.expect(poller.Token(i), r)
				h.drained(ends[i][0])
			}
		}
	})
	s.run(t, "MoreReadyThanRoom", func(h *harness) {
		const count, room = 2000, 64
		rds := make([]int, count)
		for i := range rds {
			var wr int
			rds[i], wr = h.pipe()
			h.add(rds[i], poller.Token(i), r, level)
			h.write(wr, "x")
		}
		seen := make([]bool, count)
		for round := range (count + room - 1) / room {
			n, err := h.Wait(h.buf[:room], patience)
			require.NoError(h, err)
			require.Equal(h, min(room, count-round*room), n)
			for _, ev := range h.buf[:n] {
				require.False(h, seen[ev.Token], "twice")
				seen[ev.Token] = true
				h.drained(rds[ev.Token])
			}
		}
		h.silent()
	})
	s.run(t, "UndrainedDescriptorsTakeTurns", func(h *harness) {
		// Whoever takes few events at a time must not starve the others.
		const count = 10
		for i := range poller.Token(count) {
			_, wr := h.pipe()
			h.add(wr, i, w, level)
		}
		seen := map[poller.Token]bool{}
		for range 10 * count {
			n, err := h.Wait(h.buf[:3], patience)
			require.NoError(h, err)
			for _, ev := range h.buf[:n] {
				seen[ev.Token] = true
			}
		}
		require.Len(h, seen, count)
	})
	s.run(t, "RoomMayChange", func(h *harness) {
		const count = 200
		for i := range poller.Token(count) {
			_, wr := h.pipe()
			h.add(wr, i, w, level)
		}
		for _, room := range []int{1, 64, 3, 200, 1000, 1, 200} {
			n, err := h.Wait(make([]poller.Event, room), 0)
			require.NoError(h, err)
			require.Equal(h, min(room, count), n)
		}
	})
	s.run(t, "OnlyWhatWasFoundIsWritten", func(h *harness) {
		_, wr := h.pipe()
		h.add(wr, 1, w, level)
		mark := poller.Event{Token: 99, Ready: 99, Hints: 99}
		events := []poller.Event{mark, mark, mark}
		n, err := h.Wait(events, 0)
		require.NoError(h, err)
		require.Equal(h, 1, n)
		require.Equal(h, []poller.Event{{Token: 1, Ready: w}, mark, mark}, events)
	})
	s.eachMode(t, "RemovedWhileReady", func(h *harness, mode poller.Mode) {
		rd, wr := h.pipe()
		h.add(rd, 1, r, mode)
		h.write(wr, "x")
		h.remove(rd)
		h.silent()
	})
	s.eachMode(t, "HandlerRemovesAnother", func(h *harness, mode poller.Mode) {
		ends := map[poller.Token]int{}
		for i := range poller.Token(2) {
			rd, wr := h.pipe()
			ends[i] = rd
			h.add(rd, i, r, mode)
			h.write(wr, "x")
		}
		require.Len(h, h.batch(), 2)
		h.remove(ends[1])
		h.close(ends[1])
		h.drained(ends[0])
		h.silent()
	})
	s.eachMode(t, "DataTakenBeforeWait", func(h *harness, mode poller.Mode) {
		rd, wr := h.pipe()
		h.add(rd, 1, r, mode)
		h.write(wr, "x")
		require.Equal(h, "x", h.drained(rd))
		if mode == oneShot { // it may tell of what has been taken, and is spent then
			n, err := h.Wait(h.buf, quiet)
			require.NoError(h, err)
			if n > 0 {
				require.Equal(h, poller.Event{Token: 1, Ready: r}, h.buf[0])
				h.silent()
				h.modify(rd, 1, r, mode)
			}
		}
		h.silent()
		h.write(wr, "y")
		h.expect(1, r)
	})
	s.run(t, "ManyClosedAfterTheirFirstEvent", func(h *harness) {
		const count = 2500
		rds := map[poller.Token]int{}
		for i := range poller.Token(count) {
			rd, wr := h.pipe()
			rds[i] = rd
			h.add(rd, i, r, level)
			h.write(wr, "x")
		}
		for len(rds) > 0 {
			for _, ev := range h.batch() {
				rd, ok := rds[ev.Token]
				require.True(h, ok, "event after Remove")
				delete(rds, ev.Token)
				h.remove(rd)
				h.close(rd)
			}
		}
		h.silent()
	})
	s.run(t, "WaitInsideHandler", func(h *harness) {
		_, one := h.pipe()
		_, two := h.pipe()
		h.add(one, 1, w, level)
		h.add(two, 2, w, level)
		first := h.batch()
		require.Len(h, first, 2)
		saved := []poller.Event{first[0], first[1]}
		n, err := h.Wait(make([]poller.Event, 2), 0)
		require.NoError(h, err)
		require.Equal(h, 2, n)
		require.Equal(h, saved, first)
	})
}
