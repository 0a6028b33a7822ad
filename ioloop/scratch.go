package ioloop

import "sync"

// ScratchSize is the length of [Kit.Scratch] in bytes.
const ScratchSize = 64 << 10

// scratch is the buffer that the handlers of a loop read into. It may be lent to a task,
// of which most end before anybody reads again. Else the loop takes another buffer, and
// the task keeps the one it has until it ends.
type scratch struct {
	buf      []byte     // nil: none yet
	borrower *coroutine // nil: buf is not on loan
	kept     []loan
}

// loan is a buffer that a task has kept.
type loan struct {
	to  *coroutine
	buf []byte
}

// maxKept bounds what tasks that wait cost a loop: each keeps a whole buffer, maybe for a
// few bytes in it.
const maxKept = 4

var scratches sync.Pool // of *[ScratchSize]byte

// Scratch returns a buffer of ScratchSize bytes that all handlers of the loop
// share, to read into. It is the caller's until its callback returns or its
// task waits. Only callbacks and tasks may call it. The message that a stream
// passes to a callback may be in this buffer: such a callback must not use it.
func (k Kit) Scratch() []byte {
	s := &k.l.scratch
	if s.buf == nil || s.borrower != nil {
		s.renew()
	}
	return s.buf
}

func (s *scratch) renew() {
	if s.borrower != nil {
		s.kept = append(s.kept, loan{s.borrower, s.buf})
		s.borrower = nil
	}
	if b, ok := scratches.Get().(*[ScratchSize]byte); ok {
		s.buf = b[:]
		return
	}
	s.buf = make([]byte, ScratchSize)
}

// LendScratch leaves what the scratch buffer holds to t, a task begun by RunJob that has
// not waited yet, whose callback has read it: the bytes stay as they are until t has
// ended. LendScratch returns false if too many tasks that wait keep a buffer: then t has
// to copy what it needs.
func (k Kit) LendScratch(t *Task) bool {
	s := &k.l.scratch
	if len(s.kept) >= maxKept {
		return false
	}
	s.borrower = t.co
	return true
}

// giveBack ends the loan, if there is one, to a coroutine whose task has ended.
func (s *scratch) giveBack(co *coroutine) {
	if s.borrower == co { // nearly always: nobody has read meanwhile
		s.borrower = nil
	} else if len(s.kept) > 0 {
		if buf := s.takeKept(co); buf != nil {
			scratches.Put((*[ScratchSize]byte)(buf))
		}
	}
}

// lose ends the loan to a coroutine whose task has failed, and may have left the bytes to
// somebody: nobody else gets them.
func (s *scratch) lose(co *coroutine) {
	if s.borrower == co {
		s.buf, s.borrower = nil, nil
	}
	s.takeKept(co)
}

// takeKept returns the buffer that the coroutine's task has kept, nil if it has none.
func (s *scratch) takeKept(co *coroutine) []byte {
	for i, l := range s.kept {
		if l.to == co {
			last := len(s.kept) - 1
			s.kept[i], s.kept[last] = s.kept[last], loan{}
			s.kept = s.kept[:last]
			return l.buf
		}
	}
	return nil
}
