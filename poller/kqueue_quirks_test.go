//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package poller

import (
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestKqueueIgnoresThatFilterIsGone(t *testing.T) {
	for _, gone := range []error{syscall.ENOENT, syscall.EBADF, syscall.EINVAL, syscall.Errno(93)} {
		p, k := newScripted(t)
		require.NoError(t, p.Add(sock, 1, Readable|Writable, Level))
		k.says()
		k.fail = func(ev kevent) error {
			if ev.flags&evDelete != 0 {
				return gone
			}
			return nil
		}
		require.NoError(t, p.Remove(sock), "%v", gone)
		require.Equal(t, []string{"-read 5", "-write 5"}, k.says())
	}
	p, k := newScripted(t)
	require.NoError(t, p.Add(sock, 1, Readable|Writable, Level))
	k.says()
	k.fail = func(ev kevent) error { return syscall.ENOMEM }
	require.ErrorIs(t, p.Remove(sock), syscall.ENOMEM)
	require.Equal(t, []string{"-read 5", "-write 5"}, k.says(), "one failure must not leave out the other")
	k.fail = nil
	require.ErrorIs(t, p.Remove(sock), ErrNotExist)
}

func TestKqueueDeadPipe(t *testing.T) {
	for _, errno := range []error{syscall.EPIPE, syscall.EBADF, syscall.EPERM} {
		for _, mode := range []Mode{Level, Edge, OneShot} {
			p, k := newScripted(t)
			k.fail = func(ev kevent) error {
				if ev.filter == filterWrite && ev.flags&evAdd != 0 {
					return errno
				}
				return nil
			}
			require.NoError(t, p.Add(pipe, 1, Writable, mode))
			want := []Event{{1, Writable, Failed}}
			require.Equal(t, want, harvest(t, p))
			if mode == Level {
				require.Equal(t, want, harvest(t, p))
			} else {
				require.Empty(t, harvest(t, p))
			}
			require.NoError(t, p.Modify(pipe, 2, Writable, mode))
			require.Equal(t, []Event{{2, Writable, Failed}}, harvest(t, p))
			require.NoError(t, p.Modify(pipe, 3, 0, mode))
			require.Empty(t, harvest(t, p))
			require.NoError(t, p.Modify(pipe, 4, Writable, mode))
			require.NoError(t, p.Remove(pipe))
			require.Empty(t, harvest(t, p))
			require.Empty(t, p.backend.(*kqueue).dead)
		}
	}
	p, k := newScripted(t)
	require.NoError(t, p.Add(sock, 1, Readable, Level))
	delete(k.kinds, sock)
	k.fail = func(kevent) error { return syscall.EBADF }
	require.ErrorIs(t, p.Modify(sock, 1, Writable, Level), syscall.EBADF, "closed, not dead")
}

func TestKqueueDeadWritersAndOthersShareTheRoom(t *testing.T) {
	p, k := newScripted(t)
	k.fail = func(ev kevent) error {
		if ev.filter == filterWrite && ev.flags&evAdd != 0 {
			return syscall.EPIPE
		}
		return nil
	}
	const dead = 5
	for fd := 100; fd < 100+dead; fd++ {
		k.kinds[fd] = kindPipe
		require.NoError(t, p.Add(fd, Token(fd), Writable, Level))
	}
	require.NoError(t, p.Add(sock, 1, Readable, Level))
	harvest(t, p) // the wake-ups for a waiter that may have been blocked
	for _, room := range []int{1, 2, 3} {
		seen := map[Token]int{}
		for range 10 * dead {
			if len(k.events) == 0 {
				k.push(sock, filterRead, 0, 0)
			}
			events := make([]Event, room)
			n, err := p.Wait(events, -1)
			require.NoError(t, err)
			for _, ev := range events[:n] {
				seen[ev.Token]++
			}
		}
		require.Len(t, seen, dead+1, "room %d: %v", room, seen)
	}
}

func TestKqueueReaderEndIsTheOnlySignForWriter(t *testing.T) {
	for _, mode := range []Mode{Level, Edge, OneShot} {
		p, k := newScripted(t)
		require.NoError(t, p.Add(pipe, 1, Writable, mode))
		require.Contains(t, k.says(), "+read 6 clear")
		k.push(pipe, filterRead, 0, 0)
		require.Empty(t, harvest(t, p), "not a reader")
		k.push(pipe, filterRead, evEOF, 0)
		require.Equal(t, Writable, harvest(t, p)[0].Ready)
		if mode == Level {
			require.Equal(t, Writable, harvest(t, p)[0].Ready)
		} else {
			require.Empty(t, harvest(t, p))
		}
		require.NoError(t, p.Remove(pipe))
		require.Empty(t, harvest(t, p))
		require.Len(t, k.armed, 1)
	}
	p, k := newScripted(t)
	require.NoError(t, p.Add(sock, 1, Writable|PeerClosed, Level))
	k.push(sock, filterRead, evEOF, 0)
	require.Equal(t, []Event{{Token: 1, Ready: PeerClosed}}, harvest(t, p), "a socket may have no room")
}

// The close watch of a writer goes by either filter.
func TestKqueueCloseWatchOfWriter(t *testing.T) {
	for _, mode := range []Mode{Level, Edge, OneShot} {
		for _, sign := range []filter{filterRead, filterWrite} {
			p, k := newScripted(t)
			require.NoError(t, p.Add(writer, 1, PeerClosed, mode))
			require.Equal(t, []string{"+read 8 clear", "+write 8 clear"}, k.says())
			for range 3 {
				k.push(writer, filterWrite, 0, 0)
				require.Empty(t, harvest(t, p), "room")
			}
			k.push(writer, sign, evEOF, 0)
			require.Equal(t, []Event{{1, PeerClosed, Hangup}}, harvest(t, p))
			k.push(writer, sign, evEOF, 0)
			require.Empty(t, harvest(t, p))
			require.NoError(t, p.Remove(writer))
			require.Len(t, k.armed, 1)
		}
	}
}

func TestKqueueCloseWatchOfDeadWriter(t *testing.T) {
	for _, errno := range []error{syscall.EPIPE, syscall.EBADF, syscall.EPERM} {
		for _, mode := range []Mode{Level, Edge, OneShot} {
			p, k := newScripted(t)
			k.fail = func(ev kevent) error {
				switch {
				case ev.flags&evAdd == 0:
					return nil
				case ev.filter == filterRead:
					return syscall.EINVAL // it is no reader
				}
				return errno
			}
			require.NoError(t, p.Add(writer, 1, PeerClosed, mode))
			require.Equal(t, []Event{{1, PeerClosed, Failed}}, harvest(t, p))
			require.Empty(t, p.backend.(*kqueue).dead, "a wait would not block")
			require.NoError(t, p.Modify(writer, 2, PeerClosed|Writable, mode))
			require.Equal(t, []Event{{2, PeerClosed | Writable, Failed}}, harvest(t, p))
		}
	}
}

func TestKqueueSignals(t *testing.T) {
	p, k := newScripted(t)
	times := 0
	k.fail = func(kevent) error {
		if times++; times%3 != 0 {
			return syscall.EINTR
		}
		return nil
	}
	require.NoError(t, p.Add(sock, 1, Readable, Level))
	require.NoError(t, p.Wake())
	require.NoError(t, p.Remove(sock))
	require.Len(t, k.armed, 1)
	for _, err := range []error{syscall.EINTR, syscall.ETIMEDOUT} {
		k.waitErr = err
		n, got := p.Wait(make([]Event, 1), time.Hour)
		require.NoError(t, got)
		require.Zero(t, n)
		require.NoError(t, p.Wake())
	}
	k.waitErr = syscall.EFAULT
	_, err := p.Wait(make([]Event, 1), -1)
	require.ErrorIs(t, err, syscall.EFAULT)
}

func TestKqueueRefuses(t *testing.T) {
	p, k := newScripted(t)
	require.ErrorIs(t, p.Add(file, 1, 0, Level), ErrNotPollable)
	require.ErrorIs(t, p.Add(99, 1, Readable, Level), syscall.EBADF)
	require.ErrorIs(t, p.Add(k.fd(), 1, Readable, Level), ErrInvalid)
	// As macOS does for /dev/tty, and NetBSD for files without any filter.
	for _, errno := range []error{syscall.EINVAL, syscall.EOPNOTSUPP} {
		k.fail = func(ev kevent) error {
			if ev.filter == filterWrite {
				return errno
			}
			return nil
		}
		require.ErrorIs(t, p.Add(sock, 1, Readable|Writable, Level), ErrNotPollable)
		require.Len(t, k.armed, 1, "half of a registration is left")
	}
	k.fail = nil
	require.NoError(t, p.Add(sock, 1, Readable|Writable, Level))
}

func TestKqueueUserEventIsNoDescriptor(t *testing.T) {
	p, k := newScripted(t)
	require.NoError(t, p.Add(0, 1, Readable, Level))
	require.NoError(t, p.Wake())
	require.Empty(t, harvest(t, p))
	k.push(0, filterRead, 0, 0)
	require.NoError(t, p.Wake())
	require.Equal(t, []Event{{Token: 1, Ready: Readable}}, harvest(t, p))
}

func TestKqueueDropsWhatIsNotReadiness(t *testing.T) {
	p, k := newScripted(t)
	require.NoError(t, p.Add(sock, 1, Readable, Level))
	k.push(sock, filterRead, evError, 0)
	k.push(sock, filterOther, 0, 0)
	k.push(sock, filterWrite, 0, 0) // not armed
	k.push(99, filterRead, 0, 0)    // not registered
	require.Empty(t, harvest(t, p))
}

func TestKqueueChangeDuringWait(t *testing.T) {
	for _, c := range []struct {
		mode Mode
		want []string
	}{
		{Level, nil},
		{Edge, []string{"+read 5 clear"}},
		{OneShot, []string{"+read 5 oneshot"}},
	} {
		p, k := newScripted(t)
		require.NoError(t, p.Add(sock, 1, Readable, c.mode))
		k.push(sock, filterRead, 0, 0)
		k.during = func() { // the kernel has handed out the event already
			require.NoError(t, p.Remove(sock))
			require.NoError(t, p.Add(sock, 2, Readable, c.mode))
			k.says()
		}
		require.Empty(t, harvest(t, p), "of the registration before")
		require.Equal(t, c.want, k.says(), "what the new one lost must come again")
		k.push(sock, filterRead, 0, 0)
		require.Equal(t, []Event{{Token: 2, Ready: Readable}}, harvest(t, p))
	}
	p, k := newScripted(t)
	require.NoError(t, p.Add(sock, 1, Readable, Level))
	k.push(sock, filterRead, 0, 0)
	k.during = func() { require.NoError(t, p.Remove(sock)) }
	require.Empty(t, harvest(t, p))
}

func TestKqueueWokenByPipe(t *testing.T) {
	k := &scriptedQueue{t: t, armed: map[knote]uint32{}, kinds: map[int]fileKind{sock: kindOther}}
	w := &testWaker{k: k}
	p, err := newKqueue(k, w)
	require.NoError(t, err)
	defer p.Close()
	require.Equal(t, []string{"+read 77 clear"}, k.says())
	require.ErrorIs(t, p.Add(77, 1, Readable, Level), ErrInvalid)
	require.NoError(t, p.Wake())
	require.NoError(t, p.Wake())
	require.Empty(t, harvest(t, p))
	require.Equal(t, 1, w.drained)
	require.Empty(t, k.events)
}

// testWaker stands for a pipe.
type testWaker struct {
	k       *scriptedQueue
	drained int
}

func (w *testWaker) fd() int          { return 77 }
func (w *testWaker) wake() error      { w.k.push(77, filterRead, 0, 0); return nil }
func (w *testWaker) drain()           { w.drained++ }
func (w *testWaker) owns(fd int) bool { return fd == 77 }
func (w *testWaker) close()           {}
