//go:build linux

package kqueuesim

import (
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/eddyloop/eddy/internal/testtime"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// onHost is a bench on descriptors of the host.
func onHost(t *testing.T, p *Profile) *bench {
	q, err := New(p)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, q.Close()) })
	return &bench{T: t, Queue: q, p: p}
}

// open has a descriptor closed in the end.
func open(t *testing.T, fd int, err error) int {
	require.NoError(t, err)
	t.Cleanup(func() { unix.Close(fd) })
	return fd
}

func pair(t *testing.T) (a, b int) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	return open(t, fds[0], err), open(t, fds[1], err)
}

func pipes(t *testing.T) (r, w int) {
	var fds [2]int
	err := unix.Pipe2(fds[:], unix.O_CLOEXEC|unix.O_NONBLOCK)
	return open(t, fds[0], err), open(t, fds[1], err)
}

func listen(t *testing.T) (int, unix.Sockaddr) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	open(t, fd, err)
	require.NoError(t, unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
	require.NoError(t, unix.Listen(fd, 8))
	addr, err := unix.Getsockname(fd)
	require.NoError(t, err)
	return fd, addr
}

func dial(t *testing.T, addr unix.Sockaddr) int {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	open(t, fd, err)
	require.NoError(t, unix.Connect(fd, addr))
	require.NoError(t, unix.SetNonblock(fd, true))
	return fd
}

// accept waits for a connection: the last word of its handshake may be under way.
func accept(t *testing.T, l int) int {
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		fd, _, err := unix.Accept(l)
		if err != unix.EAGAIN || time.Now().After(end) {
			open(t, fd, err)
			return fd
		}
	}
}

var patience = testtime.Patience(20 * time.Second)

// one waits for one event.
func (b *bench) one() Kevent {
	b.Helper()
	var events [2]Kevent
	n, err := 0, error(syscall.EINTR)
	for err == syscall.EINTR {
		n, err = b.Kevent(nil, events[:], &unix.Timespec{Sec: 20})
	}
	require.NoError(b, err)
	require.Equal(b, 1, n, "%v", events)
	return events[0]
}

func TestHostSocket(t *testing.T) {
	b := onHost(t, FreeBSD)
	x, y := pair(t)
	require.NoError(t, b.read(x, EV_ADD))
	require.Empty(t, b.found())
	unix.Write(y, []byte("hello"))
	require.EqualValues(t, 5, b.one().Data)
	unix.Shutdown(y, unix.SHUT_WR)
	ev := b.one()
	require.EqualValues(t, 5, ev.Data)
	require.NotZero(t, ev.Flags&EV_EOF)
	require.NoError(t, b.read(x, EV_DELETE))
	require.NoError(t, b.write(x, EV_ADD|EV_CLEAR))
	ev = b.one()
	require.Zero(t, ev.Flags&EV_EOF)
	require.Positive(t, ev.Data)
	unix.Shutdown(x, unix.SHUT_WR)
	require.NotZero(t, b.one().Flags&EV_EOF, "the own shutdown")
}

func TestHostClearCountsArrivals(t *testing.T) {
	b := onHost(t, FreeBSD)
	x, y := pair(t)
	require.NoError(t, b.read(x, EV_ADD|EV_CLEAR))
	for n := int64(1); n < 4; n++ {
		unix.Write(y, []byte("x"))
		require.Equal(t, n, b.one().Data)
		require.Empty(t, b.found())
	}
	// An edge of one direction is none of the other.
	require.NoError(t, b.write(x, EV_ADD|EV_CLEAR))
	require.Equal(t, b.p.Write, b.one().Filter)
	unix.Write(y, []byte("x"))
	require.Equal(t, b.p.Read, b.one().Filter)
}

func TestHostListener(t *testing.T) {
	b := onHost(t, FreeBSD)
	l, addr := listen(t)
	require.NoError(t, b.read(l, EV_ADD))
	require.NoError(t, b.write(l, EV_ADD))
	require.Empty(t, b.found())
	dial(t, addr)
	dial(t, addr)
	waiting := b.one().Data
	if info, err := unix.GetsockoptTCPInfo(l, unix.IPPROTO_TCP, unix.TCP_INFO); err != nil || info.Unacked == 0 {
		t.Skip("the host does not tell how many connections wait: it is emulated")
	}
	for end := time.Now().Add(patience); waiting < 2 && time.Now().Before(end); {
		waiting = b.one().Data // the last word of a handshake may be under way
	}
	require.EqualValues(t, 2, waiting)
}

