// Package tempdir makes directories for tests as testing.T.TempDir does, and removes
// them file by file: os.RemoveAll uses a call that wine lacks.
package tempdir

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// New returns a directory that is removed, with what is in it, when the test is over.
func New(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "eddy")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		var names []string
		_ = filepath.WalkDir(dir, func(name string, _ fs.DirEntry, err error) error {
			names = append(names, name)
			return err
		})
		for _, name := range slices.Backward(names) {
			if err := os.Remove(name); err != nil && !os.IsNotExist(err) {
				t.Error(err)
			}
		}
	})
	return dir
}
