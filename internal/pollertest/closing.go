//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd || windows

package pollertest

import (
	"strings"
	"testing"

	"github.com/eddyloop/eddy/internal/posix"
	"github.com/eddyloop/eddy/poller"
	"github.com/stretchr/testify/require"
)

func (s suite) closing(t *testing.T) {
	s.streams(t, "DataThenEnd", func(h *harness, a, b int) {
		h.add(a, 1, r, level)
		text := strings.Repeat("0123456789", 200) // NetBSD's Unix sockets take 4 KiB
		h.write(b, text)
		require.NoError(h, posix.Shutdown(b, posix.SHUT_WR))
		var got strings.Builder
		buf := make([]byte, 300)
		for {
			h.expect(1, r)
			n, err := posix.Read(a, buf)
			require.NoError(h, err)
			if n == 0 {
				break
			}
			got.Write(buf[:n])
		}
		require.Equal(h, text, got.String())
	})
	for name, mode := range s.modes() {
		s.streams(t, "EndIsReadable/"+name, func(h *harness, a, b int) {
			h.add(a, 1, r, mode)
			require.NoError(h, posix.Shutdown(b, posix.SHUT_WR))
			h.expect(1, r)
			require.Empty(h, h.atEnd(a))
			if mode == level {
				h.expect(1, r)
			} else {
				h.silent()
			}
			h.modify(a, 2, r, mode)
			h.expect(2, r)
			require.Empty(h, h.atEnd(a))
		})
		s.streams(t, "DisconnectIsReadable/"+name, func(h *harness, a, b int) {
			h.add(a, 1, r, mode)
			h.close(b)
			h.expect(1, r)
			require.Empty(h, h.atEnd(a))
		})
		s.streams(t, "OwnEndOfReading/"+name, func(h *harness, a, b int) {
			h.unless(OwnEndUntold)
			h.add(a, 1, r, mode)
			require.NoError(h, posix.Shutdown(a, posix.SHUT_RD))
			h.expect(1, r)
			require.Empty(h, h.atEnd(a))
		})
		s.streams(t, "BothShut/"+name, func(h *harness, a, b int) {
			require.NoError(h, posix.Shutdown(a, posix.SHUT_WR))
			require.NoError(h, posix.Shutdown(b, posix.SHUT_WR))
			h.awaitEnd(a)
			h.add(a, 1, r|w|pc, mode)
			ev := h.expect(1, r|w|pc)
			require.Equal(h, h.suite.limits&NoHangup == 0, ev.Hints&poller.Hangup != 0)
			require.Zero(h, ev.Hints&poller.Failed)
			require.Empty(h, h.atEnd(a))
		})
		s.streams(t, "HangupReachesWriter/"+name, func(h *harness, a, b int) {
			fill(a)
			h.add(a, 1, w, mode)
			h.silent()
			h.close(b)
			h.expect(1, w)
			_, err := posix.Write(a, []byte("x"))
			require.Error(h, err)
			require.NotErrorIs(h, err, posix.EAGAIN)
		})
	}
	s.streams(t, "OwnEndOfWriting", func(h *harness, a, b int) {
		h.add(a, 1, r, level)
		require.NoError(h, posix.Shutdown(a, posix.SHUT_WR))
		h.silentFor(idle)
		h.write(b, "x")
		h.expect(1, r)
		require.Equal(h, "x", h.drained(a))
		h.silentFor(idle)
	})
	s.streams(t, "OwnEndOfWritingIsWritable", func(h *harness, a, b int) {
		require.NoError(h, posix.Shutdown(a, posix.SHUT_WR))
		h.add(a, 1, w, oneShot)
		h.expect(1, w)
		_, err := posix.Write(a, []byte("x"))
		require.ErrorIs(h, err, posix.EPIPE)
	})
	s.streams(t, "EndRepeatsInLevelOnly", func(h *harness, a, b int) {
		h.close(b)
		h.add(a, 1, r, level)
		for range 3 {
			h.expect(1, r)
		}
		h.unless(NoEdges)
		h.modify(a, 1, r, edge)
		h.expect(1, r)
		h.silent()
	})
}

// wasReset checks the error of a socket that was reset.
func (h *harness) wasReset(err error) {
	h.Helper()
	if h.suite.limits&ResetsAreEnds == 0 || err != nil {
		require.ErrorIs(h, err, posix.ECONNRESET)
	}
}

func (s suite) reset(t *testing.T) {
	for name, mode := range s.modes() {
		s.run(t, "ReadableAndFailed/"+name, func(h *harness) {
			a, b := h.tcp()
			h.add(a, 1, r, mode)
			h.resetClose(b)
			ev := h.expect(1, r)
			require.NotZero(h, ev.Hints&poller.Failed)
			_, err := posix.Read(a, make([]byte, 1))
			h.wasReset(err)
		})
		s.run(t, "ReachesWriterOnly/"+name, func(h *harness) {
			a, b := h.tcp()
			fill(a)
			h.add(a, 1, w, mode)
			h.resetClose(b)
			h.expect(1, w)
			h.wasReset(socketError(a))
		})
	}
	s.run(t, "UnixPeerLeavesDataUnread", func(h *harness) {
		a, b := h.pair()
		h.write(a, "never read")
		h.add(a, 1, r, level)
		h.close(b)
		h.expect(1, r)
		_, err := drain(a)
		if err != nil { // some systems tell only of the end
			h.wasReset(err)
		}
	})
	s.run(t, "BehindUnsentDataOfHalfOpenStream", func(h *harness) {
		// The peer is done with sending and goes away without reading: what
		// is queued can never be sent.
		a, b := h.tcp()
		fill(a)
		h.add(a, 1, r|w, level)
		require.NoError(h, posix.Shutdown(b, posix.SHUT_WR))
		h.expect(1, r)
		require.Empty(h, h.atEnd(a))
		h.modify(a, 2, w, level)
		h.silentFor(idle)
		h.close(b)
		h.expect(2, w)
		_, err := posix.Write(a, []byte("x"))
		require.Error(h, err)
		require.NotErrorIs(h, err, posix.EAGAIN)
		h.modify(a, 3, 0, level)
		h.silentFor(idle)
	})
}
