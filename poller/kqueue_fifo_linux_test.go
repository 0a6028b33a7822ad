package poller

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/eddyloop/eddy/internal/kqueuesim"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// Whether a FIFO's writer hears of room is found out on every kernel, and nothing of the
// trial stays.
func TestTellsFIFORoom(t *testing.T) {
	dir := t.TempDir()
	_, err := os.ReadDir(dir) // the runtime opens descriptors with the first file
	require.NoError(t, err)
	trial := func(p *kqueuesim.Profile, place string) (tells, known bool) {
		t.Setenv("TMPDIR", place)
		queue, err := kqueuesim.New(p)
		require.NoError(t, err)
		q := &emulatedQueue{Queue: queue}
		defer q.close()
		free := twoFree(t)
		tells, known = tellsFIFORoom(q)
		require.Equal(t, free, twoFree(t), "a descriptor was left behind")
		return tells, known
	}
	for _, p := range kqueuesim.Profiles {
		tells, known := trial(p, dir)
		require.True(t, known, p.Name)
		require.Equal(t, !p.FIFOWritesAsReader, tells, p.Name)
		left, err := os.ReadDir(dir)
		require.NoError(t, err)
		require.Empty(t, left)

		tells, known = trial(p, filepath.Join(dir, "missing"))
		require.False(t, known)
		require.False(t, tells)
	}
}

// twoFree returns the numbers that the next two descriptors get.
func twoFree(t *testing.T) [2]int {
	t.Helper()
	first, err := unix.Dup(0)
	require.NoError(t, err)
	defer unix.Close(first)
	return [2]int{first, lowestFree(t)}
}
