//go:build unix && !aix && !solaris && !netbsd

package realtime

import (
	"time"

	"golang.org/x/sys/unix"
)

// monotonicStart is start on the kernel's clock.
var monotonicStart = monotonic()

// inBubble returns the time since start in a bubble, by a system call of some
// 100 ns.
func inBubble(time.Duration) time.Duration { return monotonic() - monotonicStart }

func monotonic() time.Duration {
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts)
	return time.Duration(ts.Nano())
}
