//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package socket

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// Who wants a lock that another holds waits for it.
func TestLockDirectoryWaits(t *testing.T) {
	dir := t.TempDir()
	unlock, err := lockDirectory(dir, time.Hour)
	require.NoError(t, err)
	got := make(chan error, 1)
	go func() {
		unlock, err := lockDirectory(dir, time.Hour)
		if err == nil {
			unlock()
		}
		got <- err
	}()
	select {
	case err := <-got:
		t.Fatalf("did not wait: %v", err)
	case <-time.After(20 * time.Millisecond):
	}
	unlock()
	require.NoError(t, <-got)
}

// A lock is tried for again while another has it or a signal came, and not when it cannot be
// had; a file system without locks is in nobody's way.
func TestAwaitLock(t *testing.T) {
	for _, c := range []struct {
		answers  []error
		patience time.Duration
		want     error
	}{
		{[]error{nil}, time.Hour, nil},
		{[]error{unix.EINTR, unix.EWOULDBLOCK, unix.EINTR, nil}, time.Hour, nil},
		{[]error{unix.ENOTSUP}, time.Hour, nil},
		{[]error{unix.ENOSYS}, time.Hour, nil},
		{[]error{unix.EWOULDBLOCK, unix.ENOLCK}, time.Hour, nil},
		{[]error{unix.EINTR, unix.EBADF}, time.Hour, unix.EBADF},
		{[]error{unix.EWOULDBLOCK}, -time.Second, unix.EWOULDBLOCK},
		{[]error{unix.EINTR}, -time.Second, unix.EINTR},
	} {
		asked := 0
		err := awaitLock(func() error {
			asked++
			require.LessOrEqual(t, asked, len(c.answers), "%v", c.answers)
			return c.answers[asked-1]
		}, c.patience)
		require.Equal(t, c.want, err, "%v", c.answers)
		require.Len(t, c.answers, asked)
	}
}

// Who waits in vain for a lock leaves no descriptor behind, which would be in the way of
// the next.
func TestLockDirectoryGivesUp(t *testing.T) {
	dir := t.TempDir()
	unlock, err := lockDirectory(dir, time.Hour)
	require.NoError(t, err)
	free := lowestFree(t)
	_, err = lockDirectory(dir, -time.Second)
	require.Equal(t, unix.EWOULDBLOCK, err)
	require.Equal(t, free, lowestFree(t))
	unlock()
	unlock, err = lockDirectory(dir, time.Hour)
	require.NoError(t, err)
	unlock()
}

// lowestFree returns the number that the next descriptor gets.
func lowestFree(t *testing.T) int {
	t.Helper()
	fd, err := unix.Dup(0)
	require.NoError(t, err)
	require.NoError(t, unix.Close(fd))
	return fd
}
