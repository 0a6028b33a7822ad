package main

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/eddyloop/eddy/examples/internal/trial"
)

func TestTellsWhatHappens(t *testing.T) {
	dir := t.TempDir()
	out, in := io.Pipe()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, in, 50*time.Millisecond, []string{dir}) }()
	trial.Expect(t, out, "0 events\n")
	a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	require.NoError(t, os.WriteFile(a, []byte("hello"), 0o600))
	require.NoError(t, os.Rename(a, b))
	require.NoError(t, os.Remove(b))
	for _, line := range []string{"created " + a, "written " + a, "moved from " + a, "moved to " + b, "deleted " + b, "5 events"} {
		trial.Expect(t, out, line+"\n")
	}
	cancel()
	go io.Copy(io.Discard, out)
	require.ErrorIs(t, <-ended, context.Canceled)
}

func TestFolderThatIsNone(t *testing.T) {
	require.ErrorIs(t, run(t.Context(), io.Discard, time.Second, []string{"/none/at/all"}), os.ErrNotExist)
}
