package regexscan

import (
	"encoding/binary"
	"regexp/syntax"
	"slices"
	"sync"
	"sync/atomic"
	"unsafe"
)

// A dfa is a deterministic automaton, built as it is needed, that finds out
// whether some match has begun and ended in the runes it was fed.
//
// Known transitions are followed without locking. New ones are made under mu.
type dfa struct {
	classes
	prog     *syntax.Prog
	start    *state // never flushed
	anchored bool   // all matches begin where the text does

	flushed     atomic.Bool // it has had more states than fit
	simulations sync.Pool   // of *walk, for when it thrashes

	mu     sync.Mutex
	sim    simulation
	states map[string]*state // by key
	key    []byte            // scratch
	size   int               // estimated bytes in states
	budget int               // what size should not exceed
}

// A state is what a dfa knows about the runes so far. Apart from next and
// live it is immutable, so it stays usable after a flush. One without next is not part
// of the automaton, or final.
type state struct {
	set          []uint32 // sorted leaves, see simulation
	before       rune     // stands for the rune before, if the set asks for it
	acceptsAtEnd bool     // if the text ends here, there is a match
	live         bool     // not flushed; guarded by dfa.mu
	next         []atomic.Pointer[state]
}

// The states of every dfa once no further text can make a difference.
var (
	accepted = &state{acceptsAtEnd: true}
	rejected = &state{}
)

func newDFA(prog *syntax.Prog, budget int) *dfa {
	d := &dfa{
		classes:  newClasses(prog),
		prog:     prog,
		anchored: prog.StartCond()&syntax.EmptyBeginText != 0,
		states:   make(map[string]*state),
		budget:   budget,
	}
	d.sim.init(prog, d.members)
	d.start = accepted
	if set, before, accept := d.sim.begin(); !accept {
		d.start = d.newState(set, before)
	}
	return d
}

// next returns the state that follows st, which must not be final,
// when a rune of the class comes.
func (d *dfa) next(st *state, class int32) *state {
	if n := st.follow(class); n != nil {
		return n
	}
	return d.build(st, class)
}

// follow returns the state that follows st if that is known, else nil.
func (st *state) follow(class int32) *state {
	if st.next == nil {
		return nil
	}
	return st.next[class].Load()
}

// build makes the transition from st.
func (d *dfa) build(st *state, class int32) *state {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := accepted
	if set, before, accept := d.sim.step(st, class); !accept {
		n = d.intern(set, before)
	}
	// A flushed state may be all that is left of its graph, held by a scanner
	// that has been waiting for long. It must not get to hold another one.
	if st.live {
		st.next[class].Store(n)
	}
	return n
}

// final reports whether st is accepted or rejected.
func (st *state) final() bool { return st == accepted || st == rejected }

// intern returns the state with the given parts. It keeps neither argument.
func (d *dfa) intern(set []uint32, before rune) *state {
	if len(set) == 0 && d.anchored {
		return rejected
	}
	slices.Sort(set)
	d.key = binary.LittleEndian.AppendUint32(d.key[:0], uint32(before))
	for _, pc := range set {
		d.key = binary.LittleEndian.AppendUint32(d.key, pc)
	}
	if st := d.states[string(d.key)]; st != nil {
		return st
	}
	st := d.newState(set, before)
	if size := st.size() + len(d.key); d.size+size > d.budget {
		d.flush()
		d.size = size
	} else {
		d.size += size
	}
	d.states[string(d.key)] = st
	return st
}

func (d *dfa) newState(set []uint32, before rune) *state {
	st := &state{
		set:    slices.Clone(set),
		before: before,
		live:   true,
		next:   make([]atomic.Pointer[state], len(d.members)),
	}
	st.acceptsAtEnd = d.sim.acceptsAtEnd(st)
	return st
}

// size estimates the memory that st and its map entry take.
func (st *state) size() int {
	const entry = 64
	return entry + int(unsafe.Sizeof(*st)) + 4*len(st.set) + len(st.next)*int(unsafe.Sizeof(st))
}

// flush forgets all states. Scanners may still be in some of them,
// so it also takes the graph apart.
func (d *dfa) flush() {
	d.flushed.Store(true)
	for _, st := range d.states {
		st.live = false
		st.unlink()
	}
	clear(d.states)
	d.start.unlink()
}

func (st *state) unlink() {
	for i := range st.next {
		st.next[i].Store(nil)
	}
}
