package doctest

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A command of a document, in code that stands in a line or on lines of its own.
var (
	inLine  = regexp.MustCompile("`((?:go (?:test|run|build|doc|get|-C)|ci/|bench/|echod -|\\./echod -)[^`]*)`")
	ownLine = regexp.MustCompile(`^(?:    |\$ )?((?:go (?:test|run|build|doc|get|-C) |ci/|bench/|(?:\./)?echod -).*)$`)
)

// commandsOf returns the commands of a Markdown file, without their comments.
func commandsOf(t *testing.T, file string) (commands []string) {
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	goCode := false
	for line := range strings.Lines(string(text)) {
		line = strings.TrimRight(line, "\n")
		if strings.HasPrefix(line, "```") {
			goCode = line == "```go"
		}
		if goCode {
			continue
		}
		var found []string
		if m := ownLine.FindStringSubmatch(line); m != nil {
			found = append(found, m[1])
		}
		for _, m := range inLine.FindAllStringSubmatch(line, -1) {
			found = append(found, m[1])
		}
		for _, f := range found {
			f, _, _ = strings.Cut(f, " # ")
			f = strings.NewReplacer("[", "", "]", "").Replace(strings.TrimSuffix(f, " &"))
			for c := range strings.SplitSeq(f, " && ") {
				commands = append(commands, strings.TrimSpace(c))
			}
		}
	}
	return commands
}

// TestCommands runs what the documents tell people to run, or where that takes long, as much
// of it as shows that its names and flags are right.
func TestCommands(t *testing.T) {
	t.Chdir("../..")
	echod := filepath.Join(t.TempDir(), "echod")
	out, err := exec.Command("go", "build", "-o", echod, "./cmd/echod").CombinedOutput()
	require.NoError(t, err, "%s", out)
	files := []string{"README.md", "CONTRIBUTING.md", "SECURITY.md", "examples/README.md", "bench/README.md", "bench/RESULTS.md"}
	for _, pattern := range []string{"docs/*.md", "docs/guides/*.md"} {
		more, err := filepath.Glob(pattern)
		require.NoError(t, err)
		files = append(files, more...)
	}
	checked := map[string]bool{}
	for _, file := range files {
		for _, command := range commandsOf(t, file) {
			if key := filepath.Dir(file) + command; !checked[key] {
				checked[key] = true
				t.Run(file+"/"+command, func(t *testing.T) { tryCommand(t, echod, filepath.Dir(file), strings.Fields(command)) })
			}
		}
	}
	require.Greater(t, len(checked), 30)
}

// placeholder is a word that the reader replaces.
var placeholder = regexp.MustCompile(`^(\./)?(N|NAME|PACKAGE|TARGET)$`)

// tryCommand tries a command that a document in dir has.
func tryCommand(t *testing.T, echod, dir string, args []string) {
	for i, arg := range args {
		if placeholder.MatchString(arg) {
			args[i] = "1"
		}
	}
	switch {
	case args[0] != "go" && strings.HasSuffix(args[0], "echod"):
		run(t, ".", echod, append(args[1:], "-h")...)
	case args[0] != "go":
		_, err := os.Stat(args[0])
		require.NoError(t, err)
	case args[1] == "get":
		mod, err := os.ReadFile("go.mod")
		require.NoError(t, err)
		require.Contains(t, string(mod), "module "+args[2]+"\n")
	case args[1] == "-C":
		runsIn(t, args[2], args[4:])
	case args[1] == "run" && args[2] == "./cmd/echod":
		run(t, ".", echod, append(args[3:], "-h")...)
	case args[1] == "run" && dir == "examples":
		runsIn(t, dir, args[2:])
	case args[1] == "test" && dir == "examples":
	case args[1] == "test":
		lists(t, args[2:])
	case args[1] == "doc" && len(args) == 2: // as the text says, of some package
	case args[1] == "doc":
		run(t, ".", "go", args[1:]...)
	case args[1] == "build":
		run(t, ".", "go", append([]string{"build", "-o", os.DevNull}, args[2:]...)...)
	default:
		require.Fail(t, "what is it?", "%v", args)
	}
}

// run runs a command that ends at once.
func run(t *testing.T, dir, name string, args ...string) string {
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	return string(out)
}

// lists looks whether the tests or benchmarks of a go test command are there, and its flags.
func lists(t *testing.T, args []string) {
	var list []string
	pattern := "."
	for i := 0; i < len(args); i++ {
		switch args[i] {
		case "-run", "-bench":
			i++
			if args[i] != "xxx" { // the pattern that means no test
				pattern = args[i]
			}
		case "-v":
		default:
			if args[i] != "1" || i > 0 && strings.HasPrefix(args[i-1], "-") {
				list = append(list, args[i])
			}
		}
	}
	if pattern == "." && !slices.ContainsFunc(list, func(arg string) bool { return strings.HasPrefix(arg, "-s") }) {
		return // all tests
	}
	names := run(t, ".", "go", append([]string{"test", "-list", pattern}, list...)...)
	require.Regexp(t, `(?m)^(Test|Benchmark)`, names)
}

// runsIn looks whether a program of another module is there, and its flags.
func runsIn(t *testing.T, module string, args []string) {
	sources, err := filepath.Glob(filepath.Join(module, args[0], "*.go"))
	require.NoError(t, err)
	require.NotEmpty(t, sources, "no program in %s/%s", module, args[0])
	var code strings.Builder
	for _, source := range sources {
		text, err := os.ReadFile(source)
		require.NoError(t, err)
		code.Write(text)
	}
	for _, arg := range args[1:] {
		if name, isFlag := strings.CutPrefix(arg, "-"); isFlag {
			require.Regexp(t, `flag\.\w+\("`+name+`"`, code.String(), "%s has no flag %s", args[0], arg)
		}
	}
}
