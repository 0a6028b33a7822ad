package iostream

import (
	"context"
	"fmt"
	"net"
	"os"
	"syscall"

	"github.com/eddyloop/eddy/ioloop"
)

// corkLimit is how much a stream puts off to the end of the turn. A write that
// goes beyond leaves at once, together with what was put off, and uncopied.
const corkLimit = 16 << 10

// Write takes all of p to be sent, in order with other writes, and returns at
// once. The stream does not use p afterwards. Small writes of one turn of the
// loop are sent together at its end. To learn when they are sent, see WaitSent
// and Flush.
//
// If more than Config.WriteLimit bytes would wait to be sent, Write takes
// nothing and returns ErrBufferFull. If the stream can no longer be written,
// Write returns why; if this write has discovered that, Mark counts p as taken,
// and WaitSent returns the error. After the write deadline the error is
// os.ErrDeadlineExceeded.
func (s *Stream) Write(p []byte) (int, error) {
	s.mu.Lock()
	if s.joins(p) {
		s.mu.Unlock()
		return len(p), nil
	}
	defer s.mu.Unlock()
	return s.take(p)
}

// joins puts p off, behind what is put off already, if somebody is sure to flush that
// and there is room, as for most writes of a callback or task. It is what take would do,
// found out quickly.
func (s *Stream) joins(p []byte) bool {
	const leaves = blocked | finWanted | outputEnded | closed | writeExpired
	if s.state&leaves != 0 || s.state&(pumping|dirty) == 0 {
		return false
	}
	q, limit := s.out, min(corkLimit, s.config.writeLimit())
	if q != nil {
		if q.size+q.unsent+len(p) > limit || !q.squeeze(p) {
			return false
		}
	} else if len(p) == 0 || len(p) > limit {
		return false
	} else {
		s.output().begin(p)
	}
	s.accepted += int64(len(p))
	return true
}

// take is Write under the lock.
func (s *Stream) take(p []byte) (int, error) {
	if s.any(finWanted | outputEnded | closed | writeExpired) {
		return 0, opError("write", s.refusal())
	}
	if err := s.makeRoom(len(p)); err != nil {
		return 0, opError("write", err)
	}
	if len(p) == 0 {
		return 0, nil
	}
	s.accepted += int64(len(p))
	s.countLarge(len(p))
	if s.cork(len(p)) {
		s.output().append(p)
		if s.any(blocked) {
			s.charge()
		}
		return len(p), nil
	}
	s.send(p, false)
	s.charge()
	s.afterFlush()
	if err := s.writeEnd(); err != nil {
		return 0, opError("write", err)
	}
	return len(p), nil
}

// countLarge counts n bytes of a write, if they are many, as work of the turn. Whether they
// are sent at once or copied, that takes long enough for a look at the clock, and a task or
// a callback of another stream may go on and on.
func (s *Stream) countLarge(n int) {
	if n > corkLimit {
		s.loop.Kit().ChargeMoved(n)
	}
}

// countOfTask is countLarge where ctx says who moves the bytes: a goroutine takes nothing of
// the loop's turn.
func (s *Stream) countOfTask(ctx context.Context, n int) {
	if _, isTask := ctx.(*ioloop.Task); isTask {
		s.countLarge(n)
	}
}

// makeRoom sends what was only put off if n more bytes go beyond the limit. It returns an
// error if they still do, or if sending has failed: then they count as taken.
func (s *Stream) makeRoom(n int) error {
	limit := s.config.writeLimit()
	if n <= limit-s.backlog() {
		return nil
	}
	if n <= limit && !s.mustQueue() {
		s.flush()
		if err := s.writeEnd(); err != nil {
			s.accepted += int64(n)
			return err // whoever is to flush what was put off sees to the rest
		}
		if n <= limit-s.backlog() {
			return nil
		}
	}
	return ErrBufferFull
}

// cork reports whether n bytes can be put off, because somebody is sure to
// flush them.
func (s *Stream) cork(n int) bool {
	switch {
	case s.mustQueue():
		return true // pump does when the transport is writable, or attached
	case s.out != nil && s.out.size+n > corkLimit || n > corkLimit:
		return false
	case s.any(pumping):
		return true
	}
	if !s.any(dirty) && s.loop.Kit().AtTurnEnd((*lateFlush)(s)) {
		s.set(dirty)
	}
	return s.any(dirty)
}

// mustQueue reports whether the transport cannot be written to now. Whoever changes that
// flushes.
func (s *Stream) mustQueue() bool {
	return s.any(blocked) || !s.takesWrites() || s.out.isReserved()
}

// takesWrites reports whether the transport can be written to. Descriptors can be before the
// loop knows them, so that what a goroutine writes does not wait for the loop.
func (s *Stream) takesWrites() bool {
	if s.any(attached | plainSocket) {
		return true
	}
	t, ok := s.transport.(earlyWriter)
	return ok && t.writesEarly()
}

// earlyWriter is a transport whose Write may be called before Attach, at least sometimes.
type earlyWriter interface{ writesEarly() bool }

func (s *Stream) output() *output {
	if s.out == nil {
		s.out = outputs.Get().(*output)
	}
	return s.out
}

