//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package pollertest

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// interruption is one that the runtime lives with.
var interruption os.Signal = syscall.SIGURG

// systemLimits are those of every Poller.
const systemLimits Limits = 0

// closedOnExec tells whether a child does not get fd. It returns EBADF for what is
// not open.
func closedOnExec(fd int) (bool, error) {
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
	return flags&unix.FD_CLOEXEC != 0, err
}

func raiseFileLimit() {
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) == nil && limit.Cur < limit.Max {
		limit.Cur = limit.Max
		unix.Setrlimit(unix.RLIMIT_NOFILE, &limit)
	}
}
