//go:build linux || netbsd || openbsd || solaris

package poller

import "golang.org/x/sys/unix"

func openPipe(fds []int) error { return unix.Pipe2(fds, unix.O_CLOEXEC|unix.O_NONBLOCK) }
