// Package regexscan looks for a regular expression in a buffer that grows.
//
// After every arrival a [Scanner] gives the result that re.FindIndex would
// give for the whole buffer, but it looks at each byte only once: the total
// cost is linear in the number of bytes, however small the arrivals are. One thing
// costs more: re.FindIndex, which is asked where the match ends, looks as far behind it
// as the expression makes it look. After (?s)/\*.*\*/|\n, which cannot tell that a
// comment has no end before it has seen the whole buffer, each message costs a search of
// all that is buffered: some 40 nanoseconds a byte, so 20 ms with 512 KiB.
//
// A search whose DFA needs more states than its budget holds gives the DFA up, as RE2
// does, and simulates the program instead: half a microsecond for a byte, without a lock
// and without memory for each byte.
//
// Whether there is a match is decided by a lazily built DFA over what
// package regexp/syntax makes of the pattern. Only when the DFA says yes is
// re.FindIndex asked, once, where the match ends, so that preference rules
// (greedy, non-greedy, leftmost-longest) are always those of package regexp.
package regexscan

import (
	"maps"
	"math"
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
	used     atomic.Uint64 // when For was last asked for it, in turns of programs
}

// programs is what For remembers. The map is replaced whole, so that whoever looks
// a program up takes no lock.
var programs struct {
	sync.Mutex // of those who replace it
	m          atomic.Pointer[map[*regexp.Regexp]*Program]
	turns      atomic.Uint64 // how often it was replaced
}

// For returns the program for re, which is made once and then shared, for as long
// as it is among the 64 that were asked for last.
func For(re *regexp.Regexp) *Program {
	if p := lookup(re); p != nil {
		return p
	}

	// Large Unicode classes take milliseconds: do not make others wait.
	p := newProgram(re, re.String(), defaultBudget)

	programs.Lock()
	defer programs.Unlock()
	if first := lookup(re); first != nil {
		return first
	}
	m := make(map[*regexp.Regexp]*Program)
	if old := programs.m.Load(); old != nil {
		maps.Copy(m, *old)
	}
	if len(m) >= maxPrograms {
		delete(m, oldest(m))
	}
	p.used.Store(programs.turns.Add(1))
	m[re] = p
	programs.m.Store(&m)
	return p
}

// lookup returns the program for re, nil if there is none, and notes that it is in
// use. It writes only what others do not read all the time.
func lookup(re *regexp.Regexp) *Program {
	m := programs.m.Load()
	if m == nil {
		return nil
	}
	p := (*m)[re]
	if p != nil {
		if turn := programs.turns.Load(); p.used.Load() != turn {
			p.used.Store(turn)
		}
	}
	return p
}

// oldest returns the one that nobody has asked for for the longest time.
func oldest(m map[*regexp.Regexp]*Program) (re *regexp.Regexp) {
	least := uint64(math.MaxUint64)
	for r, p := range m {
		if used := p.used.Load(); used < least {
			re, least = r, used
		}
	}
	return re
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
