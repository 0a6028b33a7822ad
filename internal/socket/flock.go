//go:build unix && !(aix || solaris)

package socket

import (
	"time"

	"golang.org/x/sys/unix"
)

// lockDirectory locks a directory against others who do so. One that cannot be
// opened is not locked.
func lockDirectory(name string, patience time.Duration) (unlock func(), err error) {
	fd, err := unix.Open(name, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return func() {}, nil
	}
	err = awaitLock(func() error { return unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB) }, patience)
	if err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	return func() { _ = unix.Close(fd) }, nil
}

// awaitLock tries until lock succeeds, or fails for another reason than that others have the
// lock. Where there are no locks it goes on without.
func awaitLock(lock func() error, patience time.Duration) error {
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		switch err := lock(); {
		case err == nil || err == unix.ENOTSUP || err == unix.ENOSYS || err == unix.ENOLCK:
			return nil
		case err != unix.EWOULDBLOCK && err != unix.EINTR || time.Now().After(deadline):
			return err
		}
	}
}
