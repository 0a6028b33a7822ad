// Apidump prints what packages export: each declaration on its own, without
// comments, bodies and what is not exported, in order. ci/api compares it with the
// record in docs/api.
//
//	apidump DIRECTORY...
package main

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/build"
	"go/parser"
	"go/printer"
	"go/token"
	"log"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

func main() {
	log.SetFlags(0)
	for _, dir := range os.Args[1:] {
		lines, err := exports(dir)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(strings.Join(lines, "\n"))
	}
}

// exports returns the exported declarations of the package in dir as it is on
// linux/amd64, whatever the host.
func exports(dir string) (decls []string, err error) {
	context := build.Default
	context.GOOS, context.GOARCH, context.CgoEnabled = "linux", "amd64", false
	pkg, err := context.ImportDir(dir, 0)
	if err != nil {
		return nil, err
	}
	for _, name := range pkg.GoFiles {
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, filepath.Join(dir, name), nil, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		ast.FileExports(file)
		for _, decl := range file.Decls {
			for _, one := range split(decl) {
				var b bytes.Buffer
				if err := printer.Fprint(&b, set, one); err != nil {
					return nil, err
				}
				decls = append(decls, b.String())
			}
		}
	}
	slices.Sort(decls)
	return decls, nil
}

// split takes a declaration apart, so that each name can be looked for by itself. A
// block of constants stays whole, for iota.
func split(decl ast.Decl) []ast.Decl {
	switch d := decl.(type) {
	case *ast.FuncDecl:
		if d.Recv != nil && !receiver(d).IsExported() {
			return nil
		}
		d.Body = nil
	case *ast.GenDecl:
		if d.Tok == token.IMPORT {
			return nil
		}
		if d.Tok == token.CONST {
			return []ast.Decl{d}
		}
		var all []ast.Decl
		for _, spec := range d.Specs {
			all = append(all, &ast.GenDecl{Tok: d.Tok, Specs: []ast.Spec{spec}})
		}
		return all
	}
	return []ast.Decl{decl}
}

// receiver returns the name of the type that a method is of.
func receiver(d *ast.FuncDecl) *ast.Ident {
	t := d.Recv.List[0].Type
	for {
		switch of := t.(type) {
		case *ast.StarExpr:
			t = of.X
		case *ast.IndexExpr:
			t = of.X
		case *ast.IndexListExpr:
			t = of.X
		case *ast.Ident:
			return of
		default:
			log.Fatalf("apidump: a method of %T", t)
		}
	}
}
