package doctest

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestSnippetsCompile checks every Go snippet of the README and of the docs.
func TestSnippetsCompile(t *testing.T) {
	t.Chdir("../..")
	docs, err := filepath.Glob("docs/*.md")
	require.NoError(t, err)
	guides, err := filepath.Glob("docs/guides/*.md")
	require.NoError(t, err)
	checker, err := NewChecker()
	require.NoError(t, err)
	found := 0
	for _, file := range slices.Concat(docs, guides, []string{"README.md"}) {
		snippets, err := Read(file)
		require.NoError(t, err)
		for _, s := range snippets {
			found++
			require.NoError(t, checker.Check(s), "%s:%d", s.File, s.Line)
		}
	}
	require.NotZero(t, found)
}

func TestCheck(t *testing.T) {
	t.Chdir("../..")
	checker, err := NewChecker()
	require.NoError(t, err)
	for code, ok := range map[string]bool{
		"s.Close()":                                 true,
		"n, err := s.Write(request)":                true, // n is for the prose
		"s.Hello()":                                 false,
		"package main\n\nfunc main() {}":            true,
		"func f(s *iostream.Stream) { s.Close() }":  true,
		"func f(s *iostream.Stream) { s.Close(1) }": false,
		"if {": false,
	} {
		require.Equal(t, ok, checker.Check(Snippet{Code: code}) == nil, code)
	}
}

func TestRead(t *testing.T) {
	file := filepath.Join(t.TempDir(), "x.md")
	require.NoError(t, os.WriteFile(file, []byte("a\n<!-- snippet: x -->\n```go\none\ntwo\n```\n\n```go\nthree\n```\n```\nfour\n```\n"), 0o600))
	snippets, err := Read(file)
	require.NoError(t, err)
	require.Equal(t, []Snippet{{file, 3, "x", "one\ntwo\n"}, {file, 8, "", "three\n"}}, snippets)
}
