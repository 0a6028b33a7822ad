package iostream

import (
	"io"
	"net"
	"os"
	"sync"

	"github.com/eddyloop/eddy/ioloop"
)

// HandleTask has fn called for one message after another, each time as a task.
// fn may wait, for instance with t.Sleep, Flush(t), ioloop.Await or a read of
// another stream, and it may read more of this stream, such as a body after a
// header. While a stream waits for a message it has no task and no stack.
//
// The messages of a stream are handled one after another. Messages that have
// arrived together share a Task, so t may live longer than one call of fn. msg
// is valid until fn returns, whatever fn waits for or reads. While fn runs,
// only fn reads. While more than Config.HighWaterMark bytes wait to be sent, no
// further message is handled.
//
// When fn returns an error, the stream is closed in good order: what was
// written is sent first, and Err and Config.OnClosed tell the error. If fn
// panics or calls runtime.Goexit, the stream is aborted with a
// *ioloop.PanicError or ioloop.ErrGoexit. At the end of the stream fn is not
// called; the stream is closed in good order, with io.EOF, or
// io.ErrUnexpectedEOF within a message. ErrTooLong and an expired read deadline
// also close it.
//
// HandleTask returns the errors of Handle. SetFrame, Pause and Resume work as
// for Handle. After reads and a StartTLS that end before fn returns, further
// messages are handled. Handle, Detach, and a read that is
// still pending when fn returns take the stream over. HandleTask in fn replaces
// frame and function from the next message on; after it, fn's own reads are
// ErrReadPending.
func (s *Stream) HandleTask(f Frame, fn func(t *ioloop.Task, s *Stream, msg []byte) error) error {
	if err := f.checkRepeating(fn == nil); err != nil {
		return opError(readNames[f.kind], err)
	}
	return s.submit(&f, &readOp{reader: fn})
}

// deliverTask has a task handle the message that is there, or ends the stream if
// none will come. The bytes move to a buffer of the stream's own first: a task that
// waits would keep the loop's scratch buffer.
func (s *Stream) deliverTask() bool {
	op := &s.op
	if s.paused() && !op.expired {
		return false
	}
	if op.cut {
		s.op = readOp{}
		return true
	}
	n := -1
	var err error
	if !s.paused() {
		s.in.own()
		if n, err = s.match(op); err != nil {
			s.endMessages(opError(readNames[op.kind], err), err == io.EOF)
			return true
		}
	}
	if end := s.readEnd(); n < 0 && (end != nil || op.expired) {
		switch {
		case end == io.EOF && op.kind == readUntilClose:
			s.startTask(s.in.len(), (*afterTask)(s))
		case end == io.EOF && s.in.len() > 0:
			s.endMessages(io.ErrUnexpectedEOF, false)
		case end == nil || end == os.ErrDeadlineExceeded:
			s.endMessages(opError(readNames[op.kind], os.ErrDeadlineExceeded), false)
		default:
			s.endMessages(end, false)
		}
		return true
	}
	if n < 0 {
		return false
	}
	s.startTask(n, (*afterTask)(s))
	return true
}

// endMessages ends the stream of which no message will come any more: for reason,
// or by this side's wish.
func (s *Stream) endMessages(reason error, own bool) {
	s.op = readOp{}
	switch {
	case s.any(closing | closed):
	case s.any(held):
		s.set(abandoned)
	case own:
		s.closeInOrder(net.ErrClosed)
	default:
		s.closeInOrder(reason)
	}
}

// startTask has a task begin with the message of the next n bytes. It returns true if
// that is due at once: then the pump, which has to return, goes on with rest when the
// task has ended, or waits.
func (s *Stream) startTask(n int, rest ioloop.Runner) (due bool) {
	s.op.scanned = int32(n)
	s.set(handling)
	return s.loop.Kit().RunJob((*messages)(s), rest)
}

// afterTask is a Stream of which a pump has begun a task, which has ended or waits.
type afterTask Stream

// Run is the rest of the pump.
func (a *afterTask) Run() {
	s := (*Stream)(a)
	s.mu.Lock()
	budget := maxDeliveries
	if s.loop.Kit().TurnUsedUp() {
		budget = 0
	}
	s.pumpWhole(0, 0, s.sent(), budget)
}

// Fail is called if that has failed.
func (a *afterTask) Fail(err error) { (*work)(a).Fail(err) }

// messages is a Stream whose messages a task handles.
type messages Stream

