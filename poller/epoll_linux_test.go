package poller

import (
	"encoding/binary"
	"math"
	"testing"
	"time"
	"unsafe"

	"github.com/eddyloop/eddy/internal/allocs"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// newTestEpoll returns a Poller and its backend.
func newTestEpoll(t *testing.T) (*front, *epoll) {
	p, err := newEpoll(false)
	require.NoError(t, err)
	t.Cleanup(func() { p.Close() })
	return p, p.backend.(*epoll)
}

func testPipe(t *testing.T) (rd, wr int) {
	var fds [2]int
	require.NoError(t, unix.Pipe2(fds[:], unix.O_CLOEXEC|unix.O_NONBLOCK))
	t.Cleanup(func() {
		unix.Close(fds[0])
		unix.Close(fds[1])
	})
	return fds[0], fds[1]
}

// play has the backend translate events that the kernel is said to have found.
func play(p *front, e *epoll, events ...unix.EpollEvent) []Event {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := make([]Event, len(events))
	e.begin(len(events))
	e.found = copy(e.ready, events)
	n, _ := e.harvest(out)
	return out[:n]
}

func TestEventOfEarlierRegistrationIsDropped(t *testing.T) {
	p, e := newTestEpoll(t)
	rd, _ := testPipe(t)
	require.NoError(t, p.Add(rd, 1, Readable, Level))
	i, _ := e.table.lookup(rd)
	raw := func() unix.EpollEvent {
		return unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(i), Pad: int32(e.table.slots[i].gen)}
	}
	first := raw()
	require.Len(t, play(p, e, first), 1)
	require.NoError(t, p.Modify(rd, 2, Readable, Level))
	second := raw()
	require.Empty(t, play(p, e, first))
	require.Len(t, play(p, e, second), 1)
	require.NoError(t, p.Remove(rd))
	require.Empty(t, play(p, e, second))
	require.NoError(t, p.Add(rd, 3, Readable, Level))
	require.Equal(t, []Event{{Token: 3, Ready: Readable}}, play(p, e, raw()))
	require.Empty(t, play(p, e, second))
	beyond := unix.EpollEvent{Events: unix.EPOLLIN, Fd: math.MaxInt32}
	require.Empty(t, play(p, e, beyond))
}

func TestFlagsHaveMeaning(t *testing.T) {
	const in, out, rdhup, hup, failed = unix.EPOLLIN, unix.EPOLLOUT, unix.EPOLLRDHUP, unix.EPOLLHUP, unix.EPOLLERR
	const rw, all = Readable | Writable, Readable | Writable | PeerClosed
	for _, c := range []struct {
		flags uint32
		want  Interest
		found Interest
		hints Hint
	}{
		{in, all, Readable, 0},
		{out, all, Writable, 0},
		{in | out, all, rw, 0},
		{in | rdhup, all, Readable | PeerClosed, 0},
		{in | rdhup, rw, Readable, 0},
		{rdhup, PeerClosed, PeerClosed, 0},
		{hup, rw, Readable, Hangup},
		{hup, Readable, Readable, Hangup},
		{hup, Writable, Writable, Hangup},
		{hup, PeerClosed, PeerClosed, Hangup},
		{hup, Writable | PeerClosed, Writable | PeerClosed, Hangup},
		{failed, Readable, Readable, Failed},
		{failed, Writable, Writable, Failed},
		{failed, all, all, Failed},
		{in | out | failed | hup, rw, rw, Failed | Hangup},
	} {
		s := slot{interest: c.want}
		found, hints := decode(c.flags, c.want)
		require.Equal(t, c.found, s.admit(found, hints), "%#x for %03b", c.flags, c.want)
		require.Equal(t, c.hints, hints, "%#x for %03b", c.flags, c.want)
	}
}

func TestFullEventCounter(t *testing.T) {
	p, e := newTestEpoll(t)
	// One below the most that it can hold: the next write finds no room.
	var full [8]byte
	binary.NativeEndian.PutUint64(full[:], math.MaxUint64-1)
	_, err := unix.Write(e.waker.fd(), full[:])
	require.NoError(t, err)
	events := make([]Event, 1)
	for range 10 { // the write above, and then every wake-up, must be seen
		start := time.Now()
		_, err = p.Wait(events, time.Minute)
		require.NoError(t, err)
		require.Less(t, time.Since(start), 30*time.Second)
		require.NoError(t, p.Wake())
	}
}

func TestFullWakePipe(t *testing.T) {
	p, err := newPoll(true)
	require.NoError(t, err)
	defer p.Close()
	w := p.(*front).backend.(*pollSet).waker.(*pipeWaker)
	for err == nil {
		_, err = unix.Write(w.w, make([]byte, 4096))
	}
	require.ErrorIs(t, err, unix.EAGAIN)
	events := make([]Event, 1)
	for range 10 {
		require.NoError(t, p.Wake())
		start := time.Now()
		_, err = p.Wait(events, time.Minute)
		require.NoError(t, err)
		require.Less(t, time.Since(start), 30*time.Second)
	}
}

