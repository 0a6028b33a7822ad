package main

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"os"
	"path/filepath"
	"sort"
	"strings"
)

// mutant is one change of one place. All mutants of a package are compiled into one
// program, each behind a question whether it is the present one.
type mutant struct {
	number int
	pkg    string
	file   string // within the module
	line   int
	fn     string
	source string // the text that is changed
	change string // what it becomes
}

// key names a mutant independently of line numbers.
func (m mutant) key() string {
	return fmt.Sprintf("%s %s: %s -> %s", m.file, m.fn, m.source, m.change)
}

// edit is an insertion into a file.
type edit struct {
	offset int
	text   string
	order  int // of insertions at one place
}

// instrumenter finds the mutants of a package and writes the program that has them all.
type instrumenter struct {
	root    string
	pkg     string
	fset    *token.FileSet
	info    *types.Info
	mutants []mutant
	next    int

	src   []byte // of the present file
	file  string
	fn    string
	edits []edit
}

// instrument returns the changed files of a package by their paths.
func (in *instrumenter) instrument(files []string) (map[string][]byte, error) {
	in.fset = token.NewFileSet()
	var parsed []*ast.File
	for _, file := range files {
		f, err := parser.ParseFile(in.fset, filepath.Join(in.root, file), nil, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		parsed = append(parsed, f)
	}
	in.info = &types.Info{Types: map[ast.Expr]types.TypeAndValue{}}
	conf := types.Config{Importer: importer.ForCompiler(in.fset, "source", nil), Error: func(error) {}}
	_, _ = conf.Check(in.pkg, in.fset, parsed, in.info) // what has no type is left alone
	changed := map[string][]byte{}
	for i, f := range parsed {
		src, err := os.ReadFile(filepath.Join(in.root, files[i]))
		if err != nil {
			return nil, err
		}
		in.src, in.file, in.edits = src, files[i], nil
		in.walkFile(f)
		if len(in.edits) > 0 {
			changed[files[i]] = in.apply(f)
		}
	}
	return changed, nil
}

func (in *instrumenter) walkFile(f *ast.File) {
	for _, decl := range f.Decls {
		fn, ok := decl.(*ast.FuncDecl)
		if !ok || fn.Body == nil {
			continue
		}
		in.fn = fn.Name.Name
		ast.Inspect(fn.Body, func(n ast.Node) bool {
			in.visit(n)
			return true
		})
	}
}

func (in *instrumenter) visit(n ast.Node) {
	switch n := n.(type) {
	case *ast.IfStmt:
		in.negate(n.Cond)
	case *ast.ForStmt:
		in.negate(n.Cond)
	case *ast.BinaryExpr:
		switch n.Op {
		case token.LAND, token.LOR:
			in.negate(n.X)
			in.negate(n.Y)
		case token.LSS, token.LEQ, token.GTR, token.GEQ:
			in.moveBoundary(n)
		}
	case *ast.ReturnStmt:
		for _, e := range n.Results {
			in.negate(e)
		}
	case *ast.SwitchStmt:
		if n.Tag == nil {
			for _, c := range n.Body.List {
				for _, e := range c.(*ast.CaseClause).List {
					in.negate(e)
				}
			}
		}
		in.statements(n.Body.List)
	case *ast.BlockStmt:
		in.statements(n.List)
	case *ast.CaseClause:
		in.statements(n.Body)
	case *ast.CommClause:
		in.statements(n.Body)
	}
}

func (in *instrumenter) statements(list []ast.Stmt) {
	for _, stmt := range list {
		switch s := stmt.(type) {
		case *ast.ExprStmt:
			if call, ok := s.X.(*ast.CallExpr); ok {
				if id, ok := call.Fun.(*ast.Ident); !ok || id.Name != "panic" {
					in.drop(stmt)
				}
			}
		case *ast.AssignStmt:
			if s.Tok != token.DEFINE {
				in.drop(stmt)
			}
		case *ast.IncDecStmt, *ast.DeferStmt, *ast.GoStmt:
			in.drop(stmt)
		}
	}
}

// negate has the mutant take a condition for its opposite.
func (in *instrumenter) negate(e ast.Expr) {
	if e == nil {
		return
	}
	t, ok := in.info.Types[e]
	if !ok || t.Value != nil || t.Type != types.Typ[types.Bool] && t.Type != types.Typ[types.UntypedBool] {
		return
	}
	if b, ok := e.(*ast.BinaryExpr); ok && (b.Op == token.LAND || b.Op == token.LOR) {
		return // its operands are negated one by one
	}
	n := in.add(e, "negated")
	in.insert(e.Pos(), "((", -len(in.edits))
	in.insert(e.End(), fmt.Sprintf(") != mutantactive.Is(%d))", n), len(in.edits))
}

// moveBoundary has the mutant treat equal operands the other way.
func (in *instrumenter) moveBoundary(e *ast.BinaryExpr) {
	if !in.simple(e.X) || !in.simple(e.Y) {
		return
	}
	n := in.add(e, "boundary")
	x, y := in.text(e.X), in.text(e.Y)
	in.insert(e.Pos(), "((", -len(in.edits))
	in.insert(e.End(), fmt.Sprintf(") != (mutantactive.Is(%d) && (%s) == (%s)))", n, x, y), len(in.edits))
}

// drop has the mutant leave out a statement.
func (in *instrumenter) drop(s ast.Stmt) {
	n := in.add(s, "left out")
	in.insert(s.Pos(), fmt.Sprintf("if !mutantactive.Is(%d) {", n), -len(in.edits))
	in.insert(s.End(), "}", len(in.edits))
}

// simple reports whether e may be evaluated twice.
func (in *instrumenter) simple(e ast.Expr) bool {
	ok := true
	ast.Inspect(e, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CallExpr:
			id, isIdent := n.Fun.(*ast.Ident)
			ok = ok && isIdent && (id.Name == "len" || id.Name == "cap" || id.Name == "int" || id.Name == "int64" || id.Name == "min" || id.Name == "max")
		case *ast.FuncLit:
			ok = false
		case *ast.UnaryExpr:
			ok = ok && n.Op != token.ARROW
		}
		return ok
	})
	return ok
}

