// Package doctest finds the Go code of Markdown files and checks it: every snippet
// has to compile, and those that are servers are run. Its tests do that for
// the project's README and docs.
package doctest

import (
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"maps"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
)

// A Snippet is a fenced block of Go code.
type Snippet struct {
	File string
	Line int    // of the fence
	Name string // from a comment <!-- snippet: NAME --> on the line before
	Code string
}

var named = regexp.MustCompile(`^<!-- snippet: (\S+) -->$`)

// Read returns the Go snippets of a Markdown file.
func Read(file string) ([]Snippet, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var snippets []Snippet
	var code []string
	inside, name := false, ""
	for i, line := range strings.Split(string(text), "\n") {
		switch {
		case !inside && line == "```go":
			inside, code = true, nil
			snippets = append(snippets, Snippet{File: file, Line: i + 1, Name: name})
		case inside && line == "```":
			inside, name = false, ""
			snippets[len(snippets)-1].Code = strings.Join(code, "\n") + "\n"
		case inside:
			code = append(code, line)
		case named.MatchString(line):
			name = named.FindStringSubmatch(line)[1]
		case line != "":
			name = ""
		}
	}
	return snippets, nil
}

// context is what a snippet that is no whole program may take for granted.
const context = `(ctx context.Context, loop *ioloop.Loop, group *ioloop.Group, srv *tcp.Server,
	s, client, backend *iostream.Stream, t *ioloop.Task, cert tls.Certificate, handler http.Handler,
	request, lines, reply []byte, line iostream.Frame, re *regexp.Regexp, fd int, web *tcp.NetListener, newServer func() *tcp.Server,
	answer func(msg []byte, err error) bool, cmd *exec.Cmd, o *struct{ mu sync.Mutex; waiter *ioloop.Waiter }, err error)`

var packages = map[string]string{
	"bufio": "bufio", "binary": "encoding/binary", "bytes": "bytes", "context": "context", "errors": "errors", "exec": "os/exec",
	"expvar": "expvar", "fmt": "fmt", "http": "net/http", "io": "io", "ioloop": "github.com/eddyloop/eddy/ioloop",
	"iostream": "github.com/eddyloop/eddy/iostream", "iosync": "github.com/eddyloop/eddy/iosync", "iostreamtest": "github.com/eddyloop/eddy/iostreamtest",
	"log": "log", "net": "net", "netip": "net/netip", "os": "os", "poller": "github.com/eddyloop/eddy/poller",
	"process": "github.com/eddyloop/eddy/process", "regexp": "regexp", "signal": "os/signal", "slog": "log/slog",
	"strconv": "strconv", "strings": "strings", "sync": "sync", "syscall": "syscall",
	"tcp": "github.com/eddyloop/eddy/tcp", "testing": "testing", "time": "time", "tls": "crypto/tls",
}

// Code that returns an error, and code that returns nothing.
var (
	fails = regexp.MustCompile(`(?m)^\t{0,2}return \S`)
	bare  = regexp.MustCompile(`(?m)^\t*return$`)
)

var function = regexp.MustCompile(`(?m)^(func|type|import) `)

// Program returns the snippet as a file of Go code: as it stands if it is one, or within a
// function, or beside one if it has declarations.
func (s Snippet) Program() string {
	if strings.HasPrefix(s.Code, "package ") {
		return s.Code
	}
	body := s.Code
	if !function.MatchString(body) {
		body = "func snippet() {\n{\n" + s.Code + "\n}\n}\n"
		if fails.MatchString(s.Code) && !bare.MatchString(s.Code) {
			body = "func snippet() error {\n{\n" + s.Code + "\n}\nreturn nil\n}\n"
		}
	}
	body = strings.Replace(body, "func snippet()", "func snippet"+context, 1)
	return "package main\n" + imports(body) + body
}

// imports returns the import declarations for what code refers to.
func imports(code string) string {
	var list strings.Builder
	names := make([]string, 0, len(packages))
	for name := range packages {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if regexp.MustCompile(`\b` + name + `\.[A-Z]`).MatchString(code) {
			fmt.Fprintf(&list, "import %q\n", packages[name])
		}
	}
	return list.String()
}

// Checker type-checks snippets.
type Checker struct {
	fset     *token.FileSet
	importer types.Importer
}

// NewChecker returns a Checker for code within the module in the present folder. What
// snippets import is compiled first, or found in the cache.
func NewChecker() (*Checker, error) {
	args := []string{"list", "-export", "-deps", "-f", "{{.ImportPath}}\t{{.Export}}"}
	list := exec.Command("go", append(args, slices.Sorted(maps.Values(packages))...)...)
	list.Stderr = os.Stderr
	out, err := list.Output()
	if err != nil {
		return nil, err
	}
	exports := map[string]string{}
	for line := range strings.Lines(string(out)) {
		path, file, _ := strings.Cut(strings.TrimSpace(line), "\t")
		exports[path] = file
	}
	lookup := func(path string) (io.ReadCloser, error) { return os.Open(exports[path]) }
	fset := token.NewFileSet()
	return &Checker{fset: fset, importer: importer.ForCompiler(fset, "gc", lookup)}, nil
}

// Check returns what is wrong with a snippet. That it does not use what it declares is not:
// the prose around it may.
func (c *Checker) Check(s Snippet) error {
	file, err := parser.ParseFile(c.fset, fmt.Sprintf("%s:%d", s.File, s.Line), s.Program(), parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	var problems []error
	whole := strings.HasPrefix(s.Code, "package ")
	conf := types.Config{Importer: c.importer, Error: func(err error) {
		unused := !whole && strings.Contains(err.Error(), "imported and not used") // the name stands in a comment
		if !unused && !strings.Contains(err.Error(), "declared and not used") {
			problems = append(problems, err)
		}
	}}
	_, _ = conf.Check("main", c.fset, []*ast.File{file}, nil)
	return errors.Join(problems...)
}
