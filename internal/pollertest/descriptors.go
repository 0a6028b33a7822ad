//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd || windows

package pollertest

import (
	"os"
	"runtime"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/eddyloop/eddy/internal/posix"
	"github.com/stretchr/testify/require"
)

// openFDs lists the open descriptors where the system can.
func openFDs() []string {
	if runtime.GOOS != "linux" {
		return nil
	}
	dir, err := os.Open("/proc/self/fd")
	if err != nil {
		return nil
	}
	defer dir.Close()
	names, _ := dir.Readdirnames(-1)
	slices.Sort(names)
	own := strconv.Itoa(int(dir.Fd()))
	return slices.DeleteFunc(names, func(name string) bool { return name == own })
}

// own has fds closed in the end.
func (h *harness) own(fds ...int) {
	for _, fd := range fds {
		h.fds[fd] = true
	}
}

// close closes fd now.
func (h *harness) close(fd int) {
	delete(h.fds, fd)
	require.NoError(h.T, posix.Close(fd))
}

// open sets up what a system call has opened.
func (h *harness) open(fd int, err error) int {
	h.Helper()
	require.NoError(h.T, err)
	posix.CloseOnExec(fd)
	require.NoError(h.T, posix.SetNonblock(fd, true))
	h.own(fd)
	return fd
}

// dup duplicates fd.
func (h *harness) dup(fd int) int {
	h.Helper()
	return h.open(posix.Dup(fd))
}

// move puts the file of fd at number to, which must be closed, and closes fd.
func (h *harness) move(fd, to int) {
	h.Helper()
	if fd == to {
		return
	}
	err := dup2(fd, to)
	if err != nil && h.suite.limits&NoNumbers != 0 {
		h.Skip("somebody else has the number")
	}
	require.NoError(h.T, err)
	posix.CloseOnExec(to)
	h.own(to)
	h.close(fd)
}

// pipe returns the ends of a pipe.
func (h *harness) pipe() (rd, wr int) {
	h.Helper()
	var fds [2]int
	err := posix.Pipe(fds[:])
	return h.open(fds[0], err), h.open(fds[1], err)
}

// pair returns connected Unix sockets.
func (h *harness) pair() (a, b int) {
	h.Helper()
	fds, err := posix.Socketpair(posix.AF_UNIX, posix.SOCK_STREAM, 0)
	return h.open(fds[0], err), h.open(fds[1], err)
}

// listen returns a TCP listener and its address.
func (h *harness) listen(backlog int) (int, posix.Sockaddr) {
	h.Helper()
	l := h.open(posix.Socket(posix.AF_INET, posix.SOCK_STREAM, 0))
	require.NoError(h.T, posix.Bind(l, &posix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
	require.NoError(h.T, posix.Listen(l, backlog))
	addr, err := posix.Getsockname(l)
	require.NoError(h.T, err)
	return l, addr
}

// dial begins to connect.
func (h *harness) dial(addr posix.Sockaddr) int {
	h.Helper()
	fd := h.open(posix.Socket(posix.AF_INET, posix.SOCK_STREAM, 0))
	if err := posix.Connect(fd, addr); err != posix.EINPROGRESS {
		require.NoError(h.T, err)
	}
	return fd
}

// accept waits for a connection.
func (h *harness) accept(l int) int {
	h.Helper()
	awaitPoll(l, posix.POLLIN)
	fd, _, err := posix.Accept(l)
	return h.open(fd, err)
}

// tcp returns connected TCP sockets.
func (h *harness) tcp() (a, b int) {
	h.Helper()
	l, addr := h.listen(1)
	a = h.dial(addr)
	b = h.accept(l)
	awaitPoll(a, posix.POLLOUT)
	h.close(l)
	for _, fd := range []int{a, b} {
		require.NoError(h.T, posix.SetsockoptInt(fd, posix.IPPROTO_TCP, posix.TCP_NODELAY, 1))
	}
	return a, b
}

// awaitPoll waits with poll(2) and returns what it says.
func awaitPoll(fd int, events int16) int16 { return pollFor(fd, events, patience) }

func pollFor(fd int, events int16, limit time.Duration) int16 {
	fds := []posix.PollFd{{Fd: int32(fd), Events: events}}
	for {
		_, err := posix.Poll(fds, int(limit.Milliseconds()))
		if err != posix.EINTR {
			return fds[0].Revents
		}
	}
}

func (h *harness) write(fd int, s string) {
	h.Helper()
	n, err := posix.Write(fd, []byte(s))
	require.NoError(h.T, err)
	require.Equal(h.T, len(s), n)
}

// drain reads until there's no more and returns what there was, and io.EOF's
// stand-in: nil, EAGAIN or the error.
func drain(fd int) (data []byte, err error) {
	buf := make([]byte, 64<<10)
	for {
		n, err := posix.Read(fd, buf)
		switch {
		case err == posix.EINTR:
		case err != nil:
			return data, err
		case n == 0:
			return data, nil
		default:
			data = append(data, buf[:n]...)
		}
	}
}

// drained reads until the descriptor is empty.
func (h *harness) drained(fd int) string {
	h.Helper()
	data, err := drain(fd)
	require.ErrorIs(h.T, err, posix.EAGAIN)
	return string(data)
}

// atEnd reads to the end of the stream.
func (h *harness) atEnd(fd int) string {
	h.Helper()
	data, err := drain(fd)
	require.NoError(h.T, err)
	return string(data)
}

// fill writes until there's no room and returns how much went in. Over TCP there may
// be room again a moment later, when the peer's kernel has taken what is on its way.
func fill(fd int) int {
	total := fillOnce(fd)
	if addr, _ := posix.Getsockname(fd); isInet(addr) {
		for pollFor(fd, posix.POLLOUT, 20*time.Millisecond) != 0 {
			n := fillOnce(fd)
			if n == 0 {
				break
			}
			total += n
		}
	}
	return total
}

func isInet(addr posix.Sockaddr) bool {
	_, ok := addr.(*posix.SockaddrInet4)
	return ok
}

func fillOnce(fd int) int {
	total := 0
	buf := make([]byte, 64<<10)
	for {
		n, err := posix.Write(fd, buf)
		switch {
		case err == posix.EINTR:
		case err != nil && len(buf) == 1:
			return total
		case err != nil:
			buf = buf[:len(buf)/2]
		default:
			total += n
		}
	}
}

// awaitEnd waits until the end of what the peer sends has come, with nothing before
// it. NetBSD's poll(2) reports no hang-up of sockets.
func (h *harness) awaitEnd(fd int) {
	h.Helper()
	h.eventually("the end", func() bool {
		n, _, err := posix.Recvfrom(fd, make([]byte, 1), posix.MSG_PEEK)
		return n == 0 && err == nil
	})
}

// resetClose closes a TCP socket with a reset, and any other as it is.
func (h *harness) resetClose(fd int) {
	h.Helper()
	require.NoError(h.T, posix.SetLinger(fd, 0))
	h.close(fd)
}

// socketError returns the pending error of a socket, and clears it.
func socketError(fd int) error {
	n, err := posix.GetsockoptInt(fd, posix.SOL_SOCKET, posix.SO_ERROR)
	if err != nil || n == 0 {
		return err
	}
	return syscall.Errno(n)
}
