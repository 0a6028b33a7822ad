//go:build linux

package kqueuesim

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// bench is a scripted queue of one profile.
type bench struct {
	*testing.T
	*Script
	*Queue
	p *Profile
}

// each runs a test on every profile.
func each(t *testing.T, f func(b *bench)) {
	for _, p := range Profiles {
		t.Run(p.Name, func(t *testing.T) {
			s := NewScript()
			f(&bench{t, s, s.NewQueue(p), p})
		})
	}
}

// Descriptors of the tests.
const (
	sock = 3
	pipe = 4
	more = 5
)

// socket opens a connected stream with room.
func (b *bench) socket(fd int) { b.Open(fd, State{Kind: Stream, Writable: true, Room: 1000}) }

func (b *bench) Close(fd int) { b.Script.Close(fd) }

func (b *bench) change(c ...Kevent) error {
	_, err := b.Kevent(c, nil, nil)
	return err
}

func (b *bench) read(fd int, flags uint32) error {
	return b.change(Kevent{Ident: uint64(fd), Filter: b.p.Read, Flags: flags})
}

func (b *bench) write(fd int, flags uint32) error {
	return b.change(Kevent{Ident: uint64(fd), Filter: b.p.Write, Flags: flags})
}

// found is a poll: what is there now, as text.
func (b *bench) found() (list []string) {
	b.Helper()
	events := make([]Kevent, 8)
	n, err := b.Kevent(nil, events, &unix.Timespec{})
	require.NoError(b, err)
	return b.text(events[:n])
}

func (b *bench) text(events []Kevent) (list []string) {
	for _, ev := range events {
		name := map[int32]string{b.p.Read: "read", b.p.Write: "write", b.p.User: "user"}[ev.Filter]
		s := fmt.Sprintf("%s %d: %d", name, ev.Ident, ev.Data)
		if ev.Flags&EV_EOF != 0 {
			s += " eof"
		}
		if ev.Flags&EV_ERROR != 0 {
			s += " error"
		}
		if ev.Fflags != 0 {
			s += fmt.Sprintf(" %#x", ev.Fflags)
		}
		list = append(list, s)
	}
	return list
}

// The tests name the place in kqueue(2) that they check; of systems, where their
// pages differ.

// DESCRIPTION: the filter is run again when the event is retrieved, and what no
// longer holds is not returned. EVFILT_READ: data is the number of bytes there.
func TestLevelRepeatsWhileItHolds(t *testing.T) {
	each(t, func(b *bench) {
		b.socket(sock)
		require.NoError(b, b.read(sock, EV_ADD))
		require.Empty(b, b.found())
		b.Input(sock, 5)
		for range 3 {
			require.Equal(b, []string{"read 3: 5"}, b.found())
		}
		b.Input(sock, 2)
		require.Equal(b, []string{"read 3: 7"}, b.found())
		b.Drain(sock)
		require.Empty(b, b.found())
	})
}

// EV_CLEAR: the state is reset when the event has been retrieved. DESCRIPTION:
// several occurrences are one event.
func TestClearReportsArrivals(t *testing.T) {
	each(t, func(b *bench) {
		b.socket(sock)
		require.NoError(b, b.read(sock, EV_ADD|EV_CLEAR))
		for n := int64(1); n < 4; n++ {
			b.Input(sock, 1)
			require.Equal(b, []string{fmt.Sprintf("read 3: %d", n)}, b.found())
			require.Empty(b, b.found())
		}
		b.Input(sock, 1)
		b.Drain(sock)
		require.Empty(b, b.found(), "gone before it was retrieved")
	})
}

// DESCRIPTION: an event is identified by ident and filter.
func TestFiltersAreIndependent(t *testing.T) {
	each(t, func(b *bench) {
		b.socket(sock)
		require.NoError(b, b.read(sock, EV_ADD))
		require.NoError(b, b.write(sock, EV_ADD|EV_CLEAR))
		b.Input(sock, 1)
		require.ElementsMatch(b, []string{"read 3: 1", "write 3: 1000"}, b.found())
		require.Equal(b, []string{"read 3: 1"}, b.found())
		b.Fill(sock)
		b.Room(sock, 10)
		require.ElementsMatch(b, []string{"read 3: 1", "write 3: 10"}, b.found())
		require.NoError(b, b.read(sock, EV_DELETE))
		require.Empty(b, b.found())
	})
}

