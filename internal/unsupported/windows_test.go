//go:build windows

package unsupported_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"testing"

	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
	"github.com/eddyloop/eddy/process"
	"github.com/stretchr/testify/require"
)

// Windows has readiness of sockets alone: streams of anything else say so, and
// whoever gave a handle still has it.
func TestNoPipesOnWindows(t *testing.T) {
	l, err := ioloop.New(ioloop.Config{})
	require.NoError(t, err)
	ended := make(chan error)
	go func() { ended <- l.Run(context.Background()) }()
	defer func() {
		require.NoError(t, l.Close())
		require.NoError(t, <-ended)
	}()
	r, w, err := os.Pipe()
	require.NoError(t, err)
	defer r.Close()
	_, err = iostream.NewPipe(l, int(r.Fd()), nil)
	require.ErrorIs(t, err, errors.ErrUnsupported)
	_, err = w.WriteString("x")
	require.NoError(t, err)
	require.NoError(t, w.Close())
	_, err = iostream.NewStdio(l, nil)
	require.ErrorIs(t, err, errors.ErrUnsupported)
	_, err = process.Start(l, exec.Command(os.Args[0], "-test.run=^$"), process.Stdin|process.Stdout, nil)
	require.ErrorIs(t, err, errors.ErrUnsupported)
	p, err := process.Start(l, exec.Command(os.Args[0], "-test.run=^$"), 0, nil)
	require.NoError(t, err)
	require.NoError(t, p.Wait(context.Background()))
}
