//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd || windows

package pollertest

import (
	"math"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/eddyloop/eddy/internal/posix"
	"github.com/eddyloop/eddy/internal/tempdir"
	"github.com/eddyloop/eddy/poller"
	"github.com/stretchr/testify/require"
)

func (s suite) registration(t *testing.T) {
	s.run(t, "ReadableWhenDataArrives", func(h *harness) {
		rd, wr := h.pipe()
		h.add(rd, 1, r, level)
		h.silent()
		h.write(wr, "x")
		ev := h.expect(1, r)
		require.Zero(h, ev.Hints)
	})
	s.streams(t, "FreshSocketIsWritable", func(h *harness, a, _ int) {
		h.add(a, 1, w, level)
		ev := h.expect(1, w)
		require.Zero(h, ev.Hints)
	})
	s.run(t, "AddTwiceKeepsFirst", func(h *harness) {
		rd, wr := h.pipe()
		h.add(rd, 1, r, level)
		err := h.Add(rd, 2, w, oneShot)
		require.ErrorIs(h, err, poller.ErrExists)
		h.write(wr, "x")
		h.expect(1, r)
		h.expect(1, r)
	})
	s.run(t, "UnknownDescriptorIsReported", func(h *harness) {
		rd, _ := h.pipe()
		for _, fd := range []int{rd, -1, math.MaxInt} {
			require.ErrorIs(h, h.Modify(fd, 1, r, level), poller.ErrNotExist)
			require.ErrorIs(h, h.Remove(fd), poller.ErrNotExist)
		}
	})
	s.run(t, "RemoveTwice", func(h *harness) {
		rd, _ := h.pipe()
		h.add(rd, 1, r, level)
		h.remove(rd)
		require.ErrorIs(h, h.Remove(rd), poller.ErrNotExist)
	})
	s.run(t, "AddAfterRemoveStartsAnew", func(h *harness) {
		rd, wr := h.pipe()
		h.add(rd, 1, r, oneShot)
		h.write(wr, "x")
		h.expect(1, r)
		h.remove(rd)
		h.silent()
		h.add(rd, 2, r, level)
		h.expect(2, r)
		h.remove(rd)
		h.silent()
	})
	s.run(t, "CloseWithoutRemoveDoesNoHarm", func(h *harness) {
		rd, wr := h.pipe()
		h.add(rd, 1, r, level)
		h.close(rd)
		h.close(wr)
		h.silent()
		h.remove(rd)
		require.ErrorIs(h, h.Remove(rd), poller.ErrNotExist)
	})
	s.run(t, "ModifyReplacesInterestAndToken", func(h *harness) {
		a, b := h.pair()
		h.write(b, "x")
		h.add(a, 1, r|w, level)
		h.expect(1, r|w)
		h.modify(a, 2, r, level)
		h.expect(2, r)
		h.modify(a, 3, w, level)
		h.expect(3, w)
		h.drained(a)
		h.modify(a, 4, r, level)
		h.silent()
	})
	s.eachMode(t, "ModifySuppressesWhatWasPending", func(h *harness, mode poller.Mode) {
		a, b := h.pair()
		h.add(a, 1, r, mode)
		h.write(b, "x")
		h.modify(a, 2, w, mode)
		h.expect(2, w)
	})
	s.eachMode(t, "NoInterestIsSilent", func(h *harness, mode poller.Mode) {
		a, b := h.pair()
		h.add(a, 1, 0, mode)
		h.write(b, "x")
		h.silent()
		h.modify(a, 2, r, mode)
		h.expect(2, r)
		h.modify(a, 3, 0, mode)
		h.silent()
		h.modify(a, 4, r|w, mode)
		h.expect(4, r|w)
		h.modify(a, 5, 0, mode)
		h.remove(a)
		h.silent()
	})
	s.eachMode(t, "NoInterestIsSilentAfterReset", func(h *harness, mode poller.Mode) {
		a, b := h.tcp()
		h.add(a, 1, r, mode)
		h.modify(a, 1, 0, mode)
		h.resetClose(b)
		awaitPoll(a, posix.POLLIN)
		h.silentFor(idle)
		h.modify(a, 2, r, mode)
		h.expect(2, r)
	})
	s.run(t, "InterestMovesFromWriteToRead", func(h *harness) {
		a, b := h.pair()
		h.add(a, 1, w, level)
		h.expect(1, w)
		h.modify(a, 1, r, level)
		h.silent()
		h.write(b, "x")
		h.expect(1, r)
	})
	s.run(t, "FilesWithoutReadinessAreRefused", refusedFiles)
	s.run(t, "PipesAndFIFOsAreAccepted", func(h *harness) {
		h.unless(NoPipes)
		rd, wr := h.pipe()
		h.add(rd, 1, r, level)
		h.add(wr, 2, w, level)
		h.expect(2, w)
		path := filepath.Join(tempdir.New(h), "fifo")
		require.NoError(h, posix.Mkfifo(path, 0o600))
		fifo := h.open(posix.Open(path, posix.O_RDONLY|posix.O_NONBLOCK, 0))
		err := h.Add(fifo, 3, r, level)
		if s.limits&NoFIFOs != 0 {
			// Its reader would never hear of the end.
			require.ErrorIs(h, err, poller.ErrNotPollable)
			return
		}
		require.NoError(h, err)
		h.modify(fifo, 3, 0, level)
		h.remove(wr)
		wr = h.open(posix.Open(path, posix.O_WRONLY|posix.O_NONBLOCK, 0))
		both := h.open(posix.Open(path, posix.O_RDWR|posix.O_NONBLOCK, 0))
		h.add(both, 5, r, level)
		if err := h.Add(wr, 4, w, level); s.limits&NoFIFOWriters != 0 || runtime.GOOS == "netbsd" && err != nil {
			require.ErrorIs(h, err, poller.ErrNotPollable)
			require.ErrorIs(h, h.Add(wr, 4, 0, level), poller.ErrNotPollable)
			require.ErrorIs(h, h.Modify(both, 5, w, level), poller.ErrNotPollable)
			h.silentFor(idle)
			h.write(wr, "x")
			h.expect(5, r) // as it was
			return
		}
		h.modify(both, 5, 0, level)
		require.Zero(h, h.expect(4, w).Hints)
		fill(wr)
		h.silentFor(idle)
		h.drained(fifo)
		require.Zero(h, h.expect(4, w).Hints)
		h.close(fifo)
		h.remove(both)
		h.close(both)
		h.expect(4, w)
		_, err = posix.Write(wr, []byte("x"))
		require.ErrorIs(h, err, posix.EPIPE)
	})
	s.run(t, "BadDescriptorIsRefused", func(h *harness) {
		rd, wr := h.pipe()
		h.close(rd)
		for _, fd := range []int{-1, rd, 1 << 30, math.MaxInt} {
			for _, interest := range []poller.Interest{0, r, r | w | pc} {
				err := h.Add(fd, 1, interest, level)
				require.ErrorIs(h, err, posix.EBADF, "descriptor %d", fd)
				var sys *os.SyscallError
				require.ErrorAs(h, err, &sys)
				require.ErrorIs(h, h.Remove(fd), poller.ErrNotExist)
			}
		}
		h.add(wr, 1, w, level)
		h.expect(1, w)
	})
	s.run(t, "UnknownInterestOrModeIsRefused", func(h *harness) {
		rd, wr := h.pipe()
		require.ErrorIs(h, h.Add(rd, 1, 1<<3, level), poller.ErrInvalid)
		require.ErrorIs(h, h.Add(rd, 1, r, oneShot+1), poller.ErrInvalid)
		h.add(rd, 1, r, level)
		require.ErrorIs(h, h.Modify(rd, 2, 1<<7, level), poller.ErrInvalid)
		require.ErrorIs(h, h.Modify(rd, 2, r, 255), poller.ErrInvalid)
		h.write(wr, "x")
		h.expect(1, r)
	})
	s.run(t, "EveryTokenIsAllowed", func(h *harness) {
		for _, token := range []poller.Token{0, 1, math.MaxInt64, math.MaxUint64} {
			_, wr := h.pipe()
			h.add(wr, token, w, level)
			h.expect(token, w)
			h.remove(wr)
		}
	})
	s.run(t, "EmptyArrayIsRefused", func(h *harness) {
		_, err := h.Wait(nil, 0)
		require.ErrorIs(h, err, poller.ErrInvalid)
		_, err = h.Wait([]poller.Event{}, -1)
		require.ErrorIs(h, err, poller.ErrInvalid)
	})
	s.eachMode(t, "OneDescriptorInTwoPollers", func(h *harness, mode poller.Mode) {
		a, b := h.pair()
		other := h.another()
		h.add(a, 1, r, mode)
		require.NoError(h, other.Add(a, 2, r|w, mode))
		h.write(b, "x")
		h.expect(1, r)
		n, err := other.Wait(h.buf, patience)
		require.NoError(h, err)
		require.Equal(h, []poller.Event{{Token: 2, Ready: r | w}}, h.buf[:n])
		require.NoError(h, other.Remove(a))
		h.modify(a, 3, r, mode)
		h.expect(3, r)
	})
	s.run(t, "NumberTakenOverBetweenChanges", func(h *harness) {
		// Against the rules, but the new owner must not be deaf.
		rd, _ := h.pipe()
		h.add(rd, 1, r, level)
		h.close(rd)
		a, b := h.pair()
		h.move(a, rd)
		h.modify(rd, 2, r|w, level)
		h.expect(2, w)
		h.write(b, "x")
		h.expect(2, r|w)
	})
	s.run(t, "SameFileComesBackAtItsNumber", func(h *harness) {
		a, b := h.pair()
		h.add(a, 1, r, level)
		other := h.dup(a)
		h.close(a)
		h.remove(a)
		h.move(other, a)
		h.add(a, 2, r, level)
		h.write(b, "x")
		h.expect(2, r)
		h.expect(2, r)
	})
}

func refusedFiles(h *harness) {
	dir := tempdir.New(h)
	require.NoError(h, os.WriteFile(filepath.Join(dir, "file"), []byte("x"), 0o600))
	paths := []string{dir, filepath.Join(dir, "file")}
	if h.suite.limits&NullPolls == 0 {
		paths = append(paths, "/dev/null")
	}
	for _, path := range paths {
		fd := h.open(posix.Open(path, posix.O_RDONLY, 0))
		for _, interest := range []poller.Interest{0, r, w} {
			require.ErrorIs(h, h.Add(fd, 1, interest, level), poller.ErrNotPollable)
			require.ErrorIs(h, h.Remove(fd), poller.ErrNotExist)
		}
		h.close(fd) // Windows removes no directory before
	}
	h.silent()
}
