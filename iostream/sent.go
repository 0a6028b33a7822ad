package iostream

import (
	"cmp"
	"context"
)

// Mark returns the number of bytes that writes have taken so far, for WaitSent.
func (s *Stream) Mark() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.accepted
}

// Backlog returns how many written bytes wait to be sent: the kernel has not
// taken them yet.
func (s *Stream) Backlog() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.backlog()
}

// WaitSent waits until the kernel has all bytes up to mark, a result of Mark.
// It returns nil if and only if the kernel got them, also when the stream has
// closed since. Otherwise it returns why not, the error of ctx,
// os.ErrDeadlineExceeded after the write deadline, or ErrInvalid if mark is no
// result of Mark. Any number of calls may wait at once.
func (s *Stream) WaitSent(ctx context.Context, mark int64) error {
	return s.waitSent(ctx, "wait sent", mark)
}

// Flush waits until the kernel has everything that was written before: WaitSent
// of Mark.
func (s *Stream) Flush(ctx context.Context) error { return s.waitSent(ctx, "flush", s.Mark()) }

// Room waits until at most Config.HighWaterMark bytes wait to be sent; if there
// are more, until half of that is left. A producer calls it before it writes
// more, so that it is no faster than the peer. It returns the error of ctx,
// os.ErrDeadlineExceeded after the write deadline, or why the stream can no
// longer be written.
func (s *Stream) Room(ctx context.Context) error {
	for {
		s.mu.Lock()
		if s.backlog() <= s.config.highWaterMark() && !s.any(finWanted|outputEnded|closed) {
			s.mu.Unlock()
			return opError("room", checkContext(ctx)) // nearly always; a task gives way to others there
		}
		err := s.writeEnd()
		index := s.roomIndex()
		s.mu.Unlock()
		if err != nil {
			return opError("room", err)
		}
		if err := s.waitSent(ctx, "room", index); err != nil {
			return err
		}
	}
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
	if s.any(closing) && wantsToWrite(name) {
		return true, opError(name, s.details.reason) // Close was quicker than this wait
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

// WaitSentFunc has fn called once on the loop with what WaitSent would return.
// It returns ErrInvalid if fn is nil or mark is no result of Mark, and
// ioloop.ErrClosed once the loop is closed; then fn is not called.
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

// RoomFunc has fn called on the loop when Room would return, with nil or the
// error that Room would return. RoomFunc returns ErrInvalid if fn is nil, and
// ioloop.ErrClosed once the loop is closed; then fn is not called.
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
