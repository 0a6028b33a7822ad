package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/eddyloop/eddy/internal/wine"
	"github.com/stretchr/testify/require"
)

const original = `package main

import "os"

func main() {
	n := len(os.Args)
	if n > 1 && n < 3 {
		println("one")
	}
	n++
	println(n)
}
`

// TestMutants runs a small program as each of its mutants. A lost parenthesis or a wrong
// place would not compile, or print something else.
func TestMutants(t *testing.T) {
	wine.SkipPrograms(t)
	root, err := filepath.Abs("../..")
	require.NoError(t, err)
	within := filepath.Join("internal", "mutants", "testdata") // of the module, for the import; ./... leaves it out
	require.NoError(t, os.MkdirAll(filepath.Join(root, within), 0o700))
	defer os.Remove(filepath.Join(root, within))
	dir, err := os.MkdirTemp(filepath.Join(root, within), "mutant")
	require.NoError(t, err)
	defer os.RemoveAll(dir)
	file := filepath.Join(within, filepath.Base(dir), "main.go")
	require.NoError(t, os.WriteFile(filepath.Join(root, file), []byte(original), 0o600))
	in := &instrumenter{root: root, pkg: "main"}
	changed, err := in.instrument([]string{file})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(root, file), changed[file], 0o600))
	program := filepath.Join(t.TempDir(), "program")
	build := exec.Command("go", "build", "-o", program, "./"+filepath.Dir(file))
	build.Dir = root
	out, err := build.CombinedOutput()
	require.NoError(t, err, "%s\n%s", out, changed[file])

	run := func(mutant string) string {
		cmd := exec.Command(program, "x")
		cmd.Env = append(os.Environ(), "EDDY_MUTANT="+mutant)
		out, err := cmd.CombinedOutput()
		require.NoError(t, err)
		return string(out)
	}
	require.Equal(t, "one\n3\n", run("-1"))
	got := map[string]string{}
	for _, m := range in.mutants {
		key := strings.TrimPrefix(m.key(), file+" main: ")
		got[key] = run(strconv.Itoa(m.number))
	}
	require.Equal(t, map[string]string{
		"n > 1 -> negated":           "3\n",
		"n > 1 -> boundary":          "one\n3\n", // 2 is on no boundary
		"n < 3 -> negated":           "3\n",
		"n < 3 -> boundary":          "one\n3\n",
		`println("one") -> left out`: "3\n",
		"n++ -> left out":            "one\n2\n",
		"println(n) -> left out":     "one\n",
	}, got)
}
