package iostream

import (
	"github.com/eddyloop/eddy/poller"
)

// Nearly every message comes to a stream that has nothing buffered either way,
// and goes to a callback or a task that waits for it; what that writes leaves at
// once. Pump could do this as it does everything, but half of its time would go
// into finding out that all the rest does not apply. Express does only this. It
// leaves the stream in a state from which pump can go on, whatever came of it.

// steady reports whether express applies: input has come for a read that wants
// bytes, and there is nothing else to see to.
func (s *Stream) steady(ready poller.Interest) bool {
	return ready == poller.Readable && s.armed == poller.Readable && s.unremarkable() &&
		s.in.data == nil && s.op.isExpected() && !s.splicesNext() && !(s.op.task() != nil && s.any(handling)) && s.config.Budget == nil
}

// isExpected reports whether the read is a repeating one, or one that somebody waits for.
func (op *readOp) isExpected() bool {
	return op.repeats() && !op.stopped || op.wait() != nil
}

// needsInput reports whether the slot has nothing that could end without input, as a
// read of no bytes could, and one that has got a part of its message when its time is over.
func (op *readOp) needsInput() bool { return op.kind == readNone || op.size > 0 && op.placed() == 0 }

// unremarkable reports whether the stream is open both ways, with nothing to
// send and nobody waiting for that.
func (s *Stream) unremarkable() bool {
	return s.state&^(served|handling|held|noLinger|plainSocket|cameFull) == attached|pumping && s.out == nil
}

// way is how far express has come.
type way uint8

const (
	partWay    way = iota // pump goes on
	leftToTask            // a task waits, or is due: expressed goes on
	wholeWay              // that was all there is to do
)

// express receives once, delivers one read (or a batch of a repeating one) and
// sends what was written meanwhile. That was all there is to do if quiet then holds.
// What has come and was not received is announced again.
func (s *Stream) express() way {
	if s.op.isInto() {
		return s.expressInto()
	}
	scratch := s.loop.Kit().Scratch()
	n, err := s.transport.Read(scratch)
	if err != nil {
		s.readFailed(err)
		return partWay
	}
	s.noteReceived()
	s.loop.Kit().Charge(n)
	s.in.borrow(scratch[:n])
	if s.op.wait() != nil {
		s.in.own() // the caller keeps the bytes for longer than the scratch buffer does
	}
	if s.op.task() != nil {
		end, _ := s.match(&s.op)
		if end < 0 {
			return partWay
		}
		if s.runTask(end, (*expressed)(s)) == handedOn {
			return leftToTask
		}
	} else if message, ok := s.next(&s.op); !ok {
		return partWay
	} else if s.op.each() != nil {
		s.callEach(message)
	} else {
		s.resumeReader(message)
	}
	if s.quiet() {
		return wholeWay
	}
	return partWay
}

// expressInto is express for a read into the buffer of who waits for it.
func (s *Stream) expressInto() way {
	t := s.op.into
	room := t.p[t.filled:]
	n, err := s.transport.Read(room)
	if err != nil {
		s.readFailed(err)
		return partWay
	}
	s.noteReceived()
	s.loop.Kit().Charge(n)
	t.filled += n
	s.noteFull(n >= min(len(room), maxRead))
	if t.filled < t.least {
		return partWay
	}
	s.resumeReader(nil)
	if s.quiet() {
		return wholeWay
	}
	return partWay
}

// quiet sends what was written, and reports whether nothing else is left to do: what
// was received was read, the stream is as unremarkable as before, and the read that waits now,
// if one does, waits for input. Then what the transport was told to listen for still
// holds.
func (s *Stream) quiet() bool {
	if s.out != nil {
		s.flush()
	}
	s.in.settle()
	return s.in.len() == 0 && s.unremarkable() && s.op.needsInput()
}

// leaveExpress releases the lock.
func (s *Stream) leaveExpress(before int64) {
	s.countSent(before)
	s.unset(pumping)
	s.mu.Unlock()
}

// expressed is afterTask for express.
type expressed Stream

// Run is the rest of the pump.
func (e *expressed) Run() {
	s := (*Stream)(e)
	s.mu.Lock()
	s.tellWait()
	before := s.sent()
	if s.quiet() {
		s.leaveExpress(before)
		return
	}
	s.pumpWhole(0, 0, before, maxDeliveries)
}

// Fail is called if that has failed.
func (e *expressed) Fail(err error) { (*work)(e).Fail(err) }
