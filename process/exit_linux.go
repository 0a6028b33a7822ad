package process

import (
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// awaitExit returns when the process has exited, or earlier if that cannot be
// waited for without blocking a thread. It waits for a descriptor that becomes
// readable then (pidfd_open(2), Linux 5.3), by way of the Go runtime and not of the
// loop, which may not be running.
func (p *Process) awaitExit() {
	if runtime.GOOS == "android" {
		return // before version 12 the call kills the program; package os does without, too
	}
	fd, err := unix.PidfdOpen(p.cmd.Process.Pid, 0)
	if err != nil {
		return
	}
	_ = unix.SetNonblock(fd, true) // else the runtime does not poll it
	file := os.NewFile(uintptr(fd), "pidfd")
	defer file.Close()
	conn, err := file.SyscallConn()
	if err != nil {
		return
	}
	_ = conn.Read(func(fd uintptr) bool {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
		return n != 0 || err != nil && err != unix.EINTR
	})
}
