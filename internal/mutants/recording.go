package main

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// recordings keeps what tests reach for later runs with the same program, in the user's
// cache: finding that out takes as long as trying many mutants. It has a file for each
// test, so that a run that is cut short has done something for the next.
type recordings struct{ dir string }

// recording is what a file has.
type recording struct {
	Took    time.Duration
	Reaches []int
}

// keepRecordings returns where those of the tests in program are. The program has all
// that they depend on, the numbers of the mutants too.
func keepRecordings(cache, program string) (recordings, error) {
	f, err := os.Open(program)
	if err != nil {
		return recordings{}, err
	}
	defer f.Close()
	hash := sha256.New()
	if _, err := io.Copy(hash, f); err != nil {
		return recordings{}, err
	}
	r := recordings{filepath.Join(cache, fmt.Sprintf("%x", hash.Sum(nil)[:8]))}
	return r, os.MkdirAll(r.dir, 0o700)
}

// load fills in what an earlier run has found out, if one has.
func (r recordings) load(t *test) bool {
	var found recording
	text, err := os.ReadFile(filepath.Join(r.dir, t.name))
	if err != nil || json.Unmarshal(text, &found) != nil {
		return false
	}
	t.took, t.reaches = found.Took, map[int]bool{}
	for _, n := range found.Reaches {
		t.reaches[n] = true
	}
	return true
}

func (r recordings) save(t *test) error {
	found := recording{Took: t.took}
	for n := range t.reaches {
		found.Reaches = append(found.Reaches, n)
	}
	text, err := json.Marshal(found)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(r.dir, t.name), text, 0o600)
}

// forgetOld removes what no run has looked for in a week: a changed program has another name.
func forgetOld(cache string, now time.Time) {
	entries, _ := os.ReadDir(cache) // what stays does no harm
	for _, e := range entries {
		if info, err := e.Info(); err == nil && now.Sub(info.ModTime()) > 7*24*time.Hour {
			_ = os.RemoveAll(filepath.Join(cache, e.Name()))
		}
	}
}
