//go:build darwin || dragonfly || freebsd || netbsd || openbsd

package pollertest

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// cpuTime is the time that this process has worked.
func cpuTime() time.Duration {
	var u unix.Rusage
	unix.Getrusage(unix.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func dup2(from, to int) error { return unix.Dup2(from, to) }

func threadID() int { return 0 }

// interrupt sends a signal to the process.
func interrupt(_ int, sig os.Signal) error {
	return unix.Kill(unix.Getpid(), sig.(unix.Signal))
}

// pollRDHup is asked for only where unread data hides the end of a stream.
const pollRDHup = 0