// backlog returns how many of the accepted bytes are not out.
func (s *Stream) backlog() int {
	if s.out == nil || s.any(outputEnded|closed) {
		return 0
	}
	return s.out.size + s.out.unsent
}

// sent returns how many bytes are out, ever.
func (s *Stream) sent() int64 {
	if s.any(outputEnded | closed) {
		return s.details.sent
	}
	return s.accepted - int64(s.backlog())
}

// outSince returns how many of n bytes, accepted from a write index on, were not dropped.
func (s *Stream) outSince(index, n int64) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.any(outputEnded | closed) {
		return n
	}
	return min(n, max(0, s.details.sent-index))
}

// refusal returns why Write takes nothing now, nil if it does.
func (s *Stream) refusal() error {
	if !s.any(finWanted | outputEnded | closed | writeExpired) {
		return nil
	}
	if err := s.writeEnd(); err != nil {
		return err
	}
	return os.ErrDeadlineExceeded
}

// errWriteEnded is what a write comes to after CloseWrite: what closed streams have, and what
// package net has.
var errWriteEnded = fmt.Errorf("%w: %w", net.ErrClosed, syscall.EPIPE)

// writeEnd returns why Write takes nothing ever again, nil if it may.
func (s *Stream) writeEnd() error {
	switch {
	case s.any(outputEnded) && !s.any(finSent|closed): // a write has failed, which comes before any close
		return s.details.writeErr
	case s.any(closing) && !s.any(closed):
		return s.details.reason
	case s.any(finWanted) && !s.any(closed):
		return errWriteEnded
	}
	return s.sendEnd()
}

// sendEnd returns why nothing that was accepted is sent any more, nil if it is.
func (s *Stream) sendEnd() error {
	switch {
	case s.any(closed):
		return s.details.err
	case s.any(outputEnded):
		return s.details.writeErr
	}
	return nil
}

// waitEnd returns why nobody waits for what was accepted, nil if one may.
func (s *Stream) waitEnd() error {
	if err := s.sendEnd(); err != nil || !s.any(writeExpired) {
		return err
	}
	return os.ErrDeadlineExceeded
}

// flush hands what is queued to the transport, as far as that takes it, and completes
// the waiting calls that this fulfils.
func (s *Stream) flush() { s.send(nil, false) }

// send is flush with p behind what is queued. If p stays as it is until it is out
// (stays), what is left of it is queued without a copy.
func (s *Stream) send(p []byte, stays bool) {
	if s.any(closed|outputEnded) || !s.takesWrites() || s.out == nil && len(p) == 0 && !s.any(layered) || s.out.isReserved() {
		return
	}
	var err error
	if s.out != nil || len(p) > 0 {
		err = s.writeQueue(p, stays)
	}
	if s.any(layered) {
		err = s.flushLayer(err)
	}
	switch err {
	case nil:
	case ErrWouldBlock:
		s.set(blocked)
	default:
		s.endWriting(err)
		return
	}
	if s.details != nil {
		s.details.noteSent(s)
	}
	if s.out == nil {
		return
	}
	if s.out.next() != nil {
		s.wakeSent()
	}
	if s.out.idle() {
		outputs.Put(s.out)
		s.out = nil
	}
}

// flushLayer has a layer hand on what it holds itself, unless writing to it has
// failed.
func (s *Stream) flushLayer(err error) error {
	layer := s.transport.(Layer)
	if err == nil {
		err = layer.Flush()
	}
	if s.out != nil {
		s.out.unsent = layer.Unsent() // also after an error: what counts as sent?
	}
	return err
}

// writeQueue writes until all is out, the transport blocks, or the budget is
// used up, which counts as blocked: the next turn goes on.
func (s *Stream) writeQueue(p []byte, stays bool) error {
	q := s.output()
	for budget := maxFlush; !s.any(blocked) && q.size+len(p) > 0; {
		var n int
		var err error
		if q.pipe != nil {
			n, err = s.drainPipe(q)
		} else {
			n, err = s.transport.Write(q.slices(p))
			p = p[q.consume(n):]
		}
		budget -= n
		if err != nil && err != ErrWouldBlock {
			q.append(p) // it counts as not sent
			return err
		}
		if err == ErrWouldBlock || budget <= 0 {
			s.set(blocked)
		}
	}
	switch {
	case len(p) == 0:
	case stays:
		q.borrow(p)
	default:
		q.append(p)
	}
	return nil
}

// endWriting drops what is queued and fails who waits for it.
func (s *Stream) endWriting(err error) {
	if s.any(outputEnded | closed) {
		return
	}
	sent := s.sent()
	m := s.ensureDetails()
	m.sent, m.writeErr = sent, err
	s.set(outputEnded)
	s.hasLeft()
	s.unset(blocked)
	if s.out != nil {
		s.out.drop()
	}
	s.wakeSent()
}

// afterFlush has the loop look at what a flush outside of pump has changed.
// Callbacks for what was sent need no look: WaitSentFunc has asked for one, and
// from then on only pump unblocks the transport.
func (s *Stream) afterFlush() {
	read, write := s.wants() // writing may have changed what reading waits for
	if s.any(blocked) && s.armed&write == 0 || s.reading() && s.armed&read == 0 || s.op.held ||
		s.any(outputEnded|inputEnded|finWanted|draining) {
		s.schedule()
	}
}
