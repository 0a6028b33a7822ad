package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestRecordings(t *testing.T) {
	cache := t.TempDir()
	program := filepath.Join(t.TempDir(), "program")
	require.NoError(t, os.WriteFile(program, []byte("as it was"), 0o600))
	kept, err := keepRecordings(cache, program)
	require.NoError(t, err)
	require.False(t, kept.load(&test{name: "TestOne"}))
	one := &test{name: "TestOne", took: time.Second, reaches: map[int]bool{3: true, 5: true}}
	require.NoError(t, kept.save(one))

	again, err := keepRecordings(cache, program)
	require.NoError(t, err)
	loaded := &test{name: "TestOne"}
	require.True(t, again.load(loaded))
	require.Equal(t, one, loaded)
	require.False(t, again.load(&test{name: "TestTwo"}))

	require.NoError(t, os.WriteFile(program, []byte("changed"), 0o600))
	changed, err := keepRecordings(cache, program)
	require.NoError(t, err)
	require.False(t, changed.load(&test{name: "TestOne"}))

	forgetOld(cache, time.Now())
	require.True(t, again.load(loaded))
	forgetOld(cache, time.Now().Add(8*24*time.Hour))
	require.False(t, again.load(loaded))
}
