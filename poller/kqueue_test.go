//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package poller

import (
	"fmt"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// scriptedQueue is a kernel that does what a test says. It knows which filters
// are armed, refuses what a kernel would refuse, and writes down what it is
// asked for.
type scriptedQueue struct {
	t       *testing.T
	armed   map[knote]uint32 // with the flags of the first EV_ADD
	events  []kevent         // to be handed out
	fail    func(kevent) error
	waitErr error
	kinds   map[int]fileKind
	during  func() // called while a wait is in progress
	changes []string
}

type knote struct {
	ident  uint64
	filter filter
}

func (k *scriptedQueue) fd() int      { return 1000 }
func (k *scriptedQueue) close() error { return nil }

func (k *scriptedQueue) change(ev kevent) error {
	name := map[filter]string{filterRead: "read", filterWrite: "write", filterUser: "user"}[ev.filter]
	note := knote{ev.ident, ev.filter}
	what := ""
	switch {
	case ev.flags&evDelete != 0:
		what = fmt.Sprintf("-%s %d", name, ev.ident)
	case ev.flags&evAdd != 0:
		what = fmt.Sprintf("+%s %d", name, ev.ident)
		if ev.flags&evClear != 0 {
			what += " clear"
		}
		if ev.flags&evOneShot != 0 {
			what += " oneshot"
		}
	}
	if ev.filter != filterUser {
		k.changes = append(k.changes, what)
	}
	if k.fail != nil {
		if err := k.fail(ev); err != nil {
			return err
		}
	}
	old, found := k.armed[note]
	switch {
	case ev.flags&evDelete != 0:
		if !found {
			return syscall.ENOENT
		}
		delete(k.armed, note)
		k.events = slices.DeleteFunc(k.events, func(p kevent) bool { return knote{p.ident, p.filter} == note })
	case ev.flags&evAdd != 0:
		if !found {
			k.armed[note] = ev.flags
		} else {
			k.armed[note] = old
		}
	case !found:
		return syscall.ENOENT
	}
	if ev.fflags&noteTrigger != 0 {
		k.events = append(k.events, kevent{filter: filterUser})
	}
	return nil
}

func (k *scriptedQueue) wait(events []kevent, timeout time.Duration) (int, error) {
	require.NotEmpty(k.t, events)
	if k.waitErr != nil {
		err := k.waitErr
		k.waitErr = nil
		return 0, err
	}
	n := copy(events, k.events)
	k.events = slices.Delete(k.events, 0, n)
	for _, ev := range events[:n] {
		if note := (knote{ev.ident, ev.filter}); k.armed[note]&evOneShot != 0 {
			delete(k.armed, note)
		}
	}
	if n == 0 && timeout < 0 && k.during == nil {
		k.t.Fatal("blocks for ever")
	}
	if f := k.during; f != nil {
		k.during = nil
		f()
	}
	return n, nil
}

func (k *scriptedQueue) kind(fd int) (fileKind, error) {
	if kind, ok := k.kinds[fd]; ok {
		return kind, nil
	}
	return 0, syscall.EBADF
}

// says returns the changes since the last call.
func (k *scriptedQueue) says() []string {
	list := k.changes
	k.changes = nil
	return list
}

func (k *scriptedQueue) push(fd int, f filter, flags, fflags uint32) {
	k.events = append(k.events, kevent{ident: uint64(fd), filter: f, flags: flags, fflags: fflags, data: 1})
}

const (
	sock = 5 // descriptors of the script
	pipe = 6
	file = 7
)

func newScripted(t *testing.T) (*front, *scriptedQueue) {
	k := &scriptedQueue{
		t:     t,
		armed: map[knote]uint32{},
		kinds: map[int]fileKind{0: kindOther, sock: kindOther, pipe: kindPipe, file: kindAlways},
	}
	p, err := newKqueue(k, &userWaker{k})
	require.NoError(t, err)
	t.Cleanup(func() { p.Close() })
	return p, k
}

// harvest waits without blocking.
func harvest(t *testing.T, p *front) []Event {
	t.Helper()
	events := make([]Event, 8)
	n, err := p.Wait(events, 0)
	require.NoError(t, err)
	return events[:n]
}

func TestKqueueSendsDifferences(t *testing.T) {
	p, k := newScripted(t)
	require.NoError(t, p.Add(sock, 1, Readable, Level))
	require.Equal(t, []string{"+read 5"}, k.says())
	for _, c := range []struct {
		interest Interest
		mode     Mode
		want     []string
	}{
		{Readable, Level, nil},
		{Readable | Writable, Level, []string{"+write 5"}},
		{Writable, Level, []string{"-read 5"}},
		{Readable | Writable, Edge, []string{"+read 5 clear", "-write 5", "+write 5 clear"}},
		{Readable | Writable, Edge, []string{"+read 5 clear", "+write 5 clear"}}, // re-arms
		{Readable, OneShot, []string{"-read 5", "+read 5 oneshot", "-write 5"}},
		{PeerClosed, Level, []string{"-read 5", "+read 5 clear"}},
		{PeerClosed, OneShot, []string{"+read 5 clear"}},
		{PeerClosed | Writable, Level, []string{"+read 5 clear", "+write 5"}},
		{PeerClosed | Readable, Level, []string{"-read 5", "+read 5", "-write 5"}},
		{0, Level, []string{"-read 5"}},
		{0, OneShot, nil},
		{Readable, Level, []string{"+read 5"}},
	} {
		require.NoError(t, p.Modify(sock, 1, c.interest, c.mode))
		require.Equal(t, c.want, k.says(), "%03b %d", c.interest, c.mode)
	}
	require.NoError(t, p.Remove(sock))
	require.Equal(t, []string{"-read 5"}, k.says())
	require.Len(t, k.armed, 1) // the waker's
}

func TestKqueueJoinsFilters(t *testing.T) {
	p, k := newScripted(t)
	require.NoError(t, p.Add(sock, 1, Readable|Writable, Level))
	require.NoError(t, p.Add(pipe, 2, Readable, Level))
	k.push(sock, filterWrite, 0, 0)
	k.push(pipe, filterRead, 0, 0)
	k.push(sock, filterRead, 0, 0)
	require.Equal(t, []Event{{Token: 1, Ready: Readable | Writable}, {Token: 2, Ready: Readable}}, harvest(t, p))
	k.push(sock, filterRead, 0, 0)
	require.Equal(t, []Event{{Token: 1, Ready: Readable}}, harvest(t, p))
}

func TestKqueueHints(t *testing.T) {
	reset := uint32(syscall.ECONNRESET)
	for _, c := range []struct {
		name   string
		want   Interest
		events []kevent
		expect Event
	}{
		{"end with data left", Readable, []kevent{{filter: filterRead, flags: evEOF, data: 100}}, Event{1, Readable, 0}},
		{"end, watched for", Readable | PeerClosed, []kevent{{filter: filterRead, flags: evEOF}}, Event{1, Readable | PeerClosed, 0}},
		{"reset", Readable, []kevent{{filter: filterRead, flags: evEOF, fflags: reset}}, Event{1, Readable, Failed | Hangup}},
		{"reset, watched for", PeerClosed, []kevent{{filter: filterRead, flags: evEOF, fflags: reset}}, Event{1, PeerClosed, Failed | Hangup}},
		{"own end of writing", Writable | PeerClosed, []kevent{{filter: filterWrite, flags: evEOF}}, Event{1, Writable, 0}},
		{"refused", Writable, []kevent{{filter: filterWrite, flags: evEOF, fflags: uint32(syscall.ECONNREFUSED)}}, Event{1, Writable, Failed | Hangup}},
		{"both ends", Readable | Writable, []kevent{{filter: filterRead, flags: evEOF}, {filter: filterWrite, flags: evEOF}}, Event{1, Readable | Writable, Hangup}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, k := newScripted(t)
			require.NoError(t, p.Add(sock, 1, c.want, Level))
			for _, ev := range c.events {
				ev.ident = sock
				k.events = append(k.events, ev)
			}
			require.Equal(t, []Event{c.expect}, harvest(t, p))
		})
	}
}

