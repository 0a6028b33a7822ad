//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd || windows

package pollertest

import (
	"os/exec"
	"testing"

	"github.com/eddyloop/eddy/internal/posix"
	"github.com/eddyloop/eddy/poller"
	"github.com/stretchr/testify/require"
	"os"
)

func (s suite) pipes(t *testing.T) {
	if s.limits&NoPipes != 0 {
		t.Skip("the kernel can't watch pipes")
	}
	s.eachMode(t, "ReaderSeesTheEnd", func(h *harness, mode poller.Mode) {
		rd, wr := h.pipe()
		h.add(rd, 1, r, mode)
		h.close(wr)
		h.expect(1, r)
		require.Empty(h, h.atEnd(rd))
		if mode == level {
			h.expect(1, r)
			return
		}
		if mode == edge { // NetBSD: reading the end is an edge, the first time
			if n, err := h.Wait(h.buf, quiet); n > 0 {
				require.NoError(h, err)
				require.Empty(h, h.atEnd(rd))
			}
		}
		h.silentFor(idle)
	})
	s.run(t, "ReaderSeesDataBeforeTheEnd", func(h *harness) {
		rd, wr := h.pipe()
		h.add(rd, 1, r, level)
		h.write(wr, "hello")
		h.close(wr)
		h.expect(1, r)
		require.Equal(h, "hello", h.atEnd(rd))
	})
	s.run(t, "TwoEndsInOneBatch", func(h *harness) {
		one, wr1 := h.pipe()
		two, wr2 := h.pipe()
		h.add(one, 1, r, level)
		h.add(two, 2, r, level)
		h.close(wr1)
		h.close(wr2)
		events := append([]poller.Event(nil), h.batch()...)
		require.Len(h, events, 2)
		require.ElementsMatch(h, []poller.Token{1, 2}, []poller.Token{events[0].Token, events[1].Token})
		for _, ev := range events {
			require.Equal(h, r, ev.Ready)
		}
	})
	s.eachMode(t, "WriterLearnsThatReaderIsGone", func(h *harness, mode poller.Mode) {
		rd, wr := h.pipe()
		fill(wr)
		h.add(wr, 1, w, mode)
		h.silent()
		h.close(rd)
		h.expect(1, w)
		_, err := posix.Write(wr, []byte("x"))
		require.ErrorIs(h, err, posix.EPIPE)
		if mode == level {
			h.expect(1, w)
		} else {
			h.silentFor(idle)
		}
		h.remove(wr)
		h.silent()
	})
	s.eachMode(t, "WriterAddedAfterReaderIsGone", func(h *harness, mode poller.Mode) {
		rd, wr := h.pipe()
		h.close(rd)
		h.add(wr, 1, w, mode)
		h.expect(1, w)
		_, err := posix.Write(wr, []byte("x"))
		require.ErrorIs(h, err, posix.EPIPE)
		h.modify(wr, 2, w, mode)
		h.expect(2, w)
		h.remove(wr)
		h.silent()
	})
	s.eachMode(t, "WriterAddedDuringWaitAfterReaderIsGone", func(h *harness, mode poller.Mode) {
		rd, wr := h.pipe()
		h.close(rd)
		finish := h.awaiting()
		h.add(wr, 1, w, mode)
		events, err := finish()
		require.NoError(h, err)
		require.Len(h, events, 1)
		require.Equal(h, w, events[0].Ready)
	})
	s.run(t, "ChildProcess", func(h *harness) {
		inR, inW := h.pipe()
		outR, outW := h.pipe()
		cmd := exec.Command("cat")
		cmd.Stdin, cmd.Stdout = h.file(inR), h.file(outW)
		require.NoError(h, cmd.Start())
		cmd.Stdin.(*os.File).Close()
		cmd.Stdout.(*os.File).Close()
		h.close(inR)
		h.close(outW)
		h.add(inW, 1, w, level)
		h.expect(1, w)
		h.write(inW, "through the child")
		h.remove(inW)
		h.add(outR, 2, r, level)
		h.expect(2, r)
		require.Equal(h, "through the child", h.drained(outR))
		h.close(inW)
		h.expect(2, r)
		require.Empty(h, h.atEnd(outR))
		require.NoError(h, cmd.Wait())
	})
}

// file returns a blocking duplicate of fd.
func (h *harness) file(fd int) *os.File {
	d, err := posix.Dup(fd)
	require.NoError(h, err)
	posix.CloseOnExec(d)
	require.NoError(h, posix.SetNonblock(d, false))
	return os.NewFile(uintptr(d), "pipe")
}
