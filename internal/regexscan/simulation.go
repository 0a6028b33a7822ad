package regexscan

import "regexp/syntax"

const (
	// beginOps are the assertions that only depend on the rune before.
	beginOps = syntax.EmptyBeginLine | syntax.EmptyBeginText

	allOps = ^syntax.EmptyOp(0)
)

// A simulation runs a program over sets of leaves: the instructions that wait
// for a rune, and the assertions that wait to see what comes after them.
// All the instructions that lead there have been followed already.
//
// Assertions such as `$` and `\b` cannot be decided before the next rune, or
// the end of the text, is known. So they stay in the set, together with the
// rune before them, and are followed one rune later.
type simulation struct {
	prog    *syntax.Prog
	ops     syntax.EmptyOp // assertions used in prog
	members []rune         // for each class a rune in it
	now     leaves         // scratch
	then    leaves         // scratch
}

func (s *simulation) init(prog *syntax.Prog, members []rune) {
	s.prog = prog
	s.members = members
	s.ops = assertions(prog)
	s.now.seen = make([]uint32, len(prog.Inst))
	s.then.seen = make([]uint32, len(prog.Inst))
}

// begin returns the set at the beginning of the text and what to remember as
// the rune before it, or accept if the program matches there in any case.
func (s *simulation) begin() (set []uint32, before rune, accept bool) {
	s.then.reset()
	return s.finish(-1)
}

// step returns the set that follows st when a rune of the class comes,
// or accept if there is a match now, whatever follows.
func (s *simulation) step(st *state, class int32) (set []uint32, before rune, accept bool) {
	r := s.members[class]
	if s.settle(st, r) {
		return nil, 0, true
	}
	s.then.reset()
	holds := syntax.EmptyOpContext(r, ' ')
	for _, pc := range s.now.pcs {
		inst := &s.prog.Inst[pc]
		if inst.MatchRune(r) && s.follow(&s.then, inst.Out, holds, beginOps) {
			return nil, 0, true
		}
	}
	return s.finish(r)
}

// finish adds to s.then what a match that starts here, after r, waits for.
func (s *simulation) finish(r rune) (set []uint32, before rune, accept bool) {
	holds := syntax.EmptyOpContext(r, ' ')
	if s.follow(&s.then, uint32(s.prog.Start), holds, beginOps) {
		return nil, 0, true
	}
	return s.then.pcs, s.canonical(r), false
}

// acceptsAtEnd reports whether there is a match if the text ends in st.
func (s *simulation) acceptsAtEnd(st *state) bool {
	return s.settle(st, -1)
}

// settle sets s.now to the leaves of st with all assertions followed, now
// that the rune after them is known, and reports whether this gives a match.
func (s *simulation) settle(st *state, after rune) (accept bool) {
	if s.ops == 0 { // all of them wait for a rune
		s.now.pcs = append(s.now.pcs[:0], st.set...)
		return false
	}
	s.now.reset()
	holds := syntax.EmptyOpContext(st.before, after)
	for _, pc := range st.set {
		if s.follow(&s.now, pc, holds, allOps) {
			return true
		}
	}
	return false
}

// follow adds to l the leaves that pc leads to. It knows the truth of the
// assertions in known: they hold if they are in holds. Assertions that need
// more become leaves. follow reports whether it got to a match.
func (s *simulation) follow(l *leaves, pc uint32, holds, known syntax.EmptyOp) (accept bool) {
	l.todo = append(l.todo[:0], pc)
	for len(l.todo) > 0 {
		pc := l.todo[len(l.todo)-1]
		l.todo = l.todo[:len(l.todo)-1]
		if !l.visit(pc) {
			continue
		}
		inst := &s.prog.Inst[pc]
		switch inst.Op {
		case syntax.InstMatch:
			return true
		case syntax.InstFail:
		case syntax.InstAlt, syntax.InstAltMatch:
			l.todo = append(l.todo, inst.Out, inst.Arg)
		case syntax.InstCapture, syntax.InstNop:
			l.todo = append(l.todo, inst.Out)
		case syntax.InstEmptyWidth:
			op := syntax.EmptyOp(inst.Arg)
			switch {
			case op&known&^holds != 0:
			case op&^known == 0:
				l.todo = append(l.todo, inst.Out)
			default:
				l.pcs = append(l.pcs, pc)
			}
		default:
			l.pcs = append(l.pcs, pc)
		}
	}
	return false
}

// canonical returns a rune that stands for r, the rune before the leaves in
// s.then, so that there are not more states than the program can tell apart.
func (s *simulation) canonical(r rune) rune {
	pending := false
	for _, pc := range s.then.pcs {
		pending = pending || s.prog.Inst[pc].Op == syntax.InstEmptyWidth
	}
	const wordOps = syntax.EmptyWordBoundary | syntax.EmptyNoWordBoundary
	switch {
	case !pending:
	case r < 0 && s.ops&beginOps != 0:
		return r
	case r == '\n' && s.ops&syntax.EmptyBeginLine != 0:
		return r
	case syntax.IsWordChar(r) && s.ops&wordOps != 0:
		return 'a'
	}
	return ' '
}

// leaves is a set of leaves under construction.
type leaves struct {
	pcs  []uint32
	todo []uint32 // instructions to follow
	seen []uint32 // generation in which each instruction was last visited
	gen  uint32
}

func (l *leaves) reset() {
	l.pcs = l.pcs[:0]
	l.gen++
	if l.gen == 0 {
		clear(l.seen)
		l.gen = 1
	}
}

// visit reports whether pc is new to l.
func (l *leaves) visit(pc uint32) bool {
	isNew := l.seen[pc] != l.gen
	l.seen[pc] = l.gen
	return isNew
}