// EV_ONESHOT: when the first event has been retrieved, the filter is deleted.
func TestOneShotIsDeleted(t *testing.T) {
	each(t, func(b *bench) {
		b.socket(sock)
		require.NoError(b, b.read(sock, EV_ADD|EV_ONESHOT))
		b.Input(sock, 1)
		require.Len(b, b.found(), 1)
		require.Empty(b, b.found())
		require.ErrorIs(b, b.read(sock, EV_DELETE), syscall.ENOENT)
		require.NoError(b, b.read(sock, EV_ADD|EV_ONESHOT))
		require.Len(b, b.found(), 1)
	})
}

// kqueue_scan of FreeBSD and NetBSD: the filter of a one-shot is not run again.
func TestOneShotTellsOfWhatWasThere(t *testing.T) {
	each(t, func(b *bench) {
		for _, before := range []bool{true, false} { // it is armed
			b.socket(sock)
			if before {
				require.NoError(b, b.read(sock, EV_ADD|EV_ONESHOT))
			}
			b.Input(sock, 1)
			if !before {
				require.NoError(b, b.read(sock, EV_ADD|EV_ONESHOT))
			}
			b.Drain(sock)
			require.Equal(b, b.p.OneShotAsFound, len(b.found()) == 1)
			b.Input(sock, 1)
			require.Equal(b, !b.p.OneShotAsFound, len(b.found()) == 1, "it is spent")
			b.Close(sock)
		}
	})
}

// EV_DISPATCH: delivery disables the event. EV_ENABLE: it may be returned again.
func TestDispatchDisables(t *testing.T) {
	each(t, func(b *bench) {
		if b.p.NoDispatch {
			return
		}
		b.socket(sock)
		require.NoError(b, b.read(sock, EV_ADD|EV_DISPATCH))
		b.Input(sock, 1)
		require.Len(b, b.found(), 1)
		b.Input(sock, 1)
		require.Empty(b, b.found())
		require.NoError(b, b.read(sock, EV_ENABLE))
		require.Equal(b, []string{"read 3: 2"}, b.found())
		require.Empty(b, b.found())
		require.NoError(b, b.read(sock, EV_DELETE), "disabled, not deleted")
	})
}

// EV_DISABLE: the event is not returned, but the filter goes on. EV_ADD enables,
// unless EV_DISABLE is with it.
func TestDisableAndEnable(t *testing.T) {
	each(t, func(b *bench) {
		b.socket(sock)
		b.Input(sock, 1)
		require.NoError(b, b.read(sock, EV_ADD|EV_DISABLE))
		require.Empty(b, b.found())
		require.NoError(b, b.read(sock, EV_ENABLE))
		require.Len(b, b.found(), 1)
		require.NoError(b, b.read(sock, EV_DISABLE))
		require.Empty(b, b.found(), "pending, but disabled")
		require.NoError(b, b.read(sock, EV_ADD))
		require.Equal(b, !b.p.AddKeepsDisabled, len(b.found()) == 1, "EV_ADD enables, but for NetBSD")
	})
}

// EV_ADD: adding again modifies the parameters, and makes no second event. The
// mode is no parameter, say the kernels. DESCRIPTION: the filter is run when it is
// added, for what is the case already.
func TestAddingAgainKeepsTheMode(t *testing.T) {
	each(t, func(b *bench) {
		b.socket(sock)
		b.Input(sock, 1)
		require.NoError(b, b.read(sock, EV_ADD))
		require.NoError(b, b.read(sock, EV_ADD|EV_ONESHOT))
		require.NoError(b, b.read(sock, EV_ADD|EV_CLEAR))
		require.Len(b, b.found(), 1)
		require.Len(b, b.found(), 1, "level still")
		require.NoError(b, b.read(sock, EV_DELETE))
		require.NoError(b, b.read(sock, EV_ADD|EV_CLEAR))
		require.Len(b, b.found(), 1)
		require.NoError(b, b.read(sock, EV_ADD))
		require.Len(b, b.found(), 1, "evaluated anew")
		require.Empty(b, b.found(), "with EV_CLEAR still")
		events := make([]Kevent, 1)
		add := Kevent{Ident: sock, Filter: b.p.Read, Flags: EV_ADD, Udata: 77}
		n, err := b.Kevent([]Kevent{add}, events, &unix.Timespec{})
		require.NoError(b, err)
		require.Equal(b, 1, n)
		require.EqualValues(b, 77, events[0].Udata, "a parameter")
	})
}

