//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd || windows

package pollertest

import (
	"runtime"
	"testing"

	"github.com/eddyloop/eddy/internal/posix"
	"github.com/eddyloop/eddy/poller"
	"github.com/stretchr/testify/require"
)

func (s suite) closeWatch(t *testing.T) {
	for name, mode := range s.modes() {
		s.streams(t, "SilentOnData/"+name, func(h *harness, a, b int) {
			h.add(a, 1, pc, mode)
			for range 3 {
				h.write(b, "some data")
				h.silent()
			}
			h.silentFor(idle)
			require.NoError(h, posix.Shutdown(b, posix.SHUT_WR))
			early := h.late(a)
			h.expect(1, pc)
			h.silentFor(idle)
			require.Len(h, early+h.atEnd(a), 27)
			h.silent()
		})
		s.streams(t, "SilentOnDataThatIsThere/"+name, func(h *harness, a, b int) {
			h.write(b, "some data")
			awaitPoll(a, posix.POLLIN)
			h.add(a, 1, pc, mode)
			h.silentFor(idle)
			h.close(b)
			h.late(a)
			ev := h.expect(1, pc)
			require.Zero(h, ev.Hints&poller.Failed)
			h.silentFor(idle)
		})
		s.streams(t, "ModifyTellsAgain/"+name, func(h *harness, a, b int) {
			require.NoError(h, posix.Shutdown(b, posix.SHUT_WR))
			h.add(a, 1, pc, mode)
			h.expect(1, pc)
			h.silent()
			h.modify(a, 2, pc, mode)
			h.expect(2, pc)
			h.silent()
		})
		s.streams(t, "SurvivesOwnEndOfWriting/"+name, func(h *harness, a, b int) {
			h.add(a, 1, pc, mode)
			require.NoError(h, posix.Shutdown(a, posix.SHUT_WR))
			h.silentFor(idle)
			require.NoError(h, posix.Shutdown(b, posix.SHUT_WR))
			h.expect(1, pc)
			h.silentFor(idle)
		})
		s.streams(t, "WithReadable/"+name, func(h *harness, a, b int) {
			h.add(a, 1, r|pc, mode)
			h.write(b, "x")
			h.expect(1, r)
			h.drained(a)
			if mode == oneShot {
				h.modify(a, 1, r|pc, mode)
			}
			h.silent()
			require.NoError(h, posix.Shutdown(b, posix.SHUT_WR))
			h.expect(1, r|pc)
		})
	}
	s.streams(t, "ToldOnceWithWritable/Level", func(h *harness, a, b int) {
		h.add(a, 1, w|pc, level)
		h.expect(1, w)
		h.write(b, "unread")
		h.expect(1, w)
		require.NoError(h, posix.Shutdown(b, posix.SHUT_WR))
		h.late(a)
		told := 0
		h.eventually("the end is told", func() bool {
			ev := h.next()
			require.NotZero(h, ev.Ready)
			require.Zero(h, ev.Ready&r)
			if ev.Ready&pc != 0 {
				told++
			}
			return told > 0 && ev.Ready == w
		})
		require.Equal(h, 1, told)
		for range 10 {
			h.expect(1, w)
		}
		h.modify(a, 2, w|pc, level)
		h.expect(2, w|pc)
		h.expect(2, w)
		h.modify(a, 3, pc, level)
		h.expect(3, pc)
		h.silentFor(idle)
		h.modify(a, 4, w, level)
		h.expect(4, w)
	})
	s.streams(t, "NoSpinBehindFullBuffer", func(h *harness, a, b int) {
		fill(a)
		h.add(a, 1, w|pc, level)
		h.silent()
		require.NoError(h, posix.Shutdown(b, posix.SHUT_WR))
		h.expect(1, pc)
		h.silentFor(idle)
	})
	s.streams(t, "WithWritable/Edge", func(h *harness, a, b int) {
		h.unless(NoEdges)
		h.add(a, 1, w|pc, edge)
		h.expect(1, w)
		h.silent()
		require.NoError(h, posix.Shutdown(b, posix.SHUT_WR))
		ev := h.next()
		require.NotZero(h, ev.Ready&pc)
		h.silentFor(idle)
	})
	s.streams(t, "WithWritable/OneShot", func(h *harness, a, b int) {
		h.add(a, 1, w|pc, oneShot)
		h.expect(1, w)
		require.NoError(h, posix.Shutdown(b, posix.SHUT_WR))
		h.silent()
		h.modify(a, 2, w|pc, oneShot)
		require.Equal(h, pc, h.next().Ready&pc)
		h.silentFor(idle)
	})
	s.streams(t, "ToldOnceMoreWhenItFails/Level", func(h *harness, a, b int) {
		h.laterReset(a, b, level)
	})
	s.streams(t, "ToldOnceMoreWhenItFails/Edge", func(h *harness, a, b int) {
		h.unless(NoEdges)
		h.laterReset(a, b, edge)
	})
	s.streams(t, "ResetWithWritable", func(h *harness, a, b int) {
		fill(a)
		h.add(a, 1, w|pc, level)
		h.silent()
		h.resetClose(b)
		ev := h.expect(1, w|pc)
		require.NotZero(h, ev.Hints)
		for range 3 {
			require.NotZero(h, h.next().Ready&w)
		}
		h.modify(a, 2, pc, level)
		h.expect(2, pc)
		h.silentFor(idle)
	})
	s.run(t, "PipeReader", func(h *harness) {
		h.unless(NoPipes)
		rd, wr := h.pipe()
		h.add(rd, 1, pc, level)
		h.write(wr, "x")
		h.silent()
		h.close(wr)
		h.expect(1, pc)
		h.silentFor(idle)
		require.Equal(h, "x", h.atEnd(rd))
	})
	s.run(t, "PipeWriter", func(h *harness) {
		h.unless(NoPipes)
		rd, wr := h.pipe()
		h.add(wr, 1, pc, level)
		h.silent()
		h.close(rd)
		h.expect(1, pc)
		h.silentFor(idle)
	})
}

