package poller

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// replace makes fd a duplicate of what other names, without telling the Poller.
func replace(t *testing.T, fd, other int) {
	t.Helper()
	require.NoError(t, unix.Dup3(other, fd, unix.O_CLOEXEC))
}

// regularFile is a file that cannot be watched.
func regularFile(t *testing.T) int {
	t.Helper()
	f, err := os.CreateTemp(t.TempDir(), "")
	require.NoError(t, err)
	t.Cleanup(func() { f.Close() })
	return int(f.Fd())
}

// kernelFinds returns what the kernel reports of fd at once, 0 for nothing.
func kernelFinds(t *testing.T, p *front, e *epoll, fd int) uint32 {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	e.begin(16)
	_, err := e.wait(0)
	require.NoError(t, err)
	for _, ev := range e.ready[:e.found] {
		if ev.Fd != wakeSlot && int(e.table.slots[ev.Fd].fd) == fd {
			return ev.Events
		}
	}
	return 0
}

// lowestFree is the number of the next descriptor.
func lowestFree(t *testing.T) int {
	t.Helper()
	fd, err := unix.Dup(0)
	require.NoError(t, err)
	unix.Close(fd)
	return fd
}

// withDescriptors calls fn while the process may have no numbers from n on.
func withDescriptors(t *testing.T, n int, fn func()) {
	t.Helper()
	var was unix.Rlimit
	require.NoError(t, unix.Prlimit(0, unix.RLIMIT_NOFILE, nil, &was))
	few := unix.Rlimit{Cur: uint64(n), Max: was.Max}
	require.NoError(t, unix.Prlimit(0, unix.RLIMIT_NOFILE, &few, nil))
	defer func() { require.NoError(t, unix.Prlimit(0, unix.RLIMIT_NOFILE, &was, nil)) }()
	fn()
}

// A Poller that cannot be made leaves no descriptor behind, and says which call it was.
func TestNewEpollWithoutDescriptors(t *testing.T) {
	free := lowestFree(t)
	for i, call := range []string{"epoll_create1", "eventfd"} {
		var err error
		withDescriptors(t, free+i, func() { _, err = newEpoll(false) })
		var named *os.SyscallError
		require.ErrorAs(t, err, &named)
		require.Equal(t, call, named.Syscall)
		require.ErrorIs(t, err, unix.EMFILE)
		require.Equal(t, free, lowestFree(t))
	}
}

// The kernel has no entry for what nothing is wanted of.
func TestEpollEntryOfNoInterest(t *testing.T) {
	p, e := newTestEpoll(t)
	rd, _ := testPipe(t)
	entry := func() error { return epollCtl(e.file, unix.EPOLL_CTL_MOD, rd, new(unix.EpollEvent)) }
	require.NoError(t, p.Add(rd, 1, 0, Level))
	require.Equal(t, unix.ENOENT, entry())
	require.NoError(t, p.Modify(rd, 1, Readable, Level))
	require.NoError(t, entry())
	require.NoError(t, p.Modify(rd, 1, 0, Level))
	require.Equal(t, unix.ENOENT, entry())
	require.NoError(t, p.Modify(rd, 1, 0, Level))
	require.NoError(t, p.Remove(rd))
	require.NoError(t, p.Add(rd, 1, Readable, Level))
	require.NoError(t, entry())
	require.NoError(t, p.Remove(rd))
	require.Equal(t, unix.ENOENT, entry())
}

