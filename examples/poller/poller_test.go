//go:build unix

package main

import (
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/eddyloop/eddy/examples/internal/trial"
)

func TestFollow(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, name := range []string{"a", "b"} {
		require.NoError(t, unix.Mkfifo(name, 0o600))
	}
	out, in := io.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- follow(in, []string{"a", "b"}) }()
	a, err := os.OpenFile("a", os.O_WRONLY, 0) // waits for the reader
	require.NoError(t, err)
	b, err := os.OpenFile("b", os.O_WRONLY, 0)
	require.NoError(t, err)
	for _, w := range []*os.File{a, b, a} {
		_, err := io.WriteString(w, "hello")
		require.NoError(t, err)
		require.Equal(t, w.Name()+`: "hello"`+"\n", trial.Expect(t, out, "\n"))
	}
	require.NoError(t, a.Close())
	_, err = io.WriteString(b, "still here")
	require.NoError(t, err)
	require.Equal(t, `b: "still here"`+"\n", trial.Expect(t, out, "\n"))
	require.NoError(t, b.Close())
	require.NoError(t, <-ended)
}

func TestWhatCannotBeFollowed(t *testing.T) {
	require.ErrorIs(t, follow(io.Discard, []string{filepath.Join(t.TempDir(), "none")}), os.ErrNotExist)
}
