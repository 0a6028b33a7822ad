package regexscan

import (
	"regexp"
	"strings"
	"testing"

	"github.com/eddyloop/eddy/internal/allocs"
	"github.com/stretchr/testify/require"
)

// TestBytewise spells out the results for an empty buffer
// and after each byte of the input.
func TestBytewise(t *testing.T) {
	tests := []struct {
		name, expr, input string
		want              []int
	}{
		{"literal", `ab`, "xaab", []int{-1, -1, -1, -1, 4}},
		{"literal again after a match", `ab`, "abab", []int{-1, -1, 2, 2, 2}},
		{"empty pattern", ``, "a", []int{0, 0}},
		{"empty match", `a*`, "aab", []int{0, 1, 2, 2}},
		{"empty match at the end", `x*$`, "a", []int{0, 1}},
		{"impossible", `[^\x00-\x{10FFFF}]`, "ab", []int{-1, -1, -1}},
		{"impossible with assertions", `a\bb`, "ab", []int{-1, -1, -1}},

		{"begin and end", `^$`, "a", []int{0, -1}},
		{"anchored literal", `^ab$`, "abc", []int{-1, -1, 2, -1}},
		{"anchored out of reach", `^a.c|^b`, "abcab", []int{-1, -1, -1, 3, 3, 3}},
		{"anchored, one variant", `\Aa\b`, "ba a", []int{-1, -1, -1, -1, -1}},
		{"anchored late", `^ab`, "xab", []int{-1, -1, -1, -1}},
		{"begin of text", `\Aa`, "\na", []int{-1, -1, -1}},
		{"begin of line", `(?m)^a`, "\na", []int{-1, -1, 2}},
		{"end of text passes", `a$`, "aba", []int{-1, 1, -1, 3}},
		{"end of text is not before newline", `a$`, "a\n", []int{-1, 1, -1}},
		{"end of line", `(?m)a$`, "ab\na\nx", []int{-1, 1, -1, -1, 4, 4, 4}},
		{"absolute end", `(?m)a\z`, "a\n", []int{-1, 1, -1}},
		{"empty line", `(?m)^$`, "a\n\nb", []int{0, -1, 2, 2, 2}},
		{"end and begin of line", `(?m)$^`, "a\n\n", []int{0, -1, 2, 2}},
		{"both begins", `(?m)^\A`, "\n", []int{0, 0}},
		{"dot line", `(?m)^\.\r?$`, "a.\n.\r\n", []int{-1, -1, -1, -1, 4, 5, 5}},

		{"word boundary", `a\b`, "ab a!", []int{-1, 1, -1, -1, 4, 4}},
		{"not a word boundary", `a\B`, "a ab", []int{-1, -1, -1, -1, 4 - 1}},
		{"word boundary at begin", `\ba`, "ba a", []int{-1, -1, -1, -1, 4}},
		{"word boundary of nothing", `\b`, " a", []int{-1, -1, 1}},
		{"no word boundary of nothing", `\B`, "a", []int{0, -1}},
		{"word boundary is ASCII", `\bé`, "éaé", []int{-1, -1, -1, -1, -1, 5}},
		{"boundaries in a row", `a\b\b\B?$`, "a", []int{-1, 1}},

		{"greedy grows", `a+`, "aab", []int{-1, 1, 2, 2}},
		{"non-greedy does not", `a+?`, "aab", []int{-1, 1, 1, 1}},
		{"swapped greed", `(?U)a+`, "aab", []int{-1, 1, 1, 1}},
		{"first alternative", `a|ab`, "ab", []int{-1, 1, 1}},
		{"second alternative", `ab|a`, "ab", []int{-1, 1, 2}},
		{"leftmost comes later", `abcd|c`, "abcd", []int{-1, -1, -1, 3, 4}},
		{"case", `(?i)end`, "eNd", []int{-1, -1, -1, 3}},
		{"case folds to longer runes", `(?i)ks`, "\u212a\u017f", []int{-1, -1, -1, -1, -1, 5}},
		{"case folds to shorter runes", `(?i)\x{2c65}`, "\u023a", []int{-1, -1, 2}},
		{"dot", `a.b`, "a\nbaxb", []int{-1, -1, -1, -1, -1, -1, 6}},
		{"dot with s", `(?s)a.b`, "a\nb", []int{-1, -1, -1, 3}},
		{"count", `^(ab){2,3}$`, "ababab", []int{-1, -1, -1, -1, 4, -1, 6}},
		{"Unicode class", `\p{Greek}+!`, "éα!", []int{-1, -1, -1, -1, -1, 5}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			require.Equal(t, tt.want, bytewise(t, regexp.MustCompile(tt.expr), tt.input))
		})
	}
}

