package pollertest

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// cpuTime is the time that this thread has worked.
func cpuTime() time.Duration {
	var u unix.Rusage
	unix.Getrusage(unix.RUSAGE_THREAD, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func dup2(from, to int) error { return unix.Dup3(from, to, 0) }

func threadID() int { return unix.Gettid() }

// interrupt sends a signal to one thread.
func interrupt(thread int, sig os.Signal) error {
	return unix.Tgkill(unix.Getpid(), thread, sig.(unix.Signal))
}

// pollRDHup is what shows that the peer has ended its stream.
const pollRDHup = unix.POLLRDHUP
