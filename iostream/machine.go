package iostream

import (
	"errors"
	"io"
	"syscall"

	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/poller"
)

// Budgets of one pump, so that one busy stream does not hold the loop from the
// others. Whatever is left goes on in the next turn.
const (
	maxDeliveries = 64      // callbacks, a batch of a repeating read being one
	maxFills      = 4       // reads from the transport
	maxFlush      = 1 << 20 // bytes written
)

// pump is the stream's share of a turn, on the loop: it takes in what has
// become ready, calls callbacks as long as there is something for them, sends
// what they wrote, and says what to listen for next. It is the only place that
// reads, arms and closes the transport.
func (s *Stream) pump(ready poller.Interest, hints poller.Hint) {
	s.mu.Lock()
	s.unset(scheduled)
	s.set(pumping)
	before := s.sent()
	if s.steady(ready) {
		switch s.express() {
		case wholeWay:
			s.leaveExpress(before)
			return
		case leftToTask:
			return
		}
		ready = 0 // it has received what has come
	}
	s.pumpWhole(ready, hints, before, maxDeliveries)
}

// pumpWhole is a pump in all its parts. It is called with the lock held, which it
// releases. If it begins a task that waits, the rest of it is for afterTask.
func (s *Stream) pumpWhole(ready poller.Interest, hints poller.Hint, before int64, budget int) {
	if !s.any(attached) {
		s.attach()
	}
	if s.any(handshaking) {
		s.shake()
		ready = 0 // what it leaves unread is announced again
	}
	s.notice(ready, hints)
	for budget > 0 {
		before = s.countSent(before)
		did := s.progress()
		if did == handedOn {
			return
		}
		if did == nothing {
			break
		}
		if budget--; s.loop.Kit().TurnUsedUp() {
			budget = 0
		}
	}
	s.in.own()
	s.in.release()
	s.countSent(before)
	s.charge()
	s.arm()
	s.watchClocks()
	s.unset(pumping)
	if budget == 0 || s.mustFinish() || s.receives() && s.holdsPlaintext() ||
		s.any(handshaking) && s.handshakeDue() {
		s.schedule()
	}
	s.mu.Unlock()
}

// step is what a part of a pump has done.
type step uint8

const (
	nothing step = iota
	something
	handedOn // a task was begun and waits, or will be run: the pump has to return at once
)

// progress does the next thing there is to do, if any.
func (s *Stream) progress() step {
	if did := s.deliver(); did != nothing {
		return did
	}
	s.flush()
	if s.advance() {
		return something
	}
	return s.deliver()
}

// countSent counts what has been sent since before as work of the turn, on the loop. It
// returns what has been sent in all.
func (s *Stream) countSent(before int64) int64 {
	sent := s.sent()
	s.loop.Kit().Charge(int(sent - before))
	return sent
}

// schedule has the loop call pump, if it does not do so anyway.
func (s *Stream) schedule() {
	if s.any(pumping | scheduled) {
		return
	}
	if s.loop.Kit().Schedule((*work)(s)) == nil {
		s.set(scheduled)
	}
}

// scheduleOrClosed is schedule for a callback that waits to be called. It fails once the loop is
// closed.
func (s *Stream) scheduleOrClosed() error {
	if s.schedule(); !s.any(pumping | scheduled) {
		return ioloop.ErrClosed
	}
	return nil
}

func (s *Stream) attach() {
	if s.any(closed) {
		return
	}
	want := s.interest()
	if err := s.transport.Attach(s.loop, (*work)(s), want); err != nil {
		s.closeLocked(err)
		return
	}
	s.set(attached)
	s.armed = want
}

// notice takes in what the transport is ready for.
func (s *Stream) notice(ready poller.Interest, hints poller.Hint) {
	if s.any(finished) || !s.any(attached) {
		return
	}
	read, write := s.wants()
	if s.any(blocked) && ready&write != 0 {
		s.unset(blocked)
		s.flush()
	}
	switch {
	case s.reading():
		if ready&(read|poller.PeerClosed) != 0 || s.holdsPlaintext() {
			s.fill()
		}
	case s.receives():
		if ready&(read|poller.PeerClosed) != 0 || s.holdsPlaintext() {
			s.discard()
		}
	case ready&poller.Readable != 0:
		s.set(unwanted)
	}
	if ready&poller.PeerClosed != 0 && !s.any(closed) &&
		(!s.any(inputEnded) || s.any(writeOnly) || hints&poller.Failed != 0) {
		s.probe() // the watch tells once, and a read need not have come to the end
	}
}

// reading reports whether a read waits for input.
func (s *Stream) reading() bool {
	return s.op.kind != readNone && !s.any(inputEnded|closing|closed) && !s.paused() &&
		!(s.op.task() != nil && s.any(handling))
}

// receives reports whether input is received, for a read or to be thrown away.
func (s *Stream) receives() bool {
	return s.reading() || s.lingering()
}

// lingering reports whether the stream throws away what still comes, so that
// the peer gets what was sent last.
func (s *Stream) lingering() bool {
	return s.any(closing) && !s.any(noLinger|inputEnded|closed)
}

// paused reports whether a repeating read holds back: it was asked to, or too
// much waits to be sent. Then it goes on at the low-water mark, so that it does
// not flutter.
func (s *Stream) paused() bool {
	switch {
	case !s.op.repeats() || s.any(closed):
		return false
	case s.op.stopped && !s.any(closing):
		return true
	}
	return s.holdsBack()
}

