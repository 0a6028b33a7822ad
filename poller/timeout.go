//go:build unix || windows

package poller

import "time"

// maxTimeout bounds what is asked of a kernel: some refuse long timeouts, some
// overflow. A caller can't tell an early return from a signal.
const maxTimeout = 24 * time.Hour

func clamp(timeout time.Duration) time.Duration {
	switch {
	case timeout < 0:
		return -1
	case timeout > maxTimeout:
		return maxTimeout
	}
	return timeout
}

// millis rounds up: a wait must not end early, and one below a millisecond
// must not become a busy loop.
func millis(timeout time.Duration) int {
	if timeout < 0 {
		return -1
	}
	return int((timeout + time.Millisecond - 1) / time.Millisecond)
}
