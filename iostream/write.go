package iostream

import (
	"cmp"
	"context"
	"net"
	"os"

	"github.com/eddyloop/eddy/ioloop"
)

// corkLimit is how much a stream puts off to the end of the turn. A write that
// goes beyond leaves at once, together with what was put off, and uncopied.
const corkLimit = 16 << 10

// Write takes all of p to be sent, in order with other writes, and returns at
// once; p is the caller's again. Small writes of one turn of the loop leave
// together at its end, so nothing has to be flushed for them to go out. To
// learn when they have, see WaitSent and Flush.
//
// If more than Config.WriteLimit bytes would wait to be sent, none of p is
// taken and the error is ErrBufferFull. If the stream can no longer be written,
// the error says why; if it is this write that finds that out, p counts in Mark
// as bytes that were not sent. Past the write deadline it is
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

// joins adds p to what is put off already, if there is such and it has room, as for
// most of several writes in a row. It is what take would do, found out quickly.
func (s *Stream) joins(p []byte) bool {
	const leaves = blocked | finWanted | outputEnded | closed | writeExpired
	q := s.out
	if q == nil || s.state&leaves != 0 || s.state&(pumping|dirty) == 0 ||
		q.size+q.unsent+len(p) > min(corkLimit, s.config.writeLimit()) || !q.squeeze(p) {
		return false
	}
	s.accepted += int64(len(p))
	return true
}