func (in *instrumenter) add(n ast.Node, change string) int {
	number := in.next
	in.next++
	source := strings.Join(strings.Fields(in.text(n)), " ")
	if len(source) > 100 {
		source = source[:100] + "..."
	}
	in.mutants = append(in.mutants, mutant{number: number, pkg: in.pkg, file: in.file,
		line: in.fset.Position(n.Pos()).Line, fn: in.fn, source: source, change: change})
	return number
}

func (in *instrumenter) text(n ast.Node) string {
	return string(in.src[in.fset.Position(n.Pos()).Offset:in.fset.Position(n.End()).Offset])
}

func (in *instrumenter) insert(pos token.Pos, text string, order int) {
	in.edits = append(in.edits, edit{in.fset.Position(pos).Offset, text, order})
}

// apply writes the file with its insertions. Of those at one place, what closes
// comes first, the inner before the outer; what opens is the other way round.
func (in *instrumenter) apply(f *ast.File) []byte {
	in.insert(f.Name.End(), "; import mutantactive \"github.com/eddyloop/eddy/internal/mutants/active\"", 0)
	sort.SliceStable(in.edits, func(i, j int) bool {
		a, b := in.edits[i], in.edits[j]
		if a.offset != b.offset {
			return a.offset < b.offset
		}
		return nested(a, b)
	})
	var out bytes.Buffer
	at := 0
	for _, e := range in.edits {
		out.Write(in.src[at:e.offset])
		out.WriteString(e.text)
		at = e.offset
	}
	out.Write(in.src[at:])
	return out.Bytes()
}

// nested orders insertions at one place. An outer node is visited before an inner one,
// so among openings the first made stands first, and among closings the last made.
func nested(a, b edit) bool {
	if opens(a) != opens(b) {
		return !opens(a)
	}
	if opens(a) {
		return a.order > b.order // -0, -2, -4: the first made has the greatest
	}
	return a.order > b.order
}

func opens(e edit) bool { return e.order <= 0 }