// The table may be wrong about what the kernel has. watch makes it right, or says why
// not.
func TestEpollWatchOfWhatHasChanged(t *testing.T) {
	events := make([]Event, 4)
	reports := func(t *testing.T, p *front, token Token) {
		t.Helper()
		n, err := p.Wait(events, 0)
		require.NoError(t, err)
		require.Equal(t, []Event{{Token: token, Ready: Readable}}, events[:n])
	}
	ready := func(t *testing.T) (p *front, e *epoll, rd int) {
		p, e = newTestEpoll(t)
		rd, wr := testPipe(t)
		unix.Write(wr, []byte("x"))
		require.NoError(t, p.Add(rd, 1, Readable, Level))
		return p, e, rd
	}
	t.Run("the kernel has no entry", func(t *testing.T) {
		p, e, rd := ready(t)
		require.NoError(t, epollCtl(e.file, unix.EPOLL_CTL_DEL, rd, nil))
		require.NoError(t, p.Modify(rd, 2, Readable, Level))
		reports(t, p, 2)
		require.EqualValues(t, entered, e.table.slots[0].armed)
	})
	t.Run("the kernel has one", func(t *testing.T) {
		p, e, rd := ready(t)
		e.table.slots[0].armed = 0
		require.NoError(t, p.Modify(rd, 2, Readable, Level))
		reports(t, p, 2)
		require.EqualValues(t, entered, e.table.slots[0].armed)
	})
	t.Run("it cannot be watched any more", func(t *testing.T) {
		p, _, rd := ready(t)
		replace(t, rd, regularFile(t))
		require.ErrorIs(t, p.Modify(rd, 2, Readable, Level), ErrNotPollable)
		require.ErrorIs(t, p.Add(rd, 2, Readable, Level), ErrExists)
		require.NoError(t, p.Remove(rd))
		require.ErrorIs(t, p.Add(rd, 2, Readable, Level), ErrNotPollable)
		require.ErrorIs(t, p.Remove(rd), ErrNotExist)
	})
	t.Run("the kernel has no entry and wants none", func(t *testing.T) {
		p, e, rd := ready(t)
		outer, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
		require.NoError(t, err)
		defer unix.Close(outer)
		require.NoError(t, epollCtl(outer, unix.EPOLL_CTL_ADD, e.file, &unix.EpollEvent{Events: unix.EPOLLIN}))
		replace(t, rd, outer) // in a ring with the Poller's own
		err = p.Modify(rd, 2, Readable, Level)
		require.ErrorIs(t, err, unix.ELOOP)
		require.ErrorIs(t, err, ErrNotExist)
		require.ErrorIs(t, p.Remove(rd), ErrNotExist)
	})
	t.Run("errors have the name of the call", func(t *testing.T) {
		p, e, rd := ready(t)
		file, other := e.file, regularFile(t)
		for i, call := range []func() error{
			func() error { return p.Modify(rd, 2, Readable, Level) },
			func() error { return p.Remove(rd) },
			func() error { return p.Add(rd, 3, Readable, Level) },
		} {
			e.file = other // no epoll set
			err := call()
			e.file = file
			var named *os.SyscallError
			require.ErrorAs(t, err, &named, "call %d", i)
			require.Equal(t, "epoll_ctl", named.Syscall)
			require.ErrorIs(t, err, unix.EINVAL, "call %d", i)
		}
		require.ErrorIs(t, p.Remove(rd), ErrNotExist)
	})
}

// What is not there any more is removed without an error.
func TestEpollRemoveOfWhatIsGone(t *testing.T) {
	for name, lose := range map[string]func(t *testing.T, e *epoll, fd int){
		"closed":          func(t *testing.T, _ *epoll, fd int) { require.NoError(t, unix.Close(fd)) },
		"a regular file":  func(t *testing.T, _ *epoll, fd int) { replace(t, fd, regularFile(t)) },
		"not in the set":  func(t *testing.T, e *epoll, fd int) { _ = epollCtl(e.file, unix.EPOLL_CTL_DEL, fd, nil) },
		"nothing is lost": func(*testing.T, *epoll, int) {},
	} {
		t.Run(name, func(t *testing.T) {
			p, e := newTestEpoll(t)
			rd, _ := testPipe(t)
			fd, err := unix.FcntlInt(uintptr(rd), unix.F_DUPFD_CLOEXEC, 0)
			require.NoError(t, err)
			defer unix.Close(fd)
			require.NoError(t, p.Add(fd, 1, Readable, Level))
			lose(t, e, fd)
			require.NoError(t, p.Remove(fd))
			require.ErrorIs(t, p.Remove(fd), ErrNotExist)
		})
	}
}

