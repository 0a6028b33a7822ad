//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd || windows

package pollertest

import (
	"testing"
	"time"

	"github.com/eddyloop/eddy/internal/posix"
	"github.com/eddyloop/eddy/poller"
	"github.com/stretchr/testify/require"
)

func (s suite) connecting(t *testing.T) {
	s.eachMode(t, "SuccessIsWritable", func(h *harness, mode poller.Mode) {
		l, addr := h.listen(1)
		fd := h.dial(addr)
		h.add(fd, 1, w, mode)
		ev := h.expect(1, w)
		require.Zero(h, ev.Hints)
		require.NoError(h, socketError(fd))
		h.accept(l)
	})
	s.eachMode(t, "RefusalIsOneError", func(h *harness, mode poller.Mode) {
		l, addr := h.listen(1)
		h.close(l)
		fd := h.open(posix.Socket(posix.AF_INET, posix.SOCK_STREAM, 0))
		if err := posix.Connect(fd, addr); err != posix.EINPROGRESS {
			require.ErrorIs(h, err, posix.ECONNREFUSED)
			return // at once: nothing is left to wait for
		}
		h.add(fd, 1, w, mode)
		ev := h.expect(1, w)
		require.NotZero(h, ev.Hints)
		require.ErrorIs(h, socketError(fd), posix.ECONNREFUSED)
		if s.limits&KeepsErrors == 0 {
			require.NoError(h, socketError(fd))
		}
		h.modify(fd, 1, 0, mode)
		h.silentFor(idle)
	})
	s.run(t, "ClosedBeforeCompletion", func(h *harness) {
		// Connections beyond the backlog wait for an answer.
		_, addr := h.listen(0)
		for i := range poller.Token(4) {
			fd := h.dial(addr)
			h.add(fd, i, w, level)
			h.remove(fd)
			h.close(fd)
		}
		h.silent()
	})
}

func (s suite) datagrams(t *testing.T) {
	udp := func(h *harness) (int, posix.Sockaddr) {
		fd := h.open(posix.Socket(posix.AF_INET, posix.SOCK_DGRAM, 0))
		require.NoError(h, posix.Bind(fd, &posix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
		addr, err := posix.Getsockname(fd)
		require.NoError(h, err)
		return fd, addr
	}
	s.run(t, "EmptyDatagramIsReadable", func(h *harness) {
		a, to := udp(h)
		b, _ := udp(h)
		h.add(a, 1, r, level)
		h.silent()
		require.NoError(h, posix.Sendto(b, nil, 0, to))
		h.expect(1, r)
		n, _, err := posix.Recvfrom(a, make([]byte, 1), 0)
		require.NoError(h, err)
		require.Zero(h, n)
		h.silent()
	})
	s.run(t, "UnreachablePortIsAnError", func(h *harness) {
		h.unless(UntoldDatagrams)
		gone, to := udp(h)
		h.close(gone)
		a, _ := udp(h)
		require.NoError(h, posix.Connect(a, to))
		h.add(a, 1, r, level)
		_, err := posix.Write(a, []byte("x"))
		require.NoError(h, err)
		h.expect(1, r)
		_, err = posix.Read(a, make([]byte, 1))
		require.ErrorIs(h, err, posix.ECONNREFUSED)
		h.silent()
	})
	s.run(t, "EdgeUntilEmpty", func(h *harness) {
		h.unless(NoEdges)
		a, to := udp(h)
		b, _ := udp(h)
		h.add(a, 1, r, edge)
		for range 3 {
			require.NoError(h, posix.Sendto(b, []byte("x"), 0, to))
			require.NoError(h, posix.Sendto(b, []byte("y"), 0, to))
			require.NotZero(h, h.next().Ready&r)
			h.eventually("both datagrams", func() bool {
				n, _, err := posix.Recvfrom(a, make([]byte, 8), 0)
				return err == nil && n == 1
			})
			h.eventually("both datagrams", func() bool {
				n, _, err := posix.Recvfrom(a, make([]byte, 8), 0)
				return err == nil && n == 1
			})
			for { // the second one's event, if it came on its own
				n, err := h.Wait(h.buf, 5*time.Millisecond)
				require.NoError(h, err)
				if n == 0 {
					break
				}
			}
			h.silent()
		}
	})
}

func (s suite) listener(t *testing.T) {
	s.eachMode(t, "ReadableWhenConnectionsWait", func(h *harness, mode poller.Mode) {
		l, addr := h.listen(16)
		h.add(l, 1, r, mode)
		h.silent()
		const count = 5
		for range count {
			fd := h.dial(addr)
			awaitPoll(fd, posix.POLLOUT)
		}
		h.expect(1, r)
		accepted := 0
		h.eventually("all accepted", func() bool {
			fd, _, err := posix.Accept(l)
			if err == nil {
				h.open(fd, nil)
				accepted++
			}
			return accepted == count
		})
		h.silent()
	})
	s.eachMode(t, "NeverWritable", func(h *harness, mode poller.Mode) {
		l, addr := h.listen(4)
		h.add(l, 1, w, mode)
		h.silent()
		fd := h.dial(addr)
		awaitPoll(fd, posix.POLLOUT)
		h.silentFor(idle)
	})
	s.run(t, "ConnectionAbortedBeforeAccept", func(h *harness) {
		l, addr := h.listen(4)
		h.add(l, 1, r, level)
		fd := h.dial(addr)
		awaitPoll(fd, posix.POLLOUT)
		h.resetClose(fd)
		// Either it has been taken from the queue or accept tells.
		n, err := h.Wait(h.buf, quiet)
		require.NoError(h, err)
		if n > 0 {
			if c, _, err := posix.Accept(l); err == nil {
				h.open(c, nil)
			}
		}
		h.silent()
		h.dial(addr)
		h.expect(1, r)
		h.accept(l)
		h.silent()
	})
	s.run(t, "SharedByTwoPollers", func(h *harness) {
		l, addr := h.listen(64)
		both := [2]poller.Poller{h.Poller, h.another()}
		for _, p := range both {
			require.NoError(h, p.Add(l, 1, r, level))
		}
		const count = 30
		for range count {
			h.dial(addr)
		}
		accepted := 0
		h.eventually("all accepted", func() bool {
			n, err := both[accepted%2].Wait(h.buf, 100*time.Millisecond)
			require.NoError(h, err)
			if n == 1 {
				if c, _, err := posix.Accept(l); err == nil {
					h.open(c, nil)
					accepted++
				}
			}
			return accepted == count
		})
		for _, p := range both {
			n, err := p.Wait(h.buf, quiet)
			require.NoError(h, err)
			require.Zero(h, n)
		}
	})
}
