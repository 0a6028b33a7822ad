//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package poller

import (
	"errors"
	"fmt"
	"maps"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// A Modify that fails in the middle leaves what was, or says that it is gone.
func TestKqueueFailedModify(t *testing.T) {
	for _, fd := range []int{sock, pipe, writer} {
		for before := range 8 * 3 {
			for after := range 8 * 3 {
				for _, last := range []int{1, 2, 3, 1000} { // how many changes fail from the nth on
					for nth := 1; failModify(t, fd, before, after, nth, last); nth++ {
					}
				}
			}
		}
	}
}

// failModify has changes nth to nth+count-1 of a Modify fail, and returns false when
// there were not so many.
func failModify(t *testing.T, fd, before, after, nth, count int) bool {
	p, k := newScripted(t)
	what := func(x int) (Interest, Mode) { return Interest(x / 3), Mode(x % 3) }
	interest, mode := what(before)
	require.NoError(t, p.Add(fd, 1, interest, mode))
	was := maps.Clone(k.armed)
	calls, failed := 0, false
	k.fail = func(kevent) error {
		if calls++; calls >= nth && calls < nth+count {
			failed = true
			return syscall.ENOMEM
		}
		return nil
	}
	other, otherMode := what(after)
	err := p.Modify(fd, 2, other, otherMode)
	k.fail = nil
	name := fmt.Sprintf("%d: %v %v to %v %v, changes from %d, %d of them", fd, interest, mode, other, otherMode, nth, count)
	switch {
	case err == nil:
		// Nothing failed, or what no filter is needed for.
	case errors.Is(err, ErrNotExist):
		require.ErrorIs(t, err, syscall.ENOMEM, name)
		require.ErrorIs(t, p.Modify(fd, 2, other, otherMode), ErrNotExist, name)
		require.NoError(t, p.Add(fd, 3, interest, mode), name)
		for note, flags := range was {
			require.Contains(t, k.armed, note, name)
			_ = flags
		}
	default:
		require.ErrorIs(t, err, syscall.ENOMEM, name)
		i, _ := p.table.lookup(fd)
		for note := range k.armed {
			if _, ok := was[note]; !ok { // it goes when it reports
				k.push(fd, note.filter, 0, 0)
				require.Empty(t, harvest(t, p), name)
			}
		}
		require.Equal(t, was, k.armed, name)
		require.Equal(t, Token(1), p.table.slots[i].token, name)
		require.Equal(t, mode, p.table.slots[i].mode, name)
	}
	return failed
}

// A one-shot that has fired stays so.
func TestKqueueFailedModifyOfFired(t *testing.T) {
	p, k := newScripted(t)
	require.NoError(t, p.Add(sock, 1, Readable, OneShot))
	k.push(sock, filterRead, 0, 0)
	require.Len(t, harvest(t, p), 1)
	k.fail = func(kevent) error {
		k.fail = nil
		return syscall.ENOMEM
	}
	require.ErrorIs(t, p.Modify(sock, 2, Readable, Level), syscall.ENOMEM)
	require.Len(t, k.armed, 1)
	require.NoError(t, p.Modify(sock, 3, Readable, OneShot))
	k.push(sock, filterRead, 0, 0)
	require.Equal(t, []Event{{Token: 3, Ready: Readable}}, harvest(t, p))
}

// What could not be deleted is deleted when it is seen: it would come in every wait.
func TestKqueueUndeletedFilter(t *testing.T) {
	p, k := newScripted(t)
	require.NoError(t, p.Add(sock, 1, Readable, Level))
	k.fail = func(kevent) error { return syscall.ENOMEM }
	require.ErrorIs(t, p.Remove(sock), syscall.ENOMEM)
	require.ErrorIs(t, p.Remove(sock), ErrNotExist)
	k.fail = nil
	require.Len(t, k.armed, 2)
	k.push(sock, filterRead, 0, 0)
	require.Empty(t, harvest(t, p))
	require.Len(t, k.armed, 1)
}

// An edge that was lost to a change during a wait is told to the new owner, if the
// filter cannot be armed again. The one that the kernel has is still there then.
func TestKqueueChangeDuringWaitThatCannotBeArmed(t *testing.T) {
	for _, mode := range []Mode{Edge, OneShot} {
		p, k := newScripted(t)
		require.NoError(t, p.Add(sock, 1, Readable, mode))
		k.push(sock, filterRead, 0, 0)
		k.during = func() {
			require.NoError(t, p.Modify(sock, 2, Readable, mode))
			k.fail = func(kevent) error { return syscall.ENOMEM }
		}
		require.Equal(t, []Event{{Token: 2, Ready: Readable}}, harvest(t, p), mode)
		k.push(sock, filterRead, 0, 0)
		told := harvest(t, p)
		require.Equal(t, mode == Edge, len(told) == 1, mode)
	}
}

// A wake-up that fails is told, and the next one is tried.
func TestFailedWake(t *testing.T) {
	p, k := newScripted(t)
	k.fail = func(kevent) error { return syscall.ENOMEM }
	require.ErrorIs(t, p.Wake(), syscall.ENOMEM)
	require.ErrorIs(t, p.Wake(), syscall.ENOMEM)
	k.fail = nil
	require.NoError(t, p.Wake())
	require.Len(t, k.events, 1)
	require.NoError(t, p.Wake())
	require.Len(t, k.events, 1)
	require.Empty(t, harvest(t, p))
	require.Empty(t, k.events)
	require.NoError(t, p.Wake())
	require.Len(t, k.events, 1)
}
