package socket

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// One call reads no more than a loop may be held for.
func TestReadPipeIsBounded(t *testing.T) {
	file := filepath.Join(t.TempDir(), "long")
	require.NoError(t, os.WriteFile(file, make([]byte, maxReceived+1), 0o600))
	f, err := os.Open(file)
	require.NoError(t, err)
	defer f.Close()
	p := make([]byte, 2*maxReceived)
	for _, want := range []int{maxReceived, 1, 0} {
		n, err := ReadPipe(int(f.Fd()), p)
		require.NoError(t, err)
		require.Equal(t, want, n)
	}
}

func TestSendFileGoesOnFromItsOffset(t *testing.T) {
	file := filepath.Join(t.TempDir(), "short")
	require.NoError(t, os.WriteFile(file, []byte("abcdef"), 0o600))
	f, err := os.Open(file)
	require.NoError(t, err)
	defer f.Close()
	to, sink := unixPair(t)
	for _, want := range []int{4, 2, 0} {
		n, err := SendFile(to, int(f.Fd()), 4)
		require.NoError(t, err)
		require.Equal(t, want, n)
	}
	got := make([]byte, 10)
	n, err := unix.Read(sink, got)
	require.NoError(t, err)
	require.Equal(t, "abcdef", string(got[:n]))
	_, err = SendFile(-1, int(f.Fd()), 4)
	require.Equal(t, unix.EBADF, err)
}

func TestNamesWithFiles(t *testing.T) {
	for name, want := range map[string]bool{"": false, "@abstract": false, "/a": true, "a@": true} {
		require.Equal(t, want, hasFile(name), name)
	}
}
