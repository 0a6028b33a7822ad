//go:build unix

package main

import (
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// What a test has started ends with the test, when that takes too long.
func TestWhatHangsEndsWhole(t *testing.T) {
	dir := t.TempDir()
	fifo, program := filepath.Join(dir, "fifo"), filepath.Join(dir, "program")
	require.NoError(t, unix.Mkfifo(fifo, 0o600))
	require.NoError(t, os.WriteFile(program, []byte("#!/bin/sh\nexec 3>fifo\nsleep 1000 &\nwait\n"), 0o700))
	r, err := os.OpenFile(fifo, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	require.NoError(t, err)
	defer r.Close()
	_, err = (&test{program: program, dir: dir}).run(t.Context(), 300*time.Millisecond, "X=")
	require.Error(t, err)
	require.NoError(t, r.SetReadDeadline(time.Now().Add(time.Minute)))
	_, err = r.Read(make([]byte, 1))
	require.Equal(t, io.EOF, err, "nobody has it open to write any more")
}
