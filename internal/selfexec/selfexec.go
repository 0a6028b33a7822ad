// Package selfexec is for tests that need a second process: it runs the test's
// own program again.
package selfexec

import (
	"os"
	"os/exec"
)

// Command returns a command that runs this program, in its environment and env.
// A program that runs under an emulator cannot be executed by its name alone:
// EDDY_EMULATOR says which (see ci/matrix).
func Command(env string, args ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], args...)
	if emulator := os.Getenv("EDDY_EMULATOR"); emulator != "" {
		cmd = exec.Command(emulator, append([]string{os.Args[0]}, args...)...)
	}
	cmd.Env = append(os.Environ(), env)
	return cmd
}
