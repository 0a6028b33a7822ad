//go:build unix

package main

import (
	"os/exec"
	"syscall"
)

// killGroup has all that cmd starts end with it when its time is over: a test may run
// programs of its own, and one that hangs would be in the way of what comes.
func killGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
}