func TestKqueueCloseWatch(t *testing.T) {
	for _, mode := range []Mode{Level, Edge, OneShot} {
		p, k := newScripted(t)
		require.NoError(t, p.Add(sock, 1, PeerClosed, mode))
		for range 3 {
			k.push(sock, filterRead, 0, 0)
			require.Empty(t, harvest(t, p))
		}
		k.push(sock, filterRead, evEOF, 0)
		require.Equal(t, []Event{{Token: 1, Ready: PeerClosed}}, harvest(t, p))
		if mode == OneShot {
			require.Len(t, k.armed, 1)
			continue
		}
		k.push(sock, filterRead, evEOF, 0)
		require.Empty(t, harvest(t, p))
		k.push(sock, filterRead, evEOF, uint32(syscall.ECONNRESET))
		require.Equal(t, []Event{{1, PeerClosed, Failed | Hangup}}, harvest(t, p))
		k.push(sock, filterRead, evEOF, uint32(syscall.ECONNRESET))
		require.Empty(t, harvest(t, p))
	}
}

func TestKqueueWaitsOnAfterNothingWorthTelling(t *testing.T) {
	p, k := newScripted(t)
	require.NoError(t, p.Add(sock, 1, PeerClosed, Level))
	for _, timeout := range []time.Duration{-1, time.Hour} {
		require.NoError(t, p.Modify(sock, 1, PeerClosed, Level))
		k.push(sock, filterRead, 0, 0)
		k.during = func() { k.push(sock, filterRead, evEOF, 0) }
		n, err := p.Wait(make([]Event, 4), timeout)
		require.NoError(t, err)
		require.Equal(t, 1, n)
	}
}

func TestKqueueOneShotIsPerDescriptor(t *testing.T) {
	p, k := newScripted(t)
	require.NoError(t, p.Add(sock, 1, Readable|Writable, OneShot))
	k.says()
	k.push(sock, filterWrite, 0, 0)
	require.Equal(t, []Event{{Token: 1, Ready: Writable}}, harvest(t, p))
	require.Equal(t, []string{"-read 5"}, k.says())
	require.NoError(t, p.Modify(sock, 2, Readable|Writable, OneShot))
	require.Equal(t, []string{"+read 5 oneshot", "+write 5 oneshot"}, k.says())
	k.push(sock, filterWrite, 0, 0)
	k.push(sock, filterRead, 0, 0)
	require.Equal(t, []Event{{Token: 2, Ready: Readable | Writable}}, harvest(t, p))
	require.Empty(t, k.says(), "both have fired")
	require.NoError(t, p.Remove(sock))
	require.Empty(t, k.says())
}

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
	k.fail = func(ev kevent) error {
		if ev.filter == filterWrite {
			return syscall.EINVAL // as macOS does for /dev/tty
		}
		return nil
	}
	require.ErrorIs(t, p.Add(sock, 1, Readable|Writable, Level), ErrNotPollable)
	require.Len(t, k.armed, 1, "half of a registration is left")
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
	require.Equal(t, []string{"+read 77"}, k.says())
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
