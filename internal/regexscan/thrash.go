package regexscan

import (
	"slices"
	"unicode/utf8"
)

const (
	// A search gives the automaton up that was flushed, and of which it has had to make
	// a transition for less than bytesPerBuild bytes each, as RE2 does: making one costs
	// more than to do without.
	bytesPerBuild = 10

	// bytesPerTry is for how many bytes without the automaton one counts as if it had
	// been gone over with it.
	bytesPerTry = 50

	// fewBuilds are made by any search.
	fewBuilds = 16
)

// thrashes reports whether a search that has come to pos is better off without d. Now
// and then it tries whether that is still so.
func (c *cursor) thrashes(d *dfa, pos int) bool {
	followed := pos - c.simulated + c.simulated/bytesPerTry
	return c.built >= fewBuilds && c.built > followed/bytesPerBuild && d.flushed.Load()
}

// A walk runs a simulation without making states: it takes no lock and, within one
// arrival, no memory.
type walk struct {
	simulation
	at state // the set is the walk's own
}

// simulate is advance without the automaton.
func (c *cursor) simulate(d *dfa, buf []byte) bool {
	w, _ := d.simulations.Get().(*walk)
	if w == nil {
		w = new(walk)
		w.init(d.prog, d.members)
	}
	defer d.simulations.Put(w)
	w.at.set, w.at.before = append(w.at.set[:0], c.state.set...), c.state.before
	pos, end := c.pos, (*state)(nil)
	for pos < len(buf) && end == nil {
		class, size := d.ascii[buf[pos]], 1
		if class == notASCII {
			if !utf8.FullRune(buf[pos:]) {
				break
			}
			class, size = d.decode(buf[pos:])
		}
		end = w.step(d, class)
		pos += size
	}
	c.simulated += pos - c.pos
	c.pos = pos
	if end != nil {
		c.state = end
		return end.acceptsAtEnd
	}
	c.state = &state{set: slices.Clone(w.at.set), before: w.at.before}
	c.state.acceptsAtEnd = w.acceptsAtEnd(&w.at)
	for ; pos < len(buf) && end == nil; pos++ { // a rune that is cut off, see advance
		end = w.step(d, d.invalid)
	}
	if end != nil {
		return end.acceptsAtEnd
	}
	return w.acceptsAtEnd(&w.at)
}

// step takes in a rune of the class. It returns the final state that it leads to, if it
// does.
func (w *walk) step(d *dfa, class int32) *state {
	set, before, accept := w.simulation.step(&w.at, class)
	switch {
	case accept:
		return accepted
	case len(set) == 0 && d.anchored:
		return rejected
	}
	w.at.set, w.at.before = append(w.at.set[:0], set...), before
	return nil
}
