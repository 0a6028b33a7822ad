package poller

import (
	"errors"
	"math/rand/v2"
	"os"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/eddyloop/eddy/internal/sandbox"
	"github.com/eddyloop/eddy/internal/selfexec"
	"github.com/eddyloop/eddy/internal/testtime"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

var errPlayed = errors.New("played by the test")

// failingWaker fails when it is told to.
type failingWaker struct {
	waker
	fail   func() bool
	closed atomic.Bool
}

func (w *failingWaker) wake() error {
	if w.fail() {
		return errPlayed
	}
	return w.waker.wake()
}

func (w *failingWaker) close() {
	w.closed.Store(true)
	w.waker.close()
}

func newFailing(t *testing.T) (*front, *failingWaker) {
	p, err := newPoll(true)
	require.NoError(t, err)
	b := p.(*front).backend.(*pollSet)
	w := &failingWaker{waker: b.waker}
	b.waker = w
	return p.(*front), w
}

// Whoever was told that he has woken the waiter has, also when the calls of others
// fail meanwhile.
func TestFailingWakesAmongOthers(t *testing.T) {
	p, w := newFailing(t)
	defer p.Close()
	w.fail = func() bool { return rand.IntN(3) == 0 }
	const wakers, rounds = 3, 5000
	var posted, seen [wakers]atomic.Int64
	stop := make(chan struct{})
	waiter := make(chan error, 1)
	go func() {
		events := make([]Event, 1)
		for {
			select {
			case <-stop:
				waiter <- nil
				return
			default:
			}
			if _, err := p.Wait(events, -1); err != nil {
				waiter <- err
				return
			}
			for i := range seen {
				seen[i].Store(posted[i].Load())
			}
		}
	}()
	done := make(chan bool, wakers)
	for i := range wakers {
		go func() {
			for n := range int64(rounds) {
				posted[i].Store(n + 1)
				for p.Wake() != nil {
				}
				for end := time.Now().Add(testtime.Patience(20 * time.Second)); seen[i].Load() <= n; runtime.Gosched() {
					if time.Now().After(end) {
						done <- false
						return
					}
				}
			}
			done <- true
		}()
	}
	for range wakers {
		require.True(t, <-done, "a wake-up was lost")
	}
	close(stop)
	for p.Wake() != nil {
	}
	require.NoError(t, <-waiter)
}

// A change that a wait in progress cannot be told of is not made.
func TestPollChangeThatCannotBeTold(t *testing.T) {
	p, w := newFailing(t)
	w.fail = func() bool { return false }
	rd, wr := testPipe(t)
	require.NoError(t, p.Add(rd, 1, Readable, Level))
	got := make(chan Event, 1)
	go func() {
		defer withoutSignals()()
		var events [1]Event
		_, _ = p.Wait(events[:], -1)
		got <- events[0]
	}()
	b := p.backend.(*pollSet)
	awaitLocked(t, p, func() bool { return b.waiting })
	w.fail = func() bool { return true }
	require.ErrorIs(t, p.Modify(rd, 2, 0, Level), errPlayed)
	require.ErrorIs(t, p.Add(wr, 3, Writable, Level), errPlayed)
	unix.Write(wr, []byte("x"))
	require.Equal(t, Event{Token: 1, Ready: Readable}, <-got)
	require.ErrorIs(t, p.Remove(wr), ErrNotExist)
	require.NoError(t, p.Close())
}

// withoutSignals keeps signals, the runtime's own preemption among them, from ending what
// the goroutine waits for, until the returned function is called.
func withoutSignals() (end func()) {
	runtime.LockOSThread()
	var all, before unix.Sigset_t
	for i := range all.Val {
		all.Val[i]--
	}
	_ = unix.PthreadSigmask(unix.SIG_BLOCK, &all, &before)
	return func() {
		_ = unix.PthreadSigmask(unix.SIG_SETMASK, &before, nil)
		runtime.UnlockOSThread()
	}
}

// If the waiter cannot be woken, Close says so, and he releases everything when he
// leaves.
func TestCloseThatCannotWake(t *testing.T) {
	p, w := newFailing(t)
	w.fail = func() bool { return true }
	rd, wr := testPipe(t)
	require.NoError(t, p.Add(rd, 1, Readable, Level))
	left := make(chan error, 1)
	go func() {
		defer withoutSignals()()
		_, err := p.Wait(make([]Event, 1), -1)
		left <- err
	}()
	awaitWaiter(t, p)
	require.ErrorIs(t, p.Close(), errPlayed)
	require.ErrorIs(t, p.Close(), ErrClosed)
	require.ErrorIs(t, p.Wake(), ErrClosed)
	require.False(t, w.closed.Load(), "under the waiter")
	unix.Write(wr, []byte("x"))
	require.ErrorIs(t, <-left, ErrClosed)
	require.True(t, w.closed.Load())
}

// Kernels before 5.11 answer epoll_pwait2 with ENOSYS, strict sandboxes with EPERM.
func TestWithoutPwait2(t *testing.T) {
	const variable = "EDDY_TEST_SECCOMP"
	switch os.Getenv(variable) {
	case "ENOSYS":
		testWithoutPwait2(t, unix.ENOSYS)
		return
	case "EPERM":
		testWithoutPwait2(t, unix.EPERM)
		return
	}
	for _, answer := range []string{"ENOSYS", "EPERM"} {
		cmd := selfexec.Command(variable+"="+answer, "-test.run=^TestWithoutPwait2$", "-test.v")
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s: %s", answer, out)
		if testing.Verbose() {
			t.Logf("%s", out)
		}
	}
}

func testWithoutPwait2(t *testing.T, answer unix.Errno) {
	if err := sandbox.Forbid(unix.SYS_EPOLL_PWAIT2, answer); err != nil {
		t.Skip("no seccomp here: ", err)
	}
	_, _, errno := unix.Syscall6(unix.SYS_EPOLL_PWAIT2, 0, 0, 0, 0, 0, 0)
	require.Equal(t, answer, errno)
	for range 2 {
		p, err := newEpoll(pwait2Missing.Load())
		require.NoError(t, err)
		defer p.Close()
		start := time.Now()
		for time.Since(start) < 3*time.Millisecond { // signals end a wait
			_, err = p.Wait(make([]Event, 1), 3*time.Millisecond)
			require.NoError(t, err)
		}
		require.True(t, pwait2Missing.Load())
		require.True(t, p.backend.(*epoll).millis, "it is not tried again")
		rd, wr := testPipe(t)
		require.NoError(t, p.Add(rd, 1, Readable, Level))
		unix.Write(wr, []byte("x"))
		n, err := p.Wait(make([]Event, 1), time.Hour)
		require.NoError(t, err)
		require.Equal(t, 1, n)
	}
}
