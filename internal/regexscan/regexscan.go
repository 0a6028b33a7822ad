// Package regexscan looks for a regular expression in a buffer that grows.
//
// After every arrival a [Scanner] gives the result that re.FindIndex would
// give for the whole buffer, but it looks at each byte only once: the total
// cost is linear in the number of bytes, however small the arrivals are. Two
// things cost more: re.FindIndex, which is asked where the match ends, looks as
// far behind it as the expression makes it look; and a DFA that needs more states
// than its budget holds is built over and over, some 3 microseconds for a byte,
// under its lock.
//
// Whether there is a match is decided by a lazily built DFA over what
// package regexp/syntax makes of the pattern. Only when the DFA says yes is
// re.FindIndex asked, once, where the match ends, so that preference rules
// (greedy, non-greedy, leftmost-longest) are always those of package regexp.
package regexscan

import (
	"regexp"
	"sync"
	"sync/atomic"
)

const (
	// maxPrograms bounds the number of programs that For remembers.
	maxPrograms = 64

	// defaultBudget bounds, roughly, the bytes held by the states of one DFA.
	defaultBudget = 256 << 10
)

// A Program is a regular expression prepared for scanning.
// It may be used by several goroutines at once.
//
// A Regexp does not tell whether it was compiled with Perl or POSIX syntax,
// and the same text can mean different things in the two. When it does, the
// program holds both variants, and drops the wrong one the first time it sees
// a match that re does not see.
//
// Scanners fall back to re.FindIndex on the whole buffer, which is exact but
// not linear, if the text cannot be parsed or contains a lone surrogate
// (`\x{D800}`), whose treatment in package regexp depends on the engine used.
type Program struct {
	re       *regexp.Regexp
	literal  []byte // if not nil, what re matches; the variants are not used
	variants []*dfa
	refuted  [maxVariants]atomic.Bool
}

var programs struct {
	sync.Mutex
	m map[*regexp.Regexp]*Program
}

// For returns the program for re, which is made once and then shared for as
// long as a bounded cache keeps it.
func For(re *regexp.Regexp) *Program {
	programs.Lock()
	p := programs.m[re]
	programs.Unlock()
	if p != nil {
		return p
	}

	// Large Unicode classes take milliseconds: do not make others wait.
	p = newProgram(re, re.String(), defaultBudget)

	programs.Lock()
	defer programs.Unlock()
	if first := programs.m[re]; first != nil {
		return first
	}
	if programs.m == nil {
		programs.m = make(map[*regexp.Regexp]*Program)
	}
	for old := range programs.m {
		if len(programs.m) < maxPrograms {
			break
		}
		delete(programs.m, old)
	}
	programs.m[re] = p
	return p
}

func newProgram(re *regexp.Regexp, expr string, budget int) *Program {
	p := &Program{re: re}
	progs := compile(expr)
	if len(progs) == 1 {
		// Not re.LiteralPrefix, which calls `^abc$` a complete "abc" too.
		if lit, complete := progs[0].Prefix(); complete {
			p.literal = []byte(lit)
			return p
		}
	}
	for _, prog := range progs {
		p.variants = append(p.variants, newDFA(prog, budget))
	}
	return p
}
