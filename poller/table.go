//go:build unix

package poller

import "math"

// slot is one registration. The kernel, or the table for kernels that know
// descriptors only, leads to it by index, so that an event costs no map look-up.
type slot struct {
	token    Token
	fd       int32  // of a free slot: the next free one, or noSlot
	gen      uint32 // number of the change that made the slot what it is
	pos      uint32 // for the backend: where in the batch its event is
	interest Interest
	mode     Mode
	state    state
	armed    uint8 // for the backend: what the kernel watches; 0 is nothing
}

// state is what has been told of a registration since it was last armed.
type state uint8

const (
	toldClosed state = 1 << iota // PeerClosed has been told
	toldFailed                   // PeerClosed has been told with an error
	fired                        // one-shot: has had its event
	isPipe                       // for the backend: survives Modify
	isWriter                     // a pipe for writing only, likewise
	isStream                     // a stream socket, likewise

	lasting = isPipe | isWriter | isStream
)

const noSlot = -1

// table holds the registrations of one Poller. Slots are dense and not indexed
// by descriptor: many Pollers in one process would each pay for all the
// process's descriptors. The map serves registration only.
type table struct {
	slots  []slot
	byFD   map[int32]uint32
	free   int32 // head of the list of free slots, or noSlot
	change uint32
}

func newTable() *table {
	return &table{byFD: make(map[int32]uint32), free: noSlot}
}

// next numbers a change. An event that the kernel found before the change of
// its slot is recognised by the number.
func (t *table) next() uint32 {
	t.change++
	return t.change
}

// lookup returns the slot of fd.
func (t *table) lookup(fd int) (uint32, bool) {
	if fd < 0 || fd > math.MaxInt32 {
		return 0, false
	}
	i, ok := t.byFD[int32(fd)]
	return i, ok
}

// take returns an empty slot for fd.
func (t *table) take(fd int) uint32 {
	var i uint32
	if t.free != noSlot {
		i = uint32(t.free)
		t.free = t.slots[i].fd
	} else {
		i = uint32(len(t.slots))
		t.slots = append(t.slots, slot{})
	}
	t.slots[i] = slot{fd: int32(fd), gen: t.next()}
	t.byFD[int32(fd)] = i
	return i
}

// release frees slot i. Its new number is never given to the kernel.
func (t *table) release(i uint32) {
	delete(t.byFD, t.slots[i].fd)
	t.slots[i] = slot{fd: t.free, gen: t.next()}
	t.free = int32(i)
}

// at returns slot i if it is still what it was at change gen, otherwise nil.
func (t *table) at(i, gen uint32) *slot {
	if i < uint32(len(t.slots)) && t.slots[i].gen == gen {
		return &t.slots[i]
	}
	return nil
}

// admit returns the part of found that the owner wants and has not been told.
// PeerClosed is told once, and once more when the connection fails later.
func (s *slot) admit(found Interest, hints Hint) Interest {
	found &= s.interest
	if s.state&fired != 0 {
		return 0
	}
	if found&PeerClosed == 0 {
		return found
	}
	told := toldClosed
	if hints&Failed != 0 {
		told |= toldFailed
	}
	if s.state&told == told {
		return found &^ PeerClosed
	}
	s.state |= told
	return found
}