// holdsBack reports whether too much waits to be sent for a repeating read to go on.
func (s *Stream) holdsBack() bool {
	if s.out == nil || s.op.relayed {
		return false
	}
	backlog := s.backlog()
	if backlog > s.config.highWaterMark() {
		s.op.held = true
	} else if s.op.held && backlog <= s.config.lowWaterMark() {
		s.op.held = false
	}
	return s.op.held
}

// keepsUp is a quick look that finds out most times that holdsBack would be false.
func (s *Stream) keepsUp() bool {
	return s.out == nil || s.out.size+s.out.unsent <= s.config.highWaterMark() && !s.op.held
}

// fill reads until a read came up short or the pending read is satisfied, which
// it may be already: by no bytes at all, or by what a pump has not got round to.
func (s *Stream) fill() {
	if (s.in.len() > 0 || s.op.size == 0) && s.satisfied() {
		return
	}
	if s.splicesNext() && s.splice(s.details.flow) {
		return
	}
	for range maxFills {
		full, err := s.readOnce()
		if err != nil {
			s.readFailed(err)
			return
		}
		s.noteReceived()
		if !full && !s.holdsPlaintext() || s.satisfied() {
			return
		}
	}
}

// readFailed takes in why the transport has nothing more.
func (s *Stream) readFailed(err error) {
	switch err {
	case ErrWouldBlock:
	case io.EOF, io.ErrUnexpectedEOF:
		s.inputOver(err)
	default:
		s.inputFailed(err)
	}
}

// inputFailed is told that the transport can be read no more.
func (s *Stream) inputFailed(err error) {
	if t, ok := s.transport.(*tlsTransport); ok && t.alert && !t.failed && !s.any(closing|closed) {
		s.failTLS(t, err)
		return
	}
	s.closeLocked(err)
}

// inputOver is told that the transport has no more input. It says so too behind a
// connection that has broken, if a write was told of that first: the kernel tells once.
func (s *Stream) inputOver(err error) {
	if s.any(outputEnded) && !s.any(finSent|inputEnded) && !errors.Is(s.details.writeErr, syscall.EPIPE) {
		s.closeLocked(s.details.writeErr)
		return
	}
	s.endReading(err)
}

// satisfied reports whether the pending read needs no more input.
func (s *Stream) satisfied() bool {
	if s.op.isInto() {
		return s.op.into.fill(&s.in)
	}
	n, err := s.match(&s.op)
	return n >= 0 || err != nil
}

// readOnce reads once: into the caller's buffer if it asked for that, into the
// loop's scratch buffer if little is expected, or else behind what there is.
func (s *Stream) readOnce() (full bool, err error) {
	n, room := 0, s.readRoom()
	if room == nil {
		s.in.own() // an earlier read of this pump may have left bytes there
		room = s.loop.Kit().Scratch()
		if n, err = s.transport.Read(room); n > 0 && s.in.len() == 0 {
			s.in.borrow(room[:n])
		} else {
			s.in.append(room[:n])
		}
		s.loop.Kit().Charge(n)
		return n == len(room), err
	}
	n, err = s.transport.Read(room)
	s.loop.Kit().Charge(n)
	full = n >= min(len(room), maxRead)
	if s.op.isInto() {
		s.op.into.filled += n
		s.noteFull(full)
	} else {
		s.in.data = s.in.data[:len(s.in.data)+n]
	}
	return full, err
}

// maxRead is what one read of a transport brings at most.
const maxRead = 64 << 10

// readRoom returns where to read to directly; nil is the scratch buffer.
func (s *Stream) readRoom() []byte {
	if s.op.isInto() && s.in.len() == 0 {
		return s.op.into.p[s.op.into.filled:]
	}
	if s.in.borrowed {
		return nil
	}
	have := s.in.len()
	if have >= maxRead {
		// Much has come, much will: what a peer announces is believed when a
		// sixteenth of it is here.
		if s.op.isExact() && have >= int(s.op.size)/16 {
			s.in.exactly(int(s.op.size) - have)
		} else {
			s.in.reserve(maxRead, int(s.op.size)+maxRead) // the read fails beyond its limit
		}
	}
	if room := s.in.room(); len(room) >= largeRoom {
		return room
	}
	return nil
}

// probe finds out what the close watch has seen.
func (s *Stream) probe() {
	switch err := s.transport.Probe(); err {
	case nil: // the end is behind bytes that nobody has asked for yet
		s.noteEOF()
	case io.EOF, io.ErrUnexpectedEOF:
		s.inputOver(err)
	default:
		s.inputFailed(err)
	}
}

// arm tells the transport what to listen for, if that has changed.
func (s *Stream) arm() {
	if s.any(closed) || !s.any(attached) {
		return
	}
	want := s.interest()
	if want == s.armed {
		return
	}
	if err := s.transport.Arm(s.loop, want); err != nil {
		s.closeLocked(err)
		return
	}
	s.armed = want
}

// interest returns what to listen for. Reading stays armed between reads, so
// that the steady state has no calls for it; only when input comes that nobody
// wants does the close watch take its place.
func (s *Stream) interest() poller.Interest {
	read, write := s.wants()
	var want poller.Interest
	switch {
	case s.any(inputEnded):
	case s.receives() || s.any(handshaking):
		s.unset(unwanted)
		want = read
	case !s.any(unwanted):
		want = s.armed & poller.Readable
	}
	if want&poller.Readable == 0 {
		want |= poller.PeerClosed
	}
	if s.any(blocked) {
		want |= write
	}
	return want
}
