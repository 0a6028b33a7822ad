package doctest

import (
	"fmt"
	"go/ast"
	"go/doc"
	"go/doc/comment"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestCommentsCompile checks the code in the documentation of all packages.
func TestCommentsCompile(t *testing.T) {
	t.Chdir("../..")
	checker, err := NewChecker()
	require.NoError(t, err)
	found := map[string]int{}
	for _, dir := range []string{"poller", "ioloop", "iosync", "iostream", "iostreamtest", "tcp", "process"} {
		for _, text := range comments(t, dir) {
			for _, block := range new(comment.Parser).Parse(text).Content {
				if code, ok := block.(*comment.Code); ok {
					found[dir]++
					s := Snippet{File: dir, Line: found[dir], Code: code.Text}
					require.NoError(t, checker.Check(s), "code block %d of package %s:\n%s", s.Line, dir, code.Text)
				}
			}
		}
	}
	require.Len(t, found, 7, "each package comment shows how to begin")
}

// comments returns the documentation of a package and of what it exports.
func comments(t *testing.T, dir string) (texts []string) {
	names, err := filepath.Glob(filepath.Join(dir, "*.go"))
	require.NoError(t, err)
	fset := token.NewFileSet()
	var files []*ast.File
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(fset, name, nil, parser.ParseComments|parser.SkipObjectResolution)
		require.NoError(t, err)
		files = append(files, file)
	}
	p, err := doc.NewFromFiles(fset, files, fmt.Sprintf("github.com/eddyloop/eddy/%s", dir))
	require.NoError(t, err)
	texts = append(texts, p.Doc)
	functions := func(list []*doc.Func) {
		for _, f := range list {
			texts = append(texts, f.Doc)
		}
	}
	values := func(list []*doc.Value) {
		for _, v := range list {
			texts = append(texts, v.Doc)
		}
	}
	functions(p.Funcs)
	values(append(p.Consts, p.Vars...))
	for _, typ := range p.Types {
		texts = append(texts, typ.Doc)
		functions(append(typ.Funcs, typ.Methods...))
		values(append(typ.Consts, typ.Vars...))
	}
	return texts
}
