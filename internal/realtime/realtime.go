// Package realtime tells real time, also in a bubble of testing/synctest, whose time
// stands still while a loop waits in the kernel.
package realtime

import "time"

// start is never a moment of a bubble's.
var start = time.Now()

// Now returns the time since the program began.
func Now() time.Duration {
	now := time.Since(start)
	if now < 0 { // a bubble's time begins with the year 2000
		return inBubble(now)
	}
	return now
}

// InBubble reports whether the caller is in a bubble, where package time tells no real time.
func InBubble() bool { return time.Since(start) < 0 }
