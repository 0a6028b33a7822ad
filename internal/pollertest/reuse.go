//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd || windows

package pollertest

import (
	"testing"

	"github.com/eddyloop/eddy/internal/posix"
	"github.com/eddyloop/eddy/poller"
	"github.com/stretchr/testify/require"
)

func (s suite) reuse(t *testing.T) {
	s.eachMode(t, "NumberReusedWithinBatch", func(h *harness, mode poller.Mode) {
		var rds [2]int
		for i := range rds {
			var wr int
			rds[i], wr = h.pipe()
			h.add(rds[i], poller.Token(i), r, mode)
			h.write(wr, "x")
		}
		require.Len(h, h.batch(), 2)
		h.remove(rds[1])
		h.close(rds[1])
		fresh, wr := h.pipe()
		h.move(fresh, rds[1])
		h.add(rds[1], 7, r, mode)
		h.drained(rds[0])
		h.silent()
		h.write(wr, "y")
		h.expect(7, r)
	})
	s.eachMode(t, "NumberReusedWhileReady", func(h *harness, mode poller.Mode) {
		rd, wr := h.pipe()
		h.add(rd, 1, r, mode)
		h.write(wr, "x")
		h.remove(rd)
		h.close(rd)
		fresh, _ := h.pipe()
		h.move(fresh, rd)
		h.add(rd, 2, r, mode)
		h.silent()
	})
	s.eachMode(t, "DuplicateKeepsOldFileOpen", func(h *harness, mode poller.Mode) {
		a, b := h.pair()
		h.add(a, 1, r, mode)
		h.dup(a)
		h.remove(a)
		h.close(a)
		h.write(b, "x")
		h.silentFor(idle)
		fresh, wr := h.pipe()
		h.move(fresh, a)
		h.add(a, 2, r, mode)
		h.silentFor(idle)
		h.write(wr, "y")
		h.expect(2, r)
	})
	for name, size := range map[string]int{"OneEventAtATime": 1, "ManyEventsAtATime": 64} {
		s.run(t, "DuplicateOfWhatWasClosedTooEarly/"+name, func(h *harness) {
			h.buf = h.buf[:size]
			h.undead()
		})
	}
	s.run(t, "DuplicateOfWhatWasClosedKeepsOtherWaiting", func(h *harness) {
		// The entry that can't be deleted comes alone, again and again, while
		// a goroutine waits without end.
		a, b := h.pair()
		h.add(a, 1, r, level)
		h.dup(a)
		h.close(a)
		h.remove(a)
		h.write(b, "x")
		finish := h.waiting(-1)
		require.NoError(h, h.Wake())
		_, err := finish()
		require.NoError(h, err)
		h.silentFor(idle)
	})
	s.run(t, "NumberZero", func(h *harness) {
		h.unless(NoNumbers)
		saved := h.dup(0)
		defer func() { require.NoError(h, dup2(saved, 0)) }()
		rd, wr := h.pipe()
		require.NoError(h, dup2(rd, 0))
		h.add(0, 1, r, level)
		require.NoError(h, h.Wake())
		n, err := h.Wait(h.buf, patience)
		require.NoError(h, err)
		require.Zero(h, n)
		h.silent()
		h.write(wr, "x")
		h.expect(1, r)
		h.remove(0)
		h.silent()
	})
}

// undead closes descriptors before they are removed, while duplicates of them
// are open, and uses their numbers again. On Linux the kernel then has entries
// that nobody can delete.
func (h *harness) undead() {
	const count = 5
	var fds, rds, wrs [count]int
	for i := range fds {
		a, b := h.pair()
		h.add(a, poller.Token(i), r|w, level)
		h.dup(a)
		h.write(b, "x")
		fds[i] = a
		rds[i], wrs[i] = h.pipe()
	}
	// Registrations that must survive whatever is done about the others.
	shot, feed := h.pair()
	h.write(feed, "x")
	watch, peer := h.pair()
	require.NoError(h, posix.Shutdown(peer, posix.SHUT_WR))
	for _, fd := range fds {
		h.close(fd)
		h.remove(fd)
	}
	h.add(shot, 1000, r, oneShot)
	h.expect(1000, r)
	h.add(watch, 1001, pc, level)
	h.expect(1001, pc)
	for i := range fds {
		h.move(rds[i], fds[i])
		h.add(fds[i], poller.Token(100+i), r, level)
	}
	h.silentFor(2 * idle)
	for i := range fds {
		h.write(wrs[i], "y")
		h.expect(poller.Token(100+i), r)
		h.drained(fds[i])
	}
	require.NoError(h, h.Wake())
	h.woken()
	h.modify(shot, 1002, r, oneShot)
	h.expect(1002, r)
	h.modify(watch, 1003, pc, level)
	h.expect(1003, pc)
	h.silentFor(idle)
}
