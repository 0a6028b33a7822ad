//go:build darwin || freebsd || dragonfly

package poller

import "golang.org/x/sys/unix"

const userFilter = unix.EVFILT_USER

func newWaker(k kernelQueue) (waker, error) { return &userWaker{k}, nil }

// The number must be that of the system.
var _ = [1]struct{}{}[unix.NOTE_TRIGGER-noteTrigger]
