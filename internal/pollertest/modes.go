//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd || windows

package pollertest

import (
	"errors"
	"testing"

	"github.com/eddyloop/eddy/internal/posix"
	"github.com/eddyloop/eddy/poller"
	"github.com/stretchr/testify/require"
)

func (s suite) inModes(t *testing.T) {
	s.run(t, "EdgesMayBeRefused", func(h *harness) {
		require.Equal(h, s.limits&NoEdges == 0, h.SupportsEdge())
		if s.limits&NoEdges == 0 {
			h.Skip("there are edges")
		}
		a, b := h.pair()
		require.ErrorIs(h, h.Add(a, 1, r, edge), poller.ErrNoEdges)
		require.ErrorIs(h, h.Remove(a), poller.ErrNotExist)
		h.add(a, 1, r, level)
		err := h.Modify(a, 2, r|w, edge)
		require.ErrorIs(h, err, poller.ErrNoEdges)
		require.ErrorIs(h, err, errors.ErrUnsupported)
		h.write(b, "x")
		h.expect(1, r)
		h.expect(1, r)
	})
	s.streams(t, "LevelRepeatsUntilDrained", func(h *harness, a, b int) {
		h.add(a, 1, r, level)
		h.write(b, "xy")
		for range 3 {
			h.expect(1, r)
		}
		_, err := posix.Read(a, make([]byte, 1))
		require.NoError(h, err)
		h.expect(1, r)
		h.drained(a)
		h.silent()
	})
	s.streams(t, "EdgeIsSilentAfterPartialRead", func(h *harness, a, b int) {
		h.unless(NoEdges)
		h.add(a, 1, r, edge)
		h.write(b, "xy")
		h.expect(1, r)
		h.silent()
		_, err := posix.Read(a, make([]byte, 1))
		require.NoError(h, err)
		h.silent()
	})
	s.streams(t, "EdgeTellsOfNewDataBehindOld", func(h *harness, a, b int) {
		h.unless(NoEdges)
		h.add(a, 1, r, edge)
		for range 3 {
			h.write(b, "x")
			h.expect(1, r)
			h.silent()
		}
	})
	s.streams(t, "EdgeAfterDrainingWithoutWait", func(h *harness, a, b int) {
		h.unless(NoEdges)
		h.add(a, 1, r, edge)
		h.write(b, "x")
		h.expect(1, r)
		h.drained(a)
		h.write(b, "y")
		h.expect(1, r)
		require.Equal(h, "y", h.drained(a))
		h.silent()
	})
	s.streams(t, "EdgeIsRearmedByModify", func(h *harness, a, b int) {
		h.unless(NoEdges)
		h.add(a, 1, r|w, edge)
		h.expect(1, w)
		h.silent()
		h.modify(a, 2, r|w, edge)
		h.expect(2, w)
		h.write(b, "x")
		awaitPoll(a, posix.POLLIN)
		h.next()
		h.modify(a, 3, r, edge)
		h.expect(3, r)
		h.silent()
	})
	s.streams(t, "EdgeStaysEdgeWithoutOneDirection", func(h *harness, a, b int) {
		h.unless(NoEdges)
		h.write(b, "x")
		awaitPoll(a, posix.POLLIN)
		h.add(a, 1, r|w, edge)
		h.expect(1, r|w)
		h.modify(a, 1, r, edge)
		h.expect(1, r)
		h.silent()
		h.modify(a, 1, w, edge)
		h.expect(1, w)
		h.silent()
	})
	s.run(t, "EdgeTellsOfNewRoom", func(h *harness) {
		h.unless(NoEdges)
		rd, wr := h.pipe()
		h.add(wr, 1, w, edge)
		h.expect(1, w)
		fill(wr)
		h.silent()
		h.drained(rd)
		h.expect(1, w)
		h.silent()
	})
	s.streams(t, "EdgeTellsOfNewRoomInSocket", func(h *harness, a, b int) {
		h.unless(NoEdges)
		total := fill(a)
		h.add(a, 1, w, edge)
		h.silent()
		for got := 0; got < total; {
			awaitPoll(b, posix.POLLIN)
			data, _ := drain(b)
			got += len(data)
		}
		h.expect(1, w)
	})
	s.streams(t, "OneShotFiresOnce", func(h *harness, a, b int) {
		h.add(a, 1, r, oneShot)
		h.write(b, "x")
		h.expect(1, r)
		h.silent()
		h.write(b, "y")
		h.silent()
		h.modify(a, 2, r, oneShot)
		h.expect(2, r)
		h.silent()
		h.drained(a)
		h.modify(a, 3, r, oneShot)
		h.silent()
		h.write(b, "z")
		h.expect(3, r)
		h.remove(a)
	})
	s.streams(t, "OneShotDisarmsBothDirections", func(h *harness, a, b int) {
		h.add(a, 1, r|w, oneShot)
		h.expect(1, w)
		h.write(b, "x")
		h.silent()
		h.modify(a, 2, r, oneShot)
		h.expect(2, r)
		h.modify(a, 3, r|w, oneShot)
		h.expect(3, r|w)
		h.silent()
	})
	s.streams(t, "OneShotThatFiredIsSilentAfterHangup", func(h *harness, a, b int) {
		h.add(a, 1, r|w|pc, oneShot)
		h.expect(1, w)
		h.close(b)
		awaitPoll(a, posix.POLLIN)
		h.silentFor(idle)
	})
	s.run(t, "ModeMayChange", func(h *harness) {
		a, b := h.pair()
		h.write(b, "x")
		h.add(a, 1, r, level)
		last := level
		for step, mode := range []poller.Mode{oneShot, edge, level, edge, oneShot, level, level, edge, edge, oneShot, oneShot} {
			if mode == edge && s.limits&NoEdges != 0 {
				continue
			}
			token := poller.Token(10 + step)
			h.modify(a, token, r, mode)
			h.expect(token, r)
			if mode == level {
				h.expect(token, r)
			} else {
				h.silent()
			}
			if mode == edge {
				h.write(b, "x")
				h.expect(token, r)
			}
			last = mode
		}
		require.Equal(h, oneShot, last)
	})
	s.streams(t, "PausedReaderStopsWriter", func(h *harness, a, b int) {
		h.add(a, 1, w, level)
		h.expect(1, w)
		total := fill(a)
		h.silent()
		for got := 0; got < total; {
			awaitPoll(b, posix.POLLIN)
			data, err := drain(b)
			require.ErrorIs(h, err, posix.EAGAIN)
			got += len(data)
		}
		h.expect(1, w)
	})
}
