package regexscan

import (
	"math/rand/v2"
	"regexp"
	"strconv"
	"strings"
)

var (
	// literals meet the inputs often, and each other by case folding.
	literals = []string{
		"a", "b", "c", "A", "k", "K", "\u212a", "s", "ſ", "é", "É", "€", "ß", "ẞ", "Ⱥ", "ⱥ", "😀",
		"0", "_", " ", `\n`, `\r`, `\.`, `\x{FFFD}`, "\ufffd",
	}
	sets = []string{
		".", ".", "[ab]", "[a-c0-9]", "[^a]", "[^a-z]", `[^\n]`, `[^é]`, "[é-€]", "[a-]", "[]a]",
		`[^\x{FFFD}]`, "[[:alpha:]]", "[^[:word:]]", `[\x{80}-\x{10FFFF}]`, `[\x{D800}-\x{E000}]`,
	}
	perlSets = []string{
		`\d`, `\w`, `\s`, `\D`, `\W`, `\S`, `\pL`, `\PL`, `\p{Greek}`, `[\pN\pS]`, `[^\w\s]`, `\Qa.\E`,
	}
	marks     = []string{"^", "$", "^", "$", "()"}
	perlMarks = []string{`\A`, `\z`, `\b`, `\B`, `\b`, `\B`, "(?:)", "(?m)", "(?i)"}
	counts    = []string{"*", "+", "?", "{0}", "{1}", "{2}", "{0,2}", "{1,3}", "{2,}", "{0,}"}
	flags     = []string{"i", "m", "s", "U", "im", "ms", "i-s", "-i", "-ms", "imsU"}

	inputs = []string{
		"a", "b", "c", "a", "b", "A", "k", "K", "\u212a", "S", "ſ", "é", "É", "€", "ß", "ẞ", "Ⱥ", "ⱥ", "😀",
		"0", "_", " ", "\n", "\n", "\r\n", ".", "α", "\ufffd", "ab", "aaa",
		"\xff", "\x80", "\xc0\x80", "\xc3", "\xe2", "\xe2\x82", "\xf0\x9f", "\xf0\x9f\x98", "\xed\xa0\x80",
	}
)

// A generator makes patterns and inputs that have much to do with each other.
type generator struct {
	*rand.Rand
	posix bool
}

func (g generator) pick(from ...string) string { return from[g.IntN(len(from))] }

// pattern returns the text of a regular expression, usually a valid one.
func (g generator) pattern() string {
	expr := g.expr(4)
	if g.IntN(4) == 0 { // may be run in one pass
		expr = "^" + expr
		if g.IntN(2) == 0 {
			expr += "$"
		}
	}
	if !g.posix && g.IntN(4) == 0 {
		expr = "(?" + g.pick(flags...) + ")" + expr
	}
	if g.IntN(40) == 0 { // too large for backtracking
		expr = "(?:" + expr + ")|Q{500}"
		if g.posix {
			expr = strings.Replace(expr, "(?:", "(", 1)
		}
	}
	return expr
}

func (g generator) expr(depth int) string {
	if depth == 0 || g.IntN(4) == 0 {
		return g.atom()
	}
	switch g.IntN(8) {
	case 0, 1, 2, 3:
		var b strings.Builder
		for range 1 + g.IntN(4) {
			b.WriteString(g.expr(depth - 1))
		}
		return b.String()
	case 4:
		alternatives := g.expr(depth-1) + "|" + g.expr(depth-1)
		if g.IntN(4) == 0 {
			alternatives += "|"
		}
		return g.group(alternatives)
	case 5, 6:
		expr := g.group(g.expr(depth-1)) + g.pick(counts...)
		if g.IntN(3) == 0 {
			expr += "?"
		}
		return expr
	default:
		return g.group(g.expr(depth - 1))
	}
}

func (g generator) group(expr string) string {
	switch {
	case g.posix || g.IntN(3) == 0:
		return "(" + expr + ")"
	case g.IntN(3) == 0:
		return "(?" + g.pick(flags...) + ":" + expr + ")"
	}
	return "(?:" + expr + ")"
}

func (g generator) atom() string {
	switch n := g.IntN(12); {
	case n < 5:
		return g.pick(literals...)
	case n < 7:
		return g.pick(sets...)
	case n < 8 && !g.posix:
		return g.pick(perlSets...)
	case n < 9 && !g.posix:
		return g.pick(perlMarks...)
	case n < 10:
		return g.pick(marks...)
	}
	return g.pick(literals...) + g.pick(counts...)
}

// regexp returns a compiled pattern.
func (g generator) regexp() *regexp.Regexp {
	compile := regexp.Compile
	if g.posix {
		compile = regexp.CompilePOSIX
	}
	for {
		re, err := compile(g.pattern())
		if err != nil {
			continue
		}
		if g.IntN(4) == 0 {
			re.Longest()
		}
		return re
	}
}

func (g generator) input() []byte {
	var in []byte
	for range g.IntN(14) {
		in = append(in, g.pick(inputs...)...)
	}
	if g.IntN(20) == 0 {
		in = strconv.AppendQuote(in, string(in))
	}
	return in
}

func (g generator) budget() int {
	return []int{0, 600, 2000, defaultBudget}[g.IntN(4)]
}