// The close watch that has been told is not reported again: where there is another
// direction to repeat, the kernel's entry changes.
func TestEpollEntryAfterTheEnd(t *testing.T) {
	const in, out, rdhup = unix.EPOLLIN, unix.EPOLLOUT, unix.EPOLLRDHUP
	for _, c := range []struct {
		interest Interest
		mode     Mode
		first    Interest
		then     uint32 // what the kernel goes on to report
	}{
		{Writable | PeerClosed, Level, Writable | PeerClosed, out},
		{Writable | PeerClosed, Edge, Writable | PeerClosed, 0},
		{Writable | PeerClosed, OneShot, Writable | PeerClosed, 0},
		{PeerClosed, Level, PeerClosed, 0},
		{PeerClosed, Edge, PeerClosed, 0},
		{Readable | PeerClosed, Level, Readable | PeerClosed, in | rdhup},
		{Readable | Writable | PeerClosed, Level, Readable | Writable | PeerClosed, in | out | rdhup},
		{Readable, Level, Readable, in},
		{Writable, Level, Writable, out},
	} {
		p, e := newTestEpoll(t)
		fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		require.NoError(t, err)
		require.NoError(t, unix.Shutdown(fds[1], unix.SHUT_WR))
		require.NoError(t, p.Add(fds[0], 1, c.interest, c.mode))
		events := make([]Event, 4)
		n, err := p.Wait(events, 0)
		require.NoError(t, err)
		require.Equal(t, []Event{{Token: 1, Ready: c.first}}, events[:n], "%v %v", c.interest, c.mode)
		require.Equal(t, c.then, kernelFinds(t, p, e, fds[0]), "%v %v", c.interest, c.mode)
		require.NoError(t, p.Remove(fds[0]))
		unix.Close(fds[0])
		unix.Close(fds[1])
	}
}

// rebuild makes a set of what is registered and can still be watched.
func TestRebuild(t *testing.T) {
	p, e := newTestEpoll(t)
	pipes := map[string][2]int{}
	for i, name := range []string{"nothing wanted", "closed", "replaced", "wanted", "also wanted"} {
		rd, wr := testPipe(t)
		fd, err := unix.FcntlInt(uintptr(rd), unix.F_DUPFD_CLOEXEC, 100) // the number stays free when it is closed
		require.NoError(t, err)
		pipes[name] = [2]int{fd, wr}
		interest := Readable
		if i == 0 {
			interest = 0
		}
		require.NoError(t, p.Add(fd, Token(i), interest, Level))
		unix.Write(wr, []byte("x"))
	}
	unix.Close(pipes["closed"][0])
	replace(t, pipes["replaced"][0], regularFile(t))
	file, free := e.file, lowestFree(t)

	p.mu.Lock()
	e.rebuild()
	p.mu.Unlock()
	require.Equal(t, file, e.file)
	require.Equal(t, free, lowestFree(t), "a descriptor is left over")
	for name, armed := range map[string]uint8{"nothing wanted": 0, "closed": 0, "replaced": 0, "wanted": entered, "also wanted": entered} {
		fd := pipes[name][0]
		i, ok := e.table.lookup(fd)
		require.True(t, ok)
		require.Equal(t, armed, e.table.slots[i].armed, name)
		require.Equal(t, armed == entered, kernelFinds(t, p, e, fd) != 0, name)
	}
	for name, fds := range pipes {
		require.NoError(t, p.Remove(fds[0]), name)
		unix.Close(fds[0])
	}
	require.NoError(t, p.Wake())
	n, err := p.Wait(make([]Event, 1), -1)
	require.NoError(t, err)
	require.Zero(t, n)
}

// If not everything can be in the new set, the old one stays.
func TestRebuildThatFails(t *testing.T) {
	for name, rebuild := range map[string]func(t *testing.T, e *epoll){
		"an entry is refused": func(t *testing.T, e *epoll) {
			was := e.table.slots[1].fd
			e.table.slots[1].fd = e.table.slots[0].fd // the second of one descriptor
			e.rebuild()
			e.table.slots[1].fd = was
		},
		"the waker is refused": func(t *testing.T, e *epoll) {
			was := e.waker.file
			e.waker.file = -1
			e.rebuild()
			e.waker.file = was
		},
		"no more descriptors": func(t *testing.T, e *epoll) {
			withDescriptors(t, 0, e.rebuild)
		},
	} {
		t.Run(name, func(t *testing.T) {
			p, e := newTestEpoll(t)
			a, wa := testPipe(t)
			b, wb := testPipe(t)
			require.NoError(t, p.Add(a, 1, Readable, Level))
			require.NoError(t, p.Add(b, 2, Readable, Level))
			unix.Write(wa, []byte("x"))
			unix.Write(wb, []byte("x"))
			free := lowestFree(t)
			e.stale.proven = true
			p.mu.Lock()
			rebuild(t, e)
			p.mu.Unlock()
			require.Equal(t, free, lowestFree(t), "a descriptor is left over")
			require.Zero(t, e.stale)
			require.NotZero(t, kernelFinds(t, p, e, a))
			require.NotZero(t, kernelFinds(t, p, e, b))
			require.NoError(t, p.Wake())
			n, err := p.Wait(make([]Event, 3), -1)
			require.NoError(t, err)
			require.Equal(t, 2, n)
		})
	}
}