// take is Write under the lock.
func (s *Stream) take(p []byte) (int, error) {
	if s.any(finWanted | outputEnded | closed | writeExpired) {
		return 0, opError("write", s.refusal())
	}
	if len(p) > s.config.writeLimit()-s.backlog() {
		return 0, opError("write", ErrBufferFull)
	}
	if len(p) == 0 {
		return 0, nil
	}
	s.accepted += int64(len(p))
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

// cork reports whether n bytes can be put off, because somebody is sure to
// flush them.
func (s *Stream) cork(n int) bool {
	switch {
	case s.any(blocked) || !s.any(attached):
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

// writeEnd returns why Write takes nothing ever again, nil if it may.
func (s *Stream) writeEnd() error {
	switch {
	case s.any(closing) && !s.any(closed):
		return s.details.reason
	case s.any(finWanted) && !s.any(closed):
		return net.ErrClosed
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
	if s.any(closed|outputEnded) || !s.any(attached) || s.out == nil && len(p) == 0 && !s.any(layered) {
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
		n, err := s.transport.Write(q.slices(p))
		p = p[q.consume(n):]
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

// Mark returns the write index: the number of bytes that Write has taken so
// far.
func (s *Stream) Mark() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.accepted
}

// Backlog returns how many bytes wait to be sent.
func (s *Stream) Backlog() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.backlog()
}

// WaitSent waits until all bytes up to mark, a value of Mark, are with the
// kernel. It returns nil exactly if they got there, also when the stream has
// closed since; else why they did not, or the context's error, or
// os.ErrDeadlineExceeded past the write deadline. Many may wait at once.
func (s *Stream) WaitSent(ctx context.Context, mark int64) error {
	return s.waitSent(ctx, "wait sent", mark)
}

// Flush waits until everything that was written is with the kernel: WaitSent of
// Mark.
func (s *Stream) Flush(ctx context.Context) error { return s.waitSent(ctx, "flush", s.Mark()) }

// Room waits until at most Config.HighWaterMark bytes wait to be sent; if there
// are more, until half of that is left. It is what a producer waits for in
// order not to outrun the peer.
func (s *Stream) Room(ctx context.Context) error {
	for {
		s.mu.Lock()
		if s.backlog() <= s.config.highWaterMark() && !s.any(finWanted|outputEnded|closed) {
			s.mu.Unlock()
			return opError("room", giveWay(ctx)) // nearly always
		}
		err := s.writeEnd()
		index := s.roomIndex()
		s.mu.Unlock()
		if err != nil {
			return opError("room", err)
		}
		if err := s.waitSent(ctx, "room", index); err != nil || index == 0 {
			return err
		}
	}
}

// giveWay is for what need not wait: it has a task that does so on and on let others
// have their turn.
func giveWay(ctx context.Context) error {
	if task, ok := ctx.(*ioloop.Task); ok && task != nil && task.Loop().Kit().TurnUsedUp() {
		return task.Yield()
	}
	return checkContext(ctx)
}

// roomIndex returns what has to be out for there to be room, 0 if there is.
func (s *Stream) roomIndex() int64 {
	if s.backlog() <= s.config.highWaterMark() {
		return 0
	}
	return s.accepted - int64(s.config.lowWaterMark())
}

func (s *Stream) waitSent(ctx context.Context, name string, index int64) error {
	if err := checkContext(ctx); err != nil {
		return opError(name, err)
	}
	s.mu.Lock()
	if done, err := s.trySent(name, index); done {
		s.mu.Unlock()
		return err
	}
	w := waitOps.Get().(*waitOp)
	if err := w.Begin(ctx); err != nil {
		s.mu.Unlock()
		return opError(name, err)
	}
	s.output().wait(sentWaiter{index: index, op: name, wait: w})
	s.mu.Unlock()
	err := s.await(name, w)
	w.release()
	return err
}

// trySent reports whether the outcome of waiting for index is known already,
// having sent what it can.
func (s *Stream) trySent(name string, index int64) (bool, error) {
	if index < 0 || index > s.accepted {
		return true, opError(name, ErrInvalid)
	}
	if index > s.sent() && !s.any(blocked) {
		s.flush()
		s.afterFlush()
	}
	if index <= s.sent() {
		return true, nil
	}
	err := s.waitEnd()
	return err != nil, opError(name, err)
}

// await waits for w to be completed. If the context comes first, w is
// withdrawn; when both come at once, completion wins. That is deferred because a
// task whose loop stops may be unwound from inside of Wait.
func (s *Stream) await(name string, w *waitOp) (err error) {
	completed := false
	defer func() {
		if !completed {
			err = s.giveUp(w, err)
		}
	}()
	if err = opError(name, w.Wait()); err == nil {
		completed = true // what was stored before Wake is there to see
		err = w.err
	}
	return err
}

// giveUp withdraws w, unless it is completed after all.
func (s *Stream) giveUp(w *waitOp, err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if w.Woken() {
		return w.err
	}
	s.withdraw(w)
	return err
}

func (s *Stream) withdraw(w *waitOp) {
	if s.op.wait() == w {
		s.op = readOp{}
	}
	if s.out != nil {
		s.out.withdraw(w)
	}
	if s.details != nil {
		s.details.closes.withdraw(w)
		s.details.readCloses.withdraw(w)
	}
}

// WaitSentFunc has fn called on the loop with what WaitSent would return for mark.
// It returns ErrInvalid, and does nothing, if fn is nil or mark is no value of
// Mark, and ioloop.ErrClosed once the loop is closed.
func (s *Stream) WaitSentFunc(mark int64, fn func(error)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if fn == nil || mark < 0 || mark > s.accepted {
		return opError("wait sent", ErrInvalid)
	}
	if err := s.scheduleOrClosed(); err != nil {
		return opError("wait sent", err)
	}
	s.output().wait(sentWaiter{index: mark, op: "wait sent", fn: fn})
	return nil
}

// FlushFunc has fn called on the loop with what Flush would return: WaitSentFunc of
// Mark.
func (s *Stream) FlushFunc(fn func(error)) error { return s.WaitSentFunc(s.Mark(), fn) }

// RoomFunc has fn called on the loop when Room would return nil, or with the
// error that it would return. It returns ErrInvalid if fn is nil, and
// ioloop.ErrClosed once the loop is closed.
func (s *Stream) RoomFunc(fn func(error)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if fn == nil {
		return opError("room func", ErrInvalid)
	}
	if err := s.scheduleOrClosed(); err != nil {
		return opError("room func", err)
	}
	index := s.roomIndex()
	if s.writeEnd() != nil {
		index = 0 // it is told at once
	}
	s.output().wait(sentWaiter{index: index, op: "room func", fn: func(err error) {
		if room, end := s.room(); err != nil || end != nil {
			fn(cmp.Or(err, opError("room func", end)))
		} else if room {
			fn(nil)
		} else {
			_ = s.RoomFunc(fn) // more was written meanwhile
		}
	}})
	return nil
}

// room reports whether there is room, and why there never will be again.
func (s *Stream) room() (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.roomIndex() == 0, s.writeEnd()
}