func TestUndeletableEntryLeadsToRebuild(t *testing.T) {
	p, e := newTestEpoll(t)
	rd, wr := testPipe(t)
	keep, err := unix.FcntlInt(uintptr(rd), unix.F_DUPFD_CLOEXEC, 0)
	require.NoError(t, err)
	defer unix.Close(keep)
	require.NoError(t, p.Add(rd, 1, Readable, Level))
	require.NoError(t, unix.Close(rd))
	require.NoError(t, p.Remove(rd))
	unix.Write(wr, []byte("x"))

	events := make([]Event, 4)
	before := e.file
	for range 2 {
		n, err := p.Wait(events, 0)
		require.NoError(t, err)
		require.Zero(t, n)
	}
	require.Equal(t, before, p.FD())
	require.Zero(t, e.stale)
	flags, err := unix.FcntlInt(uintptr(p.FD()), unix.F_GETFD, 0)
	require.NoError(t, err)
	require.NotZero(t, flags&unix.FD_CLOEXEC)
	_, err = p.Wait(events, 0) // the waker's event, from being registered anew
	require.NoError(t, err)
	_, err = e.wait(0)
	require.NoError(t, err)
	require.Zero(t, e.found, "the kernel still reports the entry")
}

func TestKernelForgetsFiredOneShot(t *testing.T) {
	p, e := newTestEpoll(t)
	rd, wr := testPipe(t)
	unix.Write(wr, []byte("x"))
	require.NoError(t, p.Add(rd, 1, Readable, OneShot))
	events := make([]Event, 4)
	n, err := p.Wait(events, 0)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	unix.Write(wr, []byte("y"))
	_, err = e.wait(0)
	require.NoError(t, err)
	require.Zero(t, e.found)
}

func TestSuspectsRepeatInAnyRhythm(t *testing.T) {
	for _, period := range []uint32{1, 2, 3, 7, 50, 1000} {
		var w staleWatch
		for i := range uint32(100) { // each seen once only: nothing is wrong
			w.see(i, 1_000_000+i)
		}
		require.False(t, w.proven)
		n := uint32(0)
		for ; !w.proven; n++ {
			require.Less(t, n, 10*period+1000)
			w.see(n%period, n%period)
		}
	}
}

func TestTimeouts(t *testing.T) {
	for _, c := range []struct {
		in, clamped time.Duration
		millis      int
	}{
		{-1, -1, -1},
		{math.MinInt64, -1, -1},
		{0, 0, 0},
		{1, 1, 1},
		{time.Microsecond, time.Microsecond, 1},
		{time.Millisecond - 1, time.Millisecond - 1, 1},
		{time.Millisecond, time.Millisecond, 1},
		{time.Millisecond + 1, time.Millisecond + 1, 2},
		{3100 * time.Microsecond, 3100 * time.Microsecond, 4},
		{24 * time.Hour, 24 * time.Hour, 86_400_000},
		{24*time.Hour + 1, 24 * time.Hour, 86_400_000},
		{math.MaxInt64, 24 * time.Hour, 86_400_000},
	} {
		got := clamp(c.in)
		require.Equal(t, c.clamped, got, "%v", c.in)
		require.Equal(t, c.millis, millis(got), "%v", c.in)
	}
}

func TestMissingCallIsReplaced(t *testing.T) {
	p, e := newTestEpoll(t)
	if e.millis {
		t.Skip("epoll_pwait2 is missing here")
	}
	for tries := 500; ; tries-- { // signals may end a wait
		start := time.Now()
		_, err := p.Wait(make([]Event, 1), 5*time.Millisecond)
		require.NoError(t, err)
		if time.Since(start) > time.Millisecond {
			break
		}
		require.Positive(t, tries)
	}
	require.Equal(t, pwait2Missing.Load(), e.millis)
}

func TestFailedModifyChangesNothing(t *testing.T) {
	p, e := newTestEpoll(t)
	rd, wr := testPipe(t)
	unix.Write(wr, []byte("x"))
	require.NoError(t, p.Add(rd, 1, Readable, Level))
	i, _ := e.table.lookup(rd)
	file := e.file
	e.file = wr // no epoll set
	err := p.Modify(rd, 2, Writable, Edge)
	e.file = file
	require.ErrorIs(t, err, unix.EINVAL)
	require.Equal(t, Token(1), e.table.slots[i].token)
	events := make([]Event, 1)
	n, err := p.Wait(events, 0)
	require.NoError(t, err)
	require.Equal(t, []Event{{Token: 1, Ready: Readable}}, events[:n])
}

func TestRegistrationIsSmall(t *testing.T) {
	require.LessOrEqual(t, unsafe.Sizeof(slot{}), uintptr(24))
}

func TestNothingIsAllocated(t *testing.T) {
	p, _ := newTestEpoll(t)
	rd, wr := testPipe(t)
	unix.Write(wr, []byte("x"))
	require.NoError(t, p.Add(rd, 1, Readable, Level))
	events := make([]Event, 16)
	for name, f := range map[string]func(){
		"Wait":       func() { p.Wait(events, 0) },
		"timed Wait": func() { p.Wait(events, time.Microsecond) },
		"Modify":     func() { p.Modify(rd, 1, Readable, Level) },
		"Wake":       func() { p.Wake(); p.Wait(events, 0) },
	} {
		require.Zero(t, allocs.PerRun(100, f), name)
	}
}
