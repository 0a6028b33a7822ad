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
	blind   map[int]bool
	changes []string
}

type knote struct {
	ident  uint64
	filter filter
}

func (k *scriptedQueue) fd() int      { return 1000 }
func (k *scriptedQueue) close() error { return nil }

func (k *scriptedQueue) blindToRoom(fd int) bool { return k.blind[fd] }

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
	sock   = 5 // descriptors of the script
	pipe   = 6
	file   = 7
	writer = 8 // of a pipe
)

func newScripted(t *testing.T) (*front, *scriptedQueue) {
	k := &scriptedQueue{
		t:     t,
		armed: map[knote]uint32{},
		kinds: map[int]fileKind{0: kindOther, sock: kindOther, pipe: kindPipe, file: kindAlways, writer: kindWriter},
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