// TestInvalidUTF8 is about bytes that read as U+FFFD, for good
// or only until the rest of their rune arrives.
func TestInvalidUTF8(t *testing.T) {
	tests := []struct {
		name, expr, input string
		want              []int
	}{
		{"cut off, then whole", `\x{FFFD}`, "€", []int{-1, 1, 1, -1}},
		{"each byte of a cut off rune", `^\x{FFFD}{2}$`, "€", []int{-1, -1, 2, -1}},
		{"three bytes of four", `^\x{FFFD}{3}$`, "😀", []int{-1, -1, -1, 3, -1}},
		{"any rune", `^..$`, "é€", []int{-1, -1, -1, 3, -1, 5}},
		{"not a class", `[^a-z]`, "é", []int{-1, 1, 2}},
		{"whole after match of half", `[^é]`, "éx", []int{-1, 1, -1, 3}},
		{"never whole", `^\x{FFFD}x`, "\xe2x", []int{-1, -1, 2}},
		{"two never whole", `\x{FFFD}{2}x`, "\xe2\x82x", []int{-1, -1, -1, 3}},
		{"stray continuation", `a.b`, "a\x80b", []int{-1, -1, -1, 3}},
		{"overlong", `^.{2}$`, "\xc0\x80", []int{-1, -1, 2}},
		{"surrogate bytes", `^.{3}$`, "\xed\xa0\x80", []int{-1, -1, -1, 3}},
		{"too large", `^.{4}$`, "\xf5\x80\x80\x80", []int{-1, -1, -1, -1, 4}},
		{"real U+FFFD", `^\x{FFFD}$`, "\ufffd", []int{-1, 1, -1, 3}},
		{"boundary before half a rune", `a\b`, "aé", []int{-1, 1, 1, 1}},
		{"boundary after half a rune", `\x{FFFD}\b`, "\xe2a", []int{-1, -1, 2 - 1}},
		{"literal after half a rune", `é`, "\xe2é", []int{-1, -1, -1, 3}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			require.Equal(t, tt.want, bytewise(t, regexp.MustCompile(tt.expr), tt.input))
		})
	}
}

func TestPOSIX(t *testing.T) {
	tests := []struct {
		expr, input string
		perl, posix []int
	}{
		{`^b$`, "a\nb\na", []int{-1, -1, -1, -1, -1, -1}, []int{-1, -1, -1, 3, 3, 3}},
		{`a$`, "a\n", []int{-1, 1, -1}, []int{-1, 1, 1}},
		{`^a[^x]`, "a\nb", []int{-1, -1, 2, 2}, []int{-1, -1, -1, -1}},
		{`a+?b`, "b", []int{-1, -1}, []int{-1, 1}},
		{`a|ab`, "ab", []int{-1, 1, 1}, []int{-1, 1, 2}},
	}
	for _, tt := range tests {
		t.Run(tt.expr, func(t *testing.T) {
			require.Equal(t, tt.perl, bytewise(t, regexp.MustCompile(tt.expr), tt.input))
			require.Equal(t, tt.posix, bytewise(t, regexp.MustCompilePOSIX(tt.expr), tt.input))
		})
	}
}

func TestWrongVariantIsDroppedOnce(t *testing.T) {
	for _, re := range []*regexp.Regexp{regexp.MustCompile(`^b[^c]`), regexp.MustCompilePOSIX(`^b[^c]`)} {
		p := newProgram(re, re.String(), defaultBudget)
		require.Len(t, p.variants, 2)
		for _, input := range []string{"a\nbx", "b\nx"} {
			s := &stream{scanner: p.NewScanner(), rest: []byte(input)}
			for len(s.rest) > 0 {
				s.deliver(t, re, 1)
			}
		}
		require.NotEqual(t, p.refuted[0].Load(), p.refuted[1].Load())
		requireRightVariant(t, p, p.refuted[0].Load())
	}
}

func TestVariants(t *testing.T) {
	tests := []struct {
		expr  string
		count int
	}{
		{`a.b`, 1},         // the same in both
		{`<.*?>`, 1},       // up to preference
		{`(a|b)??c`, 1},    // up to preference
		{`(a+)+?b*?c`, 2},  // not (a+)+?
		{`a+?b`, 2},        // POSIX: (a+)?b
		{`^a`, 2},          // POSIX: (?m)^a
		{`[^a]`, 2},        // POSIX: [^a\n]
		{`\d`, 1},          // no POSIX
		{`(?m)^a$`, 1},     // no POSIX
		{`a**`, 1},         // no Perl
		{`abc`, 0},         // literal
		{`(a)(bc)`, 0},     // literal
		{`\x{D800}`, 0},    // surrogate
		{`^x\x{DFFF}y`, 0}, // surrogate
		{`a(`, 0},          // no syntax
	}
	for _, tt := range tests {
		p := newProgram(nil, tt.expr, defaultBudget)
		require.Len(t, p.variants, tt.count, tt.expr)
	}
}

