package regexscan

import (
	"reflect"
	"regexp/syntax"
	"slices"
	"unicode/utf8"
)

// maxVariants is the number of ways to read the text of a Regexp.
const maxVariants = 2

// compile returns the different programs that expr may stand for,
// or none if it has to be left to package regexp.
func compile(expr string) []*syntax.Prog {
	var progs []*syntax.Prog
	for _, mode := range [maxVariants]syntax.Flags{syntax.Perl, syntax.POSIX} {
		re, err := syntax.Parse(expr, mode)
		if err != nil {
			continue
		}
		normalize(re)
		prog, err := syntax.Compile(re.Simplify())
		if err != nil || slices.ContainsFunc(prog.Inst, isSurrogate) {
			return nil
		}
		if len(progs) == 0 || !reflect.DeepEqual(progs[0], prog) {
			progs = append(progs, prog)
		}
	}
	return progs
}

// normalize makes re forget where it prefers matches to end, which is no
// matter to a DFA. Without it `x*?` would be two variants: POSIX syntax reads
// it as `(x*)?`.
func normalize(re *syntax.Regexp) {
	for _, sub := range re.Sub {
		normalize(sub)
	}
	re.Flags &^= syntax.NonGreedy
	if re.Op != syntax.OpQuest {
		return
	}
	if sub := re.Sub[0]; sub.Op == syntax.OpQuest || sub.Op == syntax.OpStar {
		*re = *sub
	}
}

// isSurrogate reports whether inst is a literal that no UTF-8 can spell.
// Package regexp searches for it as U+FFFD when it starts the pattern.
func isSurrogate(inst syntax.Inst) bool {
	return len(inst.Rune) == 1 && !utf8.ValidRune(inst.Rune[0])
}
