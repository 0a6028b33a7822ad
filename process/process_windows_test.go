package process_test

import (
	"errors"
	"os"
	"os/exec"
	"testing"

	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/process"
	"github.com/stretchr/testify/require"
)

// TestMain is the child too: it ends as it is told.
func TestMain(m *testing.M) {
	if os.Getenv("PROCESS_TEST_EXIT") != "" {
		os.Exit(7)
	}
	os.Exit(m.Run())
}

func child(t *testing.T) *exec.Cmd {
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), "PROCESS_TEST_EXIT=1")
	return cmd
}

// Pipes can't be watched there, and it is said before anything runs.
func TestPipesAreUnsupported(t *testing.T) {
	loop, err := ioloop.New(ioloop.Config{})
	require.NoError(t, err)
	defer loop.Close()
	for _, pipes := range []process.Pipes{process.Stdin, process.Stdout, process.Stderr} {
		cmd := child(t)
		_, err = process.Start(loop, cmd, pipes, nil)
		require.ErrorIs(t, err, errors.ErrUnsupported)
		require.Nil(t, cmd.Process)
	}
}

// A process without pipes is waited for without holding the loop.
func TestWaitWithoutPipes(t *testing.T) {
	loop, err := ioloop.New(ioloop.Config{})
	require.NoError(t, err)
	defer loop.Close()
	var waited error
	require.NoError(t, loop.Go(func(task *ioloop.Task) {
		defer loop.Stop()
		p, err := process.Start(loop, child(t), 0, nil)
		if waited = err; err == nil {
			waited = p.Wait(task)
		}
	}))
	require.NoError(t, loop.Run(t.Context()))
	var exit *exec.ExitError
	require.ErrorAs(t, waited, &exit)
	require.Equal(t, 7, exit.ExitCode())
}
