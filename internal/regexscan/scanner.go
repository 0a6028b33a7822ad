package regexscan

import (
	"bytes"
	"unicode/utf8"
)

// A Scanner looks for the leftmost match in one growing buffer.
// It holds no resources, may be copied and may be dropped at any time,
// but must be used by one goroutine at a time.
// Scanners come from [Program.NewScanner].
type Scanner struct {
	prog    *Program
	cursors [maxVariants]cursor
}

// NewScanner returns a Scanner for a buffer that has not been looked at yet.
func (p *Program) NewScanner() Scanner {
	return Scanner{prog: p}
}

// Reset makes s start over, for when the head of the buffer has changed.
func (s *Scanner) Reset() {
	s.cursors = [maxVariants]cursor{}
}

// Scan takes buf as one arrival and returns the end of the leftmost match in
// it, as re.FindIndex(buf)[1], or -1 if there is none. Unless s is new or has
// been reset, buf must start with the bytes given to the previous call.
//
// Scan may go on after a match, but as long as there is one each call costs
// a search of the whole buffer.
func (s *Scanner) Scan(buf []byte) int {
	p := s.prog
	if p.literal != nil {
		return s.cursors[0].find(p.literal, buf)
	}
	scanned := false
	for i, d := range p.variants {
		if p.refuted[i].Load() {
			continue
		}
		if s.cursors[i].advance(d, buf) {
			end := p.findEnd(buf)
			if end < 0 {
				p.refuted[i].Store(true)
			}
			return end
		}
		scanned = true
	}
	if scanned {
		return -1
	}
	return p.findEnd(buf)
}

func (p *Program) findEnd(buf []byte) int {
	if loc := p.re.FindIndex(buf); loc != nil {
		return loc[1]
	}
	return -1
}

// A cursor is how far one search has come. Its zero value is the beginning.
type cursor struct {
	state     *state
	pos       int
	built     int // transitions that it had made
	simulated int // bytes that it has gone over without the automaton
}

// find looks for a literal, leaving out the places where it cannot start
// because an earlier call has looked there.
func (c *cursor) find(literal, buf []byte) int {
	if i := bytes.Index(buf[c.pos:], literal); i >= 0 {
		return c.pos + i + len(literal)
	}
	c.pos = max(c.pos, len(buf)-len(literal)+1)
	return -1
}

// advance moves c over the new bytes of buf and reports whether buf has a match.
func (c *cursor) advance(d *dfa, buf []byte) bool {
	st, pos := c.state, c.pos
	if st == nil {
		st = d.start
	}
	for pos < len(buf) && !st.final() {
		class, size := d.ascii[buf[pos]], 1
		if class == notASCII {
			if !utf8.FullRune(buf[pos:]) {
				break
			}
			class, size = d.decode(buf[pos:])
		}
		n := st.follow(class)
		if n == nil {
			if c.thrashes(d, pos) {
				c.state, c.pos = st, pos
				return c.simulate(d, buf)
			}
			c.built++
			n = d.build(st, class)
		}
		st = n
		pos += size
	}
	c.state, c.pos = st, pos

	// A rune that is cut off by the end of buf reads as one U+FFFD per byte,
	// but only until the rest of it arrives: c must not go over it.
	for ; pos < len(buf) && !st.final(); pos++ {
		st = d.next(st, d.invalid)
	}
	return st.acceptsAtEnd
}