// TestLongest also covers that re changes after its program was made.
func TestLongest(t *testing.T) {
	re := regexp.MustCompile(`a+?|b`)
	require.Equal(t, []int{-1, 1, 1, 1}, bytewise(t, re, "aab"))
	sc := For(re).NewScanner()
	require.Equal(t, 1, sc.Scan([]byte("aa")))
	re.Longest()
	require.Equal(t, 2, sc.Scan([]byte("aa")))
	require.Equal(t, []int{-1, 1, 2, 2}, bytewise(t, re, "aab"))
}

// TestSurrogate checks an oddity of package regexp: a surrogate in an anchored
// prefix finds U+FFFD, elsewhere it finds nothing.
func TestSurrogate(t *testing.T) {
	for _, expr := range []string{`\x{D800}`, `^\x{D800}a`, `^\x{D800}$`, `\x{D800}a*`, `[\x{D800}-\x{D900}]`} {
		for _, input := range []string{"\ufffd", "\ufffda", "\xed\xa0\x80", "\xffa"} {
			bytewise(t, regexp.MustCompile(expr), input)
		}
	}
}

func TestUnknownSyntaxFallsBack(t *testing.T) {
	re := regexp.MustCompile(`^a+$`)
	p := newProgram(re, `a(`, defaultBudget)
	s := &stream{scanner: p.NewScanner(), rest: []byte("aaba")}
	for len(s.rest) > 0 {
		s.deliver(t, re, 1)
	}
}

func TestReset(t *testing.T) {
	for _, expr := range []string{`ab`, `^a+b`, `\Aab`, `(?m)^ab`} {
		sc := For(regexp.MustCompile(expr)).NewScanner()
		require.Equal(t, 2, sc.Scan([]byte("ab")), expr)
		sc.Reset()
		require.Equal(t, -1, sc.Scan([]byte("a")), expr)
		require.Equal(t, 2, sc.Scan([]byte("ab")), expr)
		sc.Reset()
		require.Equal(t, -1, sc.Scan(nil), expr)
	}
}

func TestNoNewBytes(t *testing.T) {
	sc := For(regexp.MustCompile(`a\b`)).NewScanner()
	for range 3 {
		require.Equal(t, 1, sc.Scan([]byte("a")))
	}
	for range 3 {
		require.Equal(t, -1, sc.Scan([]byte("ab")))
	}
}

// TestEngines makes package regexp use each of its three engines.
func TestEngines(t *testing.T) {
	const big = `|Q{600}`
	for _, expr := range []string{
		`^(?:a|b)*c\b$`, `^é+$`, // one-pass
		`(a|b)*c\b`, `(?m)^a+$|b`, // backtracking
		`(a|b)*c\b` + big, `(?m)^a+$|b` + big, // simulation
	} {
		for _, input := range []string{"ababc ", "ccbac\n", "éé\xe2", "\naab\n", "\xffaac"} {
			bytewise(t, regexp.MustCompile(expr), input)
		}
	}
}

func TestFor(t *testing.T) {
	re := regexp.MustCompile(`a+b`)
	require.Same(t, For(re), For(re))
	require.NotSame(t, For(re), For(regexp.MustCompile(`a+b`)))
	for range 3 * maxPrograms {
		For(regexp.MustCompile(`c+d`))
	}
	require.LessOrEqual(t, len(*programs.m.Load()), maxPrograms)
	kept := For(re)
	for range 10 * maxPrograms { // one that is in use stays
		For(regexp.MustCompile(`c+d`))
		require.Same(t, kept, For(re))
	}
}

func TestScanDoesNotAllocate(t *testing.T) {
	buf := []byte(strings.Repeat("some text é€😀\r\n", 100))
	for _, expr := range []string{`absent`, `\r\n\r\n`, `^a.$|[^a]!`, `(?m)^\pL+\b!$`} {
		p := For(regexp.MustCompile(expr))
		scan := func() {
			sc := p.NewScanner()
			for n := range buf {
				sc.Scan(buf[:n])
			}
		}
		scan()
		require.Zero(t, allocs.PerRun(3, scan), expr)
	}
}
