//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd || windows

package pollertest

import (
	"errors"
	"io/fs"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/eddyloop/eddy/internal/posix"
	"github.com/eddyloop/eddy/poller"
	"github.com/stretchr/testify/require"
)

func (s suite) lifecycle(t *testing.T) {
	s.run(t, "ManyPollersLeaveNothingOpen", func(h *harness) {
		for range rounds(2000) {
			p, err := s.newPoller()
			require.NoError(h, err)
			require.NoError(h, p.Close())
		}
	})
	s.run(t, "OwnDescriptorsAreCloseOnExec", func(h *harness) {
		fds := h.ownedBy(func() { h.another() })
		if s.limits&NoFD == 0 {
			fds = append(fds, h.FD())
		}
		for _, fd := range fds {
			closed, err := closedOnExec(fd)
			require.NoError(h, err)
			require.True(h, closed, "descriptor %d", fd)
		}
	})
	s.run(t, "ChildProcessInheritsNothing", func(h *harness) {
		if runtime.GOOS != "linux" {
			h.Skip("needs /proc")
		}
		out, err := exec.Command("readlink", "/proc/self/fd/"+strconv.Itoa(h.FD())).Output()
		if err == nil {
			require.NotContains(h, string(out), "eventpoll")
		}
	})
	s.run(t, "WaitWithoutRegistrationsAndTimeReturnsAtOnce", func(h *harness) {
		for range 100 {
			n, err := h.Wait(h.buf, 0)
			require.NoError(h, err)
			require.Zero(h, n)
		}
	})
	s.run(t, "WaitWithoutRegistrationsLastsItsTime", func(h *harness) {
		for range 2 {
			h.lasts(20 * time.Millisecond)
		}
	})
	s.run(t, "EndlessWaitEndsByWake", func(h *harness) {
		finish := h.waiting(-1)
		require.NoError(h, h.Wake())
		events, err := finish()
		require.NoError(h, err)
		require.Empty(h, events)
	})
	s.run(t, "CloseEndsWait", func(h *harness) {
		for range 20 {
			h.Poller = h.another()
			fd := h.FD()
			finish := h.awaiting()
			require.NoError(h, h.Close())
			_, err := closedOnExec(fd)
			require.ErrorIs(h, err, posix.EBADF, "open after Close has returned")
			_, err = finish()
			require.ErrorIs(h, err, poller.ErrClosed)
		}
	})
	s.run(t, "CloseRacesWithEverything", s.closeRaces)
	s.run(t, "CallsAfterCloseFail", func(h *harness) {
		rd, _ := h.pipe()
		h.add(rd, 1, r, level)
		require.NoError(h, h.Close())
		require.ErrorIs(h, h.Close(), poller.ErrClosed)
		require.ErrorIs(h, h.Add(rd, 1, r, level), poller.ErrClosed)
		require.ErrorIs(h, h.Modify(rd, 1, r, level), poller.ErrClosed)
		require.ErrorIs(h, h.Remove(rd), poller.ErrClosed)
		require.ErrorIs(h, h.Wake(), poller.ErrClosed)
		_, err := h.Wait(h.buf, 0)
		require.ErrorIs(h, err, poller.ErrClosed)
		_, err = h.Wait(nil, 0)
		require.ErrorIs(h, err, poller.ErrClosed)
		require.Equal(h, -1, h.FD())
	})
	s.run(t, "WorksInsideAnother", func(h *harness) {
		inner := h.another()
		if s.limits&NoFD != 0 {
			require.Equal(h, -1, inner.FD())
			return
		}
		rd, wr := h.pipe()
		require.NoError(h, inner.Add(rd, 2, r, level))
		h.add(inner.FD(), 1, r, level)
		h.silent()
		h.write(wr, "x")
		h.expect(1, r)
		n, err := inner.Wait(h.buf, 0)
		require.NoError(h, err)
		require.Equal(h, []poller.Event{{Token: 2, Ready: r}}, h.buf[:n])
		h.drained(rd)
		_, err = inner.Wait(h.buf, 0)
		require.NoError(h, err)
		h.silent()
		require.NoError(h, inner.Wake())
		h.expect(1, r)
		_, err = inner.Wait(h.buf, 0)
		require.NoError(h, err)
		h.silent()
	})
	s.run(t, "RefusesItsOwnDescriptors", func(h *harness) {
		fds := h.ownedBy(func() { h.Poller = h.another() })
		for _, fd := range append(fds, h.FD()) {
			require.Error(h, h.Add(fd, 1, r, level), "descriptor %d", fd)
			require.ErrorIs(h, h.Remove(fd), poller.ErrNotExist)
		}
		require.NoError(h, h.Wake())
		n, err := h.Wait(h.buf, patience)
		require.NoError(h, err)
		require.Zero(h, n)
		h.silent()
	})
	t.Run("ErrorsHaveStandardNames", func(t *testing.T) {
		for err, std := range map[error]error{
			poller.ErrClosed:      fs.ErrClosed,
			poller.ErrExists:      fs.ErrExist,
			poller.ErrNotExist:    fs.ErrNotExist,
			poller.ErrInvalid:     fs.ErrInvalid,
			poller.ErrUnsupported: errors.ErrUnsupported,
		} {
			require.ErrorIs(t, err, std)
		}
	})
}

// ownedBy returns the descriptors that f opens, where the system can tell.
func (h *harness) ownedBy(f func()) []int {
	before := openFDs()
	f()
	var fds []int
	for _, name := range openFDs() {
		if fd, err := strconv.Atoi(name); err == nil && !slices.Contains(before, name) {
			fds = append(fds, fd)
		}
	}
	return fds
}

// closeRaces closes while other goroutines wait, wake and register.
func (s suite) closeRaces(h *harness) {
	rd, _ := h.pipe()
	for range 20 {
		p := h.another()
		var done sync.WaitGroup
		again := func(f func() error) {
			done.Go(func() {
				for !errors.Is(f(), poller.ErrClosed) {
					runtime.Gosched()
				}
			})
		}
		again(func() error { _, err := p.Wait(make([]poller.Event, 1), -1); return err })
		again(p.Wake)
		again(func() error { p.Add(rd, 1, r|w, level); return p.Remove(rd) })
		time.Sleep(200 * time.Microsecond)
		require.NoError(h, p.Close())
		done.Wait()
	}
}
