//go:build unix || windows

package poller

import (
	"math"

	"github.com/eddyloop/eddy/internal/firstcount"
)

// slot is one registration. The kernel, or the table for kernels that know
// descriptors only, leads to it by index, so that an event costs no map look-up.
type slot struct {
	token    Token
	fd       int32  // of a free slot: the next free one, or noSlot
	gen      uint32 // counts the changes of the slot, whoever had it
	pos      uint32 // for kqueue: where in the batch its event is
	interest Interest
	mode     Mode
	state    state
	armed    uint8 // what the kernel watches, 0 for nothing: see kqueue.go, and for epoll entered
}

// state is what is known of a registration besides what its owner wants.
type state uint8

const (
	toldClosed state = 1 << iota // PeerClosed has been told
	toldFailed                   // PeerClosed has been told with an error
	fired                        // one-shot: has had its event
	changed                      // for kqueue: was changed while the kernel was asked
	muted                        // for poll(2): what comes has been told, and would come in every wait
	blind                        // for poll(2): see watchEnd

	kindShift = 6 // a fileKind, but for those that are refused

	lasting = changed | 3<<kindShift // survives Modify
)

// fileKind is what must be known of a file before it is watched.
type fileKind uint8

const (
	kindOther  fileKind = iota
	kindPipe            // pipe or FIFO
	kindWriter          // end of one that is for writing only
	kindSocket          // socket; in a slot of poll(2) one that is a stream
	kindAlways          // always ready, or never, whatever happens
)

func (s *slot) kind() fileKind { return fileKind(s.state >> kindShift) }

func (s *slot) setKind(k fileKind) { s.state = s.state&^(3<<kindShift) | state(k)<<kindShift }

const noSlot = -1

// table holds the registrations of one Poller. Slots are dense and not indexed
// by descriptor: many Pollers in one process would each pay for all the
// process's descriptors. The map serves registration only.
type table struct {
	slots []slot
	byFD  map[int32]uint32
	free  int32 // head of the list of free slots, or noSlot
}

func newTable() *table {
	return &table{byFD: make(map[int32]uint32), free: noSlot}
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
		t.slots = append(t.slots, slot{gen: firstcount.Count})
	}
	t.slots[i] = slot{fd: int32(fd), gen: t.slots[i].gen + 1}
	t.byFD[int32(fd)] = i
	return i
}

// release frees slot i. Its new number is never given to the kernel.
func (t *table) release(i uint32) {
	delete(t.byFD, t.slots[i].fd)
	t.slots[i] = slot{fd: t.free, gen: t.slots[i].gen + 1}
	t.free = int32(i)
}

// at returns slot i if it is still what it was at change gen, otherwise nil. Gen
// wraps, and what was found before exactly 2^32 changes of this one slot would be
// taken for its own; nothing stays for so long.
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
