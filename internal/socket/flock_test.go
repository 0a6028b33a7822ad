//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package socket

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Who wants a lock that another holds waits for it.
func TestLockDirectoryWaits(t *testing.T) {
	dir := t.TempDir()
	unlock, err := lockDirectory(dir)
	require.NoError(t, err)
	got := make(chan error, 1)
	go func() {
		unlock, err := lockDirectory(dir)
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
