package process_test

import (
	"os"
	"testing"

	"github.com/eddyloop/eddy/internal/sandbox"
	"github.com/eddyloop/eddy/internal/selfexec"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// answers are those of kernels before 5.3 and of strict sandboxes.
var answers = map[string]unix.Errno{"ENOSYS": unix.ENOSYS, "EPERM": unix.EPERM}

func init() {
	if answer, ok := answers[os.Getenv(withoutPidfd)]; ok {
		if err := sandbox.Forbid(unix.SYS_PIDFD_OPEN, answer); err != nil {
			os.Exit(noSandbox)
		}
	}
}

const noSandbox = 77

// TestWithoutPidfd runs the tests once more where pidfd_open fails.
func TestWithoutPidfd(t *testing.T) {
	for name := range answers {
		t.Run(name, func(t *testing.T) {
			cmd := selfexec.Command(withoutPidfd+"="+name, "-test.run=^Test", "-test.skip=^TestWithoutPidfd$")
			out, err := cmd.CombinedOutput()
			if cmd.ProcessState.ExitCode() == noSandbox {
				t.Skip("no seccomp here")
			}
			require.NoError(t, err, "%s", out)
		})
	}
}
