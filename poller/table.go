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
	gen      uint32 // the table's count of changes when the slot was last changed
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
	slots    []slot
	byFD     map[int32]uint32
	free     int32  // head of the list of free slots, or noSlot
	changes  uint32 // of all slots, also of those that were dropped; it wraps
	released int    // slots since it was last looked whether memory can be given back
	lookedAt int    // how many slots were in use then
}

// maxSpare is how many slots a table keeps in any case.
const maxSpare = 1024

func newTable() *table {
	return &table{byFD: make(map[int32]uint32), free: noSlot, changes: firstcount.Count}
}

// emptied returns s with no entries, and with no more room than is kept in any case.
func emptied[T any](s []T) []T {
	if cap(s) > maxSpare {
		return nil
	}
	return s[:0]
}

// nextGen returns the number of a change.
func (t *table) nextGen() uint32 {
	t.changes++
	return t.changes
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
	t.slots[i] = slot{fd: int32(fd), gen: t.nextGen()}
	t.byFD[int32(fd)] = i
	return i
}

// release frees slot i. Its new number is never given to the kernel.
func (t *table) release(i uint32) {
	delete(t.byFD, t.slots[i].fd)
	t.slots[i] = slot{fd: t.free, gen: t.nextGen()}
	t.free = int32(i)
	t.released++
	// Whenever the number in use has halved, since a burst may end with one of them.
	if len(t.slots) > maxSpare && (t.released > len(t.slots)/8 || len(t.byFD) <= t.lookedAt/2) {
		t.released, t.lookedAt = 0, len(t.byFD)
		t.shrink()
	}
}

// shrink gives back the memory of a burst, when not more than a quarter of the slots
// is in use. A slot keeps its place, which the kernel knows, so that only those behind
// the last one in use can go; the next ones in use will be the first that are free.
func (t *table) shrink() {
	if len(t.byFD) > len(t.slots)/4 {
		return
	}
	used := make([]bool, len(t.slots))
	byFD := make(map[int32]uint32, len(t.byFD)) // a map keeps the room of what was deleted
	n := 0
	for fd, i := range t.byFD {
		byFD[fd], used[i] = i, true
		n = max(n, int(i)+1)
	}
	t.byFD = byFD
	if n <= len(t.slots)/2 {
		t.slots = append(make([]slot, 0, n), t.slots[:n]...)
	}
	t.free = noSlot
	for i := len(t.slots) - 1; i >= 0; i-- {
		if !used[i] {
			t.slots[i].fd = t.free
			t.free = int32(i)
		}
	}
}

// at returns slot i if it is still what it was at change gen, otherwise nil. The
// count of changes wraps, and what was found before exactly 2^32 of them would be
// taken for the slot's own; nothing stays for so long.
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