// late reads what stands before the end of a stream, if the end isn't seen
// behind it. Until then nothing is told.
func (h *harness) late(fd int) string {
	h.Helper()
	if h.suite.limits&LateEnd == 0 {
		return ""
	}
	if pollRDHup == 0 { // nor by the oracle
		var all []byte
		h.eventually("the end", func() bool {
			data, err := drain(fd)
			all = append(all, data...)
			return err == nil
		})
		return string(all)
	}
	h.eventually("the end", func() bool { return awaitPoll(fd, pollRDHup)&pollRDHup != 0 })
	if awaitPoll(fd, pollRDHup)&posix.POLLHUP == 0 {
		n, err := h.Wait(h.buf, 0)
		require.NoError(h, err)
		for _, ev := range h.buf[:n] {
			require.Zero(h, ev.Ready&pc, "unread data is before it")
		}
	}
	return h.atEnd(fd)
}

// laterReset has the peer end its stream, and then go without having read all.
func (h *harness) laterReset(a, b int, mode poller.Mode) {
	h.add(a, 1, pc, mode)
	h.write(b, "unread")
	require.NoError(h, posix.Shutdown(b, posix.SHUT_WR))
	h.late(a)
	ev := h.expect(1, pc)
	require.Zero(h, ev.Hints&poller.Failed)
	h.silentFor(idle)
	h.write(a, "never read")
	awaitPoll(b, posix.POLLIN)
	h.resetClose(b)
	if addr, _ := posix.Getsockname(a); !isInet(addr) && runtime.GOOS != "linux" {
		return // unread data is no failure of a Unix socket everywhere
	}
	ev = h.expect(1, pc)
	require.NotZero(h, ev.Hints&poller.Failed)
	h.silentFor(idle)
}