// RunTask handles the message that was found, and further ones that are there.
func (m *messages) RunTask(t *ioloop.Task) {
	s := (*Stream)(m)
	if h := s.config.tasks; h != nil {
		if h.Label != nil {
			defer h.Label()()
		}
		h.Begin(s)
	}
	s.mu.Lock()
	fn, msg := s.op.task(), []byte(nil)
	ok := fn != nil && !s.op.cut // nobody else reads, but Close may have come first
	if ok {
		msg = s.takeMessage(&s.op, int(s.op.scanned))
		s.lendToTask(msg)
	}
	var err error
	for left := eachBatch - 1; ok; left-- {
		s.mu.Unlock()
		err = fn(t, s, msg)
		s.mu.Lock()
		fn, msg, ok = s.nextForTask(err, left > 0)
	}
	s.endHandling(err)
}

// Fail ends a stream whose function has panicked or called Goexit.
func (m *messages) Fail(err error) {
	s := (*Stream)(m)
	s.mu.Lock()
	s.abort(err)
	if !s.any(handling) { // it was End that failed
		s.mu.Unlock()
		return
	}
	s.in.kept, s.in.lent = false, true // whoever failed may have kept the message
	s.endHandling(err)
}

// lendToTask sees to it that a message that was taken stays as it is until the
// function returns.
func (s *Stream) lendToTask(msg []byte) {
	s.op.running = true
	s.op.nextMessage(msg)
	s.in.kept = true
	s.unset(inMessage)
}

// nextForTask takes the next message, if it is there and may be handled at once.
// The function has returned err.
func (s *Stream) nextForTask(err error, more bool) (fn taskFunc, msg []byte, ok bool) {
	s.in.kept, s.in.lent = false, false // what the function has read has ended with it
	s.takeBack()
	op := &s.op
	fn = op.task()
	if err != nil || fn == nil {
		s.endTask(err)
		return nil, nil, false
	}
	op.running, op.expired = false, s.any(readExpired)
	if !more || s.in.len() == 0 || op.cut || op.stopped ||
		!s.keepsUp() && s.holdsBack() || s.loop.Kit().TurnUsedUp() {
		return nil, nil, false
	}
	if msg, ok = s.next(op); ok {
		s.lendToTask(msg)
	}
	return fn, msg, ok
}

// endTask is what follows when the function has returned an error, or no longer has
// the slot.
func (s *Stream) endTask(err error) {
	switch {
	case err != nil:
		if s.op.task() != nil {
			s.op = readOp{}
		}
		s.closeForLocked(err)
	case s.op.kind == readNone: // what took over has ended
		s.endMessages(nil, true)
	}
}

// endHandling is called with the lock held, which it releases, when a task has
// handled its messages. If it has waited, it is not within pump.
func (s *Stream) endHandling(err error) {
	s.unset(handling)
	s.takeBack()
	if s.op.running {
		s.op = readOp{}
	}
	s.in.release()
	if !s.any(pumping) {
		if s.op.kind != readNone && (s.in.len() > 0 || s.readEnd() != nil || s.op.size == 0) {
			s.schedule()
		}
		s.charge()
		s.listen()
	}
	over := s.any(closed)
	s.mu.Unlock()
	if h := s.config.tasks; h != nil {
		h.End(s, over, err)
	}
}

var asides = sync.Pool{New: func() any { return new(readOp) }}

// setAside makes way in the slot for a read of the function's own.
func (s *Stream) setAside() {
	m := s.ensureDetails()
	if m.aside == nil {
		m.aside = asides.Get().(*readOp)
	}
	*m.aside, s.op = s.op, readOp{}
}

// takeBack puts the messages' read back into the slot, unless that is another's.
func (s *Stream) takeBack() {
	if s.details != nil && s.details.aside != nil {
		s.restoreAside()
	}
}

func (s *Stream) restoreAside() {
	aside := s.details.aside
	s.details.aside = nil
	if s.op.kind == readNone {
		s.op = *aside
	}
	*aside = readOp{}
	asides.Put(aside)
}

// repeating returns the repeating read, nil if there is none.
func (s *Stream) repeating() *readOp {
	if s.op.repeats() {
		return &s.op
	}
	if s.details != nil {
		return s.details.aside
	}
	return nil
}

// repeats reports whether it is a repeating read.
func (op *readOp) repeats() bool { return op.each() != nil || op.task() != nil }

func (s *Stream) isHandling() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.any(handling)
}