// ERRORS: EBADF, an invalid descriptor; ENOENT, no event to modify or delete;
// EINVAL, an invalid filter.
func TestErrorsOfChanges(t *testing.T) {
	each(t, func(b *bench) {
		b.socket(sock)
		require.ErrorIs(b, b.read(99, EV_ADD), syscall.EBADF)
		require.ErrorIs(b, b.read(99, EV_DELETE), syscall.EBADF)
		require.ErrorIs(b, b.read(sock, EV_DELETE), syscall.ENOENT)
		require.ErrorIs(b, b.read(sock, EV_ENABLE), syscall.ENOENT)
		require.ErrorIs(b, b.change(Kevent{Ident: sock, Filter: 0x7fff, Flags: EV_ADD}), syscall.EINVAL)
		if !b.p.NoUser {
			require.ErrorIs(b, b.change(Kevent{Filter: b.p.User, Fflags: NOTE_TRIGGER}), syscall.ENOENT)
		}
	})
}

// RETURN VALUES: with room an error is an event with EV_ERROR, the errno in data,
// and the rest is done; without, it is the call's, and what is behind it stays
// undone.
func TestChangelist(t *testing.T) {
	each(t, func(b *bench) {
		b.socket(sock)
		b.Input(sock, 1)
		list := []Kevent{
			{Ident: sock, Filter: b.p.Read, Flags: EV_DELETE},
			{Ident: sock, Filter: b.p.Write, Flags: EV_ADD},
		}
		require.ErrorIs(b, b.change(list...), syscall.ENOENT)
		require.Empty(b, b.found())
		events := make([]Kevent, 8)
		n, err := b.Kevent(list, events, nil)
		require.NoError(b, err)
		require.Equal(b, []string{fmt.Sprintf("read 3: %d error", int(syscall.ENOENT))}, b.text(events[:n]))
		require.Equal(b, []string{"write 3: 1000"}, b.found(), "the second was done")
	})
}

// DESCRIPTION: all changes are applied before pending events are returned, by the
// same call if it has room.
func TestRoomIsUsedForEvents(t *testing.T) {
	each(t, func(b *bench) {
		b.socket(sock)
		b.socket(more)
		require.NoError(b, b.read(sock, EV_ADD|EV_CLEAR))
		b.Input(sock, 1)
		events := make([]Kevent, 8)
		n, err := b.Kevent([]Kevent{{Ident: more, Filter: b.p.Read, Flags: EV_ADD}}, events, nil)
		require.NoError(b, err)
		require.Equal(b, []string{"read 3: 1"}, b.text(events[:n]))
		require.Empty(b, b.found(), "and whoever didn't look has lost them")
	})
}

// EV_RECEIPT: EV_ERROR is always returned, with data 0 for success, and pending
// events are left alone.
func TestReceipts(t *testing.T) {
	each(t, func(b *bench) {
		if b.p.NoReceipt {
			return
		}
		b.socket(sock)
		b.Input(sock, 1)
		events := make([]Kevent, 8)
		n, err := b.Kevent([]Kevent{
			{Ident: sock, Filter: b.p.Read, Flags: EV_ADD | EV_CLEAR | EV_RECEIPT},
			{Ident: 99, Filter: b.p.Read, Flags: EV_ADD | EV_RECEIPT},
		}, events, nil)
		require.NoError(b, err)
		require.Equal(b, []string{"read 3: 0 error", fmt.Sprintf("read 99: %d error", int(syscall.EBADF))}, b.text(events[:n]))
		if b.p == Darwin {
			require.EqualValues(b, EV_ERROR|EV_ADD|EV_CLEAR|EV_RECEIPT, events[0].Flags)
		} else {
			require.EqualValues(b, EV_ERROR, events[0].Flags)
		}
		require.Equal(b, []string{"read 3: 1"}, b.found())
	})
}

// EV_RECEIPT (FreeBSD): where there's no room for it, what is behind it stays
// undone. The kernel of macOS goes on.
func TestReceiptWithoutRoom(t *testing.T) {
	each(t, func(b *bench) {
		b.socket(sock)
		b.Input(sock, 1)
		n, err := b.Kevent([]Kevent{
			{Ident: sock, Filter: b.p.Read, Flags: EV_ADD | EV_RECEIPT},
			{Ident: sock, Filter: b.p.Write, Flags: EV_ADD | EV_RECEIPT},
		}, nil, nil)
		require.NoError(b, err)
		require.Zero(b, n)
		want := []string{"read 3: 1"}
		if !b.p.ReceiptsNeedRoom {
			want = append(want, "write 3: 1000")
		}
		require.ElementsMatch(b, want, b.found())
	})
}

