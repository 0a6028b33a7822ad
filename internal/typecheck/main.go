// Command typecheck checks the types of every package and test of the module
// for the target that GOOS and GOARCH name.
//
// It reads the standard library as source, without function bodies, and
// compiles nothing. A target takes a second or two, where go vet from an empty
// cache compiles the standard library for it first.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/build"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// listed is a package as go list -json tells it.
type listed struct {
	ImportPath string
	Dir        string
	GoFiles    []string
	ImportMap  map[string]string // of an import as written, where it differs
	Module     *struct{ Main bool }
	Error      *struct{ Err string }
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	list := exec.Command("go", "list", "-e", "-deps", "-test",
		"-json=ImportPath,Dir,GoFiles,ImportMap,Module,Error", "./...")
	list.Env = append(os.Environ(), "CGO_ENABLED=0")
	list.Stderr = os.Stderr
	out, err := list.StdoutPipe()
	if err != nil {
		return err
	}
	if err := list.Start(); err != nil {
		return err
	}
	c := checker{fset: token.NewFileSet(), done: map[string]*types.Package{"unsafe": types.Unsafe}}
	for decoder := json.NewDecoder(out); ; { // what is imported comes first
		var p listed
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return err
		}
		c.check(&p)
	}
	if err := list.Wait(); err != nil {
		return err
	}
	if c.own == 0 {
		return errors.New("typecheck: no package was checked")
	}
	return errors.Join(c.errs...)
}

type checker struct {
	fset *token.FileSet
	done map[string]*types.Package // by ImportPath
	own  int                       // packages of the module itself
	errs []error
}

func (c *checker) check(p *listed) {
	// The main package of a test is generated, and not written yet.
	if p.ImportPath == "unsafe" || strings.HasSuffix(p.ImportPath, ".test") {
		return
	}
	own := p.Module != nil && p.Module.Main
	failed := func(err error) {
		if own {
			c.errs = append(c.errs, err)
		}
	}
	if p.Error != nil {
		failed(errors.New(p.Error.Err))
	}
	var files []*ast.File
	for _, name := range p.GoFiles {
		file, err := parser.ParseFile(c.fset, filepath.Join(p.Dir, name), nil, parser.SkipObjectResolution)
		if err != nil {
			failed(err)
			continue
		}
		files = append(files, file)
	}
	if own {
		c.own++
	}
	config := types.Config{
		Importer:         importer{c.done, p.ImportMap},
		IgnoreFuncBodies: !own,
		Sizes:            types.SizesFor("gc", build.Default.GOARCH),
		Error:            failed,
	}
	path, _, _ := strings.Cut(p.ImportPath, " ") // "p [p.test]" is p with its tests
	c.done[p.ImportPath], _ = config.Check(path, c.fset, files, nil)
}

// importer finds what was checked before.
type importer struct {
	done map[string]*types.Package
	as   map[string]string
}

func (i importer) Import(path string) (*types.Package, error) {
	if as, ok := i.as[path]; ok {
		path = as
	}
	if p := i.done[path]; p != nil {
		return p, nil
	}
	return nil, fmt.Errorf("typecheck: %s was not listed", path)
}
