package iostream

import "github.com/eddyloop/eddy/poller"

// Nearly every message comes to a stream that has nothing buffered either way,
// and goes to a callback or a task that waits for it; what that writes leaves at
// once. Pump could do this as it does everything, but half of its time would go
// into finding out that all the rest does not apply. Express does only this. It
// leaves the stream in a state from which pump can go on, whatever came of it.

// steady reports whether express applies: input has come for a read that wants
// bytes, and there is nothing else to see to.
func (s *Stream) steady(ready poller.Interest) bool {
	return ready == poller.Readable && s.armed == poller.Readable && s.unremarkable() &&
		s.in.data == nil && s.op.takesScratch() && !s.splicesNext() && !(s.op.task() != nil && s.any(handling)) && s.config.Budget == nil
}

// takesScratch reports whether the read takes its message out of the scratch
// buffer: a repeating one, or one that waits and has no buffer of its own.
func (op *readOp) takesScratch() bool {
	return op.repeats() && !op.stopped || op.wait() != nil && !op.isInto()
}

// needsInput reports whether the slot has nothing that could end without input: a
// read of no bytes could.
func (op *readOp) needsInput() bool { return op.kind == readNone || op.size > 0 }

// unremarkable reports whether the stream is open both ways, with nothing to
// send and nobody waiting for that.
func (s *Stream) unremarkable() bool {
	return s.state&^(served|handling|noLinger|plainSocket|cameFull) == attached|pumping && s.out == nil
}

// express receives once, delivers one read (or a batch of a repeating one) and
// sends what was written meanwhile. It reports whether that was all there is to
// do: all that had come was received and read, the stream is as unremarkable as
// before, and the read that waits now, if one does, waits for input. Then what the
// transport was told to listen for still holds. If not, pump goes on.
func (s *Stream) express() bool {
	scratch := s.loop.Kit().Scratch()
	n, err := s.transport.Read(scratch)
	if err != nil {
		s.readFailed(err)
		return false
	}
	s.noteReceived()
	s.loop.Kit().Charge(n)
	s.in.borrow(scratch[:n])
	if s.op.each() == nil {
		s.in.own() // the caller keeps the bytes for longer than the scratch buffer does
	}
	if s.op.task() != nil {
		end, _ := s.match(&s.op)
		if end < 0 {
			return false
		}
		s.startTask(end)
	} else if message, ok := s.next(&s.op); !ok {
		return false
	} else if s.op.each() != nil {
		s.callEach(message)
	} else {
		s.resumeReader(message)
	}
	if s.out != nil {
		s.flush()
	}
	s.in.settle()
	return n < len(scratch) && s.in.len() == 0 && s.unremarkable() && s.op.needsInput()
}
