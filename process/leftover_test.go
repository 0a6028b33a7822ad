//go:build unix

package process_test

import (
	"context"
	"os"
	"os/exec"
	"runtime/debug"
	"syscall"
	"testing"
	"time"

	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/process"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// freeDescriptors returns the two lowest numbers that no descriptor has.
func freeDescriptors(t *testing.T) [2]int {
	t.Helper()
	var fds [2]int
	require.NoError(t, unix.Pipe(fds[:]))
	require.NoError(t, unix.Close(fds[0]))
	require.NoError(t, unix.Close(fds[1]))
	return fds
}

// TestStartFailsWithoutDescriptors: what a failed start has opened is closed at once, and
// not only when the garbage collector finds it.
func TestStartFailsWithoutDescriptors(t *testing.T) {
	closed, err := ioloop.New(ioloop.Config{})
	require.NoError(t, err)
	require.NoError(t, closed.Close())
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	free := freeDescriptors(t)
	_, err = process.Start(closed, exec.Command("true"), process.Stdin, nil)
	require.ErrorIs(t, err, ioloop.ErrClosed)
	require.Equal(t, free, freeDescriptors(t))

	var limit unix.Rlimit
	require.NoError(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &limit))
	few := limit
	few.Cur = 0
	for range free[1] + 1 { // room for a pipe; the field's type differs between systems
		few.Cur++
	}
	require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_NOFILE, (*syscall.Rlimit)(&few)))
	_, err = process.Start(closed, exec.Command("true"), process.Stdin, nil)
	require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_NOFILE, (*syscall.Rlimit)(&limit)))
	require.ErrorIs(t, err, unix.EMFILE)
	var syscallError *os.SyscallError
	require.ErrorAs(t, err, &syscallError)
	require.Equal(t, "fcntl", syscallError.Syscall, "the pipe was there")
	require.Equal(t, free, freeDescriptors(t))
}

// TestExitClosesDescriptors: what an exit was waited for with is closed by then.
func TestExitClosesDescriptors(t *testing.T) {
	l := startLoop(t)
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	free := freeDescriptors(t)
	for range 2 {
		p, _ := start(t, l, "true", 0)
		require.NoError(t, p.Wait(patient(t)))
		require.Equal(t, free, freeDescriptors(t))
	}
}

// TestWaiterThatGivesUpIsForgotten, and no other.
func TestWaiterThatGivesUpIsForgotten(t *testing.T) {
	p, _ := start(t, startLoop(t), "read end", process.Stdin)
	waits := func(ctx context.Context, waiters int) <-chan error {
		done := make(chan error, 1)
		go func() { done <- p.Wait(ctx) }()
		for deadline := time.Now().Add(patience); p.Waiters() < waiters; time.Sleep(100 * time.Microsecond) {
			require.True(t, time.Now().Before(deadline))
		}
		return done
	}
	first, cancel := context.WithCancel(context.Background())
	defer cancel()
	gives := waits(first, 1)
	stays := waits(context.Background(), 2)
	cancel()
	require.ErrorIs(t, receive(t, gives), context.Canceled)
	require.Equal(t, 1, p.Waiters())
	require.NoError(t, p.Kill())
	var exit *exec.ExitError
	require.ErrorAs(t, receive(t, stays), &exit)
	require.Zero(t, p.Waiters())
}

// TestWaitOnTheLoopIsRefused, and nobody is kept from waiting elsewhere.
func TestWaitOnTheLoopIsRefused(t *testing.T) {
	l := startLoop(t)
	p, _ := start(t, l, "read line", process.Stdin)
	refused := make(chan error, 1)
	require.NoError(t, l.Post(func() { refused <- p.Wait(context.Background()) }))
	require.ErrorIs(t, receive(t, refused), ioloop.ErrOnLoop)
	require.NoError(t, p.Kill())
	done := make(chan error, 1)
	go func() { done <- p.Wait(context.Background()) }()
	var exit *exec.ExitError
	require.ErrorAs(t, receive(t, done), &exit)
}