func TestHostTCP(t *testing.T) {
	b := onHost(t, FreeBSD)
	l, addr := listen(t)
	fresh, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	open(t, fresh, err)
	require.NoError(t, b.read(fresh, EV_ADD))
	require.NoError(t, b.write(fresh, EV_ADD))
	require.Empty(t, b.found(), "not connected")
	x := dial(t, addr)
	y := accept(t, l)
	require.NoError(t, b.write(x, EV_ADD|EV_CLEAR))
	require.Zero(t, b.one().Flags&EV_EOF)
	require.NoError(t, unix.Shutdown(x, unix.SHUT_WR))
	require.NoError(t, b.write(x, EV_ADD))
	require.NotZero(t, b.one().Flags&EV_EOF)
	require.NoError(t, b.write(x, EV_DELETE))
	require.NoError(t, unix.SetsockoptLinger(y, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}))
	require.NoError(t, b.read(x, EV_ADD))
	unix.Close(y)
	ev := b.one()
	require.NotZero(t, ev.Flags&EV_EOF)
	require.EqualValues(t, syscall.ECONNRESET, ev.Fflags)
}

func TestHostPipe(t *testing.T) {
	for _, p := range Profiles {
		b := onHost(t, p)
		r, w := pipes(t)
		require.NoError(t, b.read(w, EV_ADD|EV_CLEAR))
		require.NoError(t, b.write(w, EV_ADD|EV_ONESHOT))
		require.EqualValues(t, 65536, b.one().Data)
		unix.Close(r)
		if p.DeafWriter {
			require.Empty(t, b.found())
		} else {
			ev := b.one()
			require.Equal(t, p.Read, ev.Filter)
			require.NotZero(t, ev.Flags&EV_EOF)
		}
		if err := b.write(w, EV_ADD); p.DeadPipe != 0 {
			require.ErrorIs(t, err, p.DeadPipe)
		} else {
			require.NoError(t, err)
			require.NotZero(t, b.one().Flags&EV_EOF)
		}
	}
}

func TestHostFIFO(t *testing.T) {
	path := filepath.Join(t.TempDir(), "fifo")
	require.NoError(t, unix.Mkfifo(path, 0o600))
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	require.Equal(t, FIFOReader, kindOf(open(t, fd, err)))
	r, w := pipes(t)
	require.Equal(t, PipeReader, kindOf(r))
	require.Equal(t, PipeWriter, kindOf(w))
}

func TestHostClose(t *testing.T) {
	b := onHost(t, FreeBSD)
	x, y := pair(t)
	dup, err := unix.Dup(x)
	open(t, dup, err)
	other, _ := pipes(t)
	require.NoError(t, b.read(x, EV_ADD))
	unix.Write(y, []byte("x"))
	unix.Close(x)
	require.Empty(t, b.found())
	require.NoError(t, unix.Dup3(other, x, unix.O_CLOEXEC))
	require.ErrorIs(t, b.read(x, EV_DELETE), syscall.ENOENT)
	require.NoError(t, b.read(x, EV_ADD))
	unix.Write(y, []byte("x"))
	require.Empty(t, b.found())
	require.NoError(t, unix.Dup3(dup, x, unix.O_CLOEXEC))
	require.NoError(t, b.read(x, EV_ADD), "there was one for this file and number")
	require.EqualValues(t, 2, b.one().Data)
}

func TestHostRefuses(t *testing.T) {
	b := onHost(t, FreeBSD)
	require.ErrorIs(t, b.read(-1, EV_ADD), syscall.EBADF)
	require.ErrorIs(t, b.read(1<<20, EV_ADD), syscall.EBADF)
	null, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	require.ErrorIs(t, b.read(open(t, null, err), EV_ADD), syscall.EINVAL)
}

func TestHostNests(t *testing.T) {
	outer, inner := onHost(t, FreeBSD), onHost(t, FreeBSD)
	require.NoError(t, outer.read(inner.FD(), EV_ADD))
	require.Empty(t, outer.found())
	r, w := pipes(t)
	require.NoError(t, inner.read(r, EV_ADD|EV_CLEAR))
	unix.Write(w, []byte("x"))
	outer.one()
	inner.one()
	require.Empty(t, outer.found())
	require.NoError(t, inner.change(Kevent{Filter: inner.p.User, Flags: EV_ADD | EV_CLEAR, Fflags: NOTE_TRIGGER}))
	outer.one()
	inner.one()
	require.Empty(t, outer.found())
}

func TestHostWaits(t *testing.T) {
	b := onHost(t, FreeBSD)
	start := time.Now()
	_, err := b.Kevent(nil, make([]Kevent, 1), &unix.Timespec{Nsec: 1_500_000})
	if err != syscall.EINTR {
		require.NoError(t, err)
		require.GreaterOrEqual(t, time.Since(start), 1500*time.Microsecond)
	}
	require.NoError(t, b.change(Kevent{Filter: b.p.User, Flags: EV_ADD | EV_CLEAR}))
	done := make(chan Kevent)
	go func() { done <- b.one() }()
	require.NoError(t, b.change(Kevent{Filter: b.p.User, Fflags: NOTE_TRIGGER}))
	require.Equal(t, b.p.User, (<-done).Filter)
}
