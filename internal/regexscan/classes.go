package regexscan

import (
	"regexp/syntax"
	"slices"
	"unicode"
	"unicode/utf8"
)

// notASCII stands in the ASCII table for bytes that need decoding.
const notASCII = -1

// classes partitions the runes so that a program cannot tell apart
// two runes of the same class.
type classes struct {
	ascii   [256]int32 // class of each ASCII byte, else notASCII
	first   []rune     // first runes of the intervals that make up the classes
	ids     []int32    // class of each interval
	members []rune     // for each class a rune in it
	invalid int32      // class of bytes that are not UTF-8
}

// decode returns the class and the width of the rune at the start of b.
func (c *classes) decode(b []byte) (class int32, size int) {
	r, size := utf8.DecodeRune(b)
	return c.lookup(r), size
}

func (c *classes) lookup(r rune) int32 {
	i, found := slices.BinarySearch(c.first, r)
	if !found {
		i--
	}
	return c.ids[i]
}

func newClasses(prog *syntax.Prog) classes {
	tests := runeTests(prog)
	c := classes{first: cuts(tests)}
	c.ids = make([]int32, len(c.first))
	n := 1
	for _, t := range tests {
		n = split(c.ids, c.first, t.match)
	}
	c.members = make([]rune, n)
	for i, id := range c.ids {
		c.members[id] = c.first[i]
	}
	for b := range c.ascii {
		c.ascii[b] = notASCII
		if b < utf8.RuneSelf {
			c.ascii[b] = c.lookup(rune(b))
		}
	}
	c.invalid = c.lookup(utf8.RuneError)
	return c
}

// split refines classes so that match is the same for all runes of a class,
// and returns how many there are now.
func split(ids []int32, first []rune, match func(rune) bool) int {
	type key struct {
		old   int32
		match bool
	}
	renumbered := make(map[key]int32)
	for i, r := range first {
		k := key{ids[i], match(r)}
		id, ok := renumbered[k]
		if !ok {
			id = int32(len(renumbered))
			renumbered[k] = id
		}
		ids[i] = id
	}
	return len(renumbered)
}

// A runeTest is something that a program asks about a rune.
type runeTest struct {
	match  func(rune) bool
	ranges []rune // pairs of bounds, at which the answer may change
}

// runeTests returns the different tests that prog makes.
func runeTests(prog *syntax.Prog) []runeTest {
	type key struct {
		runes *rune
		n     int
		arg   uint32
	}
	var tests []runeTest
	seen := make(map[key]bool)
	for i := range prog.Inst {
		inst := &prog.Inst[i]
		if !consumes(inst) || len(inst.Rune) == 0 {
			continue
		}
		// The copies that a counted repetition makes share their runes.
		if k := (key{&inst.Rune[0], len(inst.Rune), inst.Arg}); !seen[k] {
			seen[k] = true
			tests = append(tests, runeTest{inst.MatchRune, ranges(inst)})
		}
	}
	ops := assertions(prog)
	if ops&(syntax.EmptyBeginLine|syntax.EmptyEndLine) != 0 {
		newline := func(r rune) bool { return r == '\n' }
		tests = append(tests, runeTest{newline, []rune{'\n', '\n'}})
	}
	if ops&(syntax.EmptyWordBoundary|syntax.EmptyNoWordBoundary) != 0 {
		tests = append(tests, runeTest{syntax.IsWordChar, []rune("09AZ__az")})
	}
	return tests
}

// ranges returns the runes that inst accepts as pairs of bounds.
func ranges(inst *syntax.Inst) []rune {
	if len(inst.Rune) != 1 {
		return inst.Rune
	}
	r0 := inst.Rune[0]
	pairs := []rune{r0, r0}
	if syntax.Flags(inst.Arg)&syntax.FoldCase != 0 {
		for r := unicode.SimpleFold(r0); r != r0; r = unicode.SimpleFold(r) {
			pairs = append(pairs, r, r)
		}
	}
	return pairs
}

// cuts returns the first runes of the intervals between all the bounds.
func cuts(tests []runeTest) []rune {
	first := []rune{0}
	for _, t := range tests {
		for i := 0; i < len(t.ranges); i += 2 {
			first = append(first, t.ranges[i], t.ranges[i+1]+1)
		}
	}
	slices.Sort(first)
	return slices.Compact(first)
}

// consumes reports whether inst matches a rune rather than a place.
func consumes(inst *syntax.Inst) bool {
	switch inst.Op {
	case syntax.InstRune, syntax.InstRune1, syntax.InstRuneAny, syntax.InstRuneAnyNotNL:
		return true
	}
	return false
}

// assertions returns the empty-width assertions that prog uses.
func assertions(prog *syntax.Prog) syntax.EmptyOp {
	var ops syntax.EmptyOp
	for i := range prog.Inst {
		if inst := &prog.Inst[i]; inst.Op == syntax.InstEmptyWidth {
			ops |= syntax.EmptyOp(inst.Arg)
		}
	}
	return ops
}