// DESCRIPTION: nevents is the room, and with none the call returns at once, even
// without a timeout.
func TestRoom(t *testing.T) {
	each(t, func(b *bench) {
		for fd := 10; fd < 15; fd++ {
			b.socket(fd)
			require.NoError(b, b.write(fd, EV_ADD))
		}
		n, err := b.Kevent(nil, nil, nil)
		require.NoError(b, err, "no room: at once")
		require.Zero(b, n)
		seen := map[uint64]int{}
		events := make([]Kevent, 2)
		for range 5 {
			n, err := b.Kevent(nil, events, nil)
			require.NoError(b, err)
			require.Equal(b, 2, n)
			for _, ev := range events {
				seen[ev.Ident]++
			}
		}
		require.Equal(b, map[uint64]int{10: 2, 11: 2, 12: 2, 13: 2, 14: 2}, seen, "in turns")
	})
}

// DESCRIPTION: close removes the events that refer to the descriptor; a duplicate
// has none of them.
func TestCloseRemoves(t *testing.T) {
	each(t, func(b *bench) {
		b.socket(sock)
		b.Dup(sock, more)
		require.NoError(b, b.read(sock, EV_ADD))
		b.Input(sock, 1)
		b.Close(sock)
		require.Empty(b, b.found())
		b.socket(sock)
		b.Input(sock, 1)
		b.Input(more, 1)
		require.Empty(b, b.found(), "another file at the number")
		require.ErrorIs(b, b.read(sock, EV_DELETE), syscall.ENOENT)
		b.Close(sock)
		b.Dup(more, sock)
		require.Empty(b, b.found(), "the same file again")
		require.NoError(b, b.read(sock, EV_ADD))
		require.Equal(b, []string{"read 3: 2"}, b.found())
	})
}

// DESCRIPTION: the timeout is the longest that is waited; ERRORS: EINVAL, an
// invalid one.
func TestTimeouts(t *testing.T) {
	each(t, func(b *bench) {
		wait := func(ts *unix.Timespec) error {
			_, err := b.Kevent(nil, make([]Kevent, 1), ts)
			return err
		}
		start := time.Now()
		require.NoError(b, wait(&unix.Timespec{Nsec: 2_000_000}))
		require.GreaterOrEqual(b, time.Since(start), 2*time.Millisecond)
		for _, ts := range []unix.Timespec{{Sec: -1}, {Nsec: -1}, {Nsec: 1_000_000_000}} {
			require.ErrorIs(b, wait(&ts), syscall.EINVAL)
		}
		b.socket(sock)
		require.NoError(b, b.write(sock, EV_ADD))
		long := wait(&unix.Timespec{Sec: 1 << 30})
		if b.p == Darwin {
			require.ErrorIs(b, long, syscall.EINVAL)
		} else {
			require.NoError(b, long)
		}
		require.NoError(b, wait(&unix.Timespec{Sec: 24 * 60 * 60}))
	})
}

// ERRORS: EINTR; the changes have been made.
func TestSignals(t *testing.T) {
	each(t, func(b *bench) {
		b.socket(sock)
		b.Fault = func(int, int) error { return syscall.EINTR }
		require.ErrorIs(b, b.read(sock, EV_ADD), syscall.EINTR)
		require.ErrorIs(b, b.read(sock, EV_DELETE), syscall.EINTR)
		b.Fault = nil
		require.ErrorIs(b, b.read(sock, EV_DELETE), syscall.ENOENT)
	})
}

// DESCRIPTION: without a timeout the call waits for an event.
func TestWaitEndsWhenSomethingHappens(t *testing.T) {
	each(t, func(b *bench) {
		b.socket(sock)
		require.NoError(b, b.read(sock, EV_ADD))
		done := make(chan []string)
		wait := func() {
			events := make([]Kevent, 8)
			n, _ := b.Kevent(nil, events, nil)
			done <- b.text(events[:n])
		}
		go wait()
		b.Input(sock, 1)
		require.Equal(b, []string{"read 3: 1"}, <-done)
		b.Drain(sock)
		go wait()
		require.NoError(b, b.write(sock, EV_ADD|EV_ONESHOT))
		require.Equal(b, []string{"write 3: 1000"}, <-done)
	})
}
