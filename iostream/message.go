package iostream

import (
	"io"
	"net"
	"os"
	"sync"

	"github.com/eddyloop/eddy/internal/streamhook"
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
// none will come.
func (s *Stream) deliverTask() step {
	op := &s.op
	if s.paused() && !op.expired {
		return nothing
	}
	if op.cut {
		s.op = readOp{}
		return something
	}
	n := -1
	var err error
	if !s.paused() {
		if n, err = s.match(op); err != nil {
			s.endMessages(opError(readNames[op.kind], err), err == io.EOF)
			return something
		}
	}
	if end := s.readEnd(); n < 0 && (end != nil || op.expired) {
		switch {
		case end == io.EOF && op.kind == readUntilClose:
			return s.runTask(s.in.len(), (*afterTask)(s))
		case end == io.EOF && s.in.len() > 0:
			s.endMessages(io.ErrUnexpectedEOF, false)
		case end == nil || end == os.ErrDeadlineExceeded:
			s.endMessages(opError(readNames[op.kind], os.ErrDeadlineExceeded), false)
		default:
			s.endMessages(end, false)
		}
		return something
	}
	if n < 0 {
		return nothing
	}
	return s.runTask(n, (*afterTask)(s))
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

// runTask has a task handle the message of the next n bytes, and further ones. Unless it
// returns something, the pump has to return at once; its lock is released, and rest goes
// on with it.
func (s *Stream) runTask(n int, rest ioloop.Runner) step {
	s.op.scanned = int32(n)
	s.set(handling)
	switch s.loop.Kit().RunJob((*messages)(s), rest) {
	case ioloop.RanUntilWait:
		return handedOn
	case ioloop.RunsNext:
		s.mu.Unlock()
		return handedOn
	case ioloop.RunsLater:
		s.in.own() // before that, others receive into the scratch buffer
	case ioloop.RanFailed:
		s.mu.Lock()
	}
	return something
}

// afterTask is a Stream whose pump has begun a task and cannot go on itself.
type afterTask Stream

// Run is the rest of the pump.
func (a *afterTask) Run() {
	s := (*Stream)(a)
	s.mu.Lock()
	s.tellWait()
	budget := maxDeliveries
	if s.loop.Kit().TurnUsedUp() {
		budget = 0
	}
	s.pumpWhole(0, 0, s.sent(), budget)
}

// Fail is called if that has failed.
func (a *afterTask) Fail(err error) { (*work)(a).Fail(err) }

// tellWait tells of a task that waits.
func (s *Stream) tellWait() {
	if h := s.config.tasks; h != nil && s.any(handling) {
		h.Waits(s)
	}
}

// messages is a Stream whose messages a task handles.
type messages Stream

// RunTask handles the message that was found, and further ones that are there. Within a
// pump it begins and ends with the lock held.
func (m *messages) RunTask(t *ioloop.Task) {
	s := (*Stream)(m)
	if !s.loop.Kit().Within() {
		s.mu.Lock()
		if !s.loop.Kit().RestDue() { // which would have told of the task's wait
			s.tellWait()
		}
	}
	if h := s.config.tasks; h != nil && h.Label != nil {
		defer h.Label()()
	}
	fn, msg := s.op.task(), []byte(nil)
	ok := fn != nil && !s.op.cut // nobody else reads, but Close may have come first
	if ok {
		s.borrowForTask(t)
		msg = s.takeMessage(&s.op, int(s.op.scanned))
		s.keepForTask(msg)
	}
	var err error
	for left := eachBatch - 1; ok; left-- {
		s.mu.Unlock()
		err = fn(t, s, msg)
		s.mu.Lock()
		fn, msg, ok = s.nextForTask(err, left > 0)
	}
	s.endHandling(err)
	if !s.loop.Kit().Within() {
		s.mu.Unlock()
	}
}

// Fail ends a stream whose function has panicked or called Goexit.
func (m *messages) Fail(err error) {
	s := (*Stream)(m)
	s.mu.Lock()
	s.abort(err)
	if s.any(handling) { // else it was End that failed
		s.in.kept, s.in.lent = false, true // whoever failed may have kept the message
		s.endHandling(err)
	}
	s.mu.Unlock()
}

// borrowForTask lets the bytes that are in the loop's scratch buffer stay there until t
// has ended, if that can be.
func (s *Stream) borrowForTask(t *ioloop.Task) {
	if s.in.borrowed && (s.config.Budget != nil || !s.loop.Kit().LendScratch(t)) {
		s.in.own()
	}
}

// keepForTask sees to it that a message that was taken stays as it is until the
// function returns.
func (s *Stream) keepForTask(msg []byte) {
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
		s.keepForTask(msg)
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

// endHandling is called with the lock held when a task has handled its messages. If it
// has waited, it is not within pump.
func (s *Stream) endHandling(err error) {
	s.unset(handling)
	s.takeBack()
	if s.op.running {
		s.op = readOp{}
	}
	s.in.settle()
	if !s.loop.Kit().RestDue() { // else it has taken no time
		s.noteWorkOver()
	}
	if !s.any(pumping) {
		if s.op.kind != readNone && (s.in.len() > 0 || s.readEnd() != nil || s.op.size == 0) {
			s.schedule()
		}
		s.charge()
		s.listen()
	}
	if h := s.config.tasks; h != nil {
		s.tellEnd(h, err)
	}
}

// tellEnd tells of the end of a task, if that has waited or the stream ends with it.
func (s *Stream) tellEnd(h *streamhook.Tasks, err error) {
	waited, over := !s.loop.Kit().RestDue(), s.any(closed)
	if waited || over || err != nil {
		s.mu.Unlock()
		h.End(s, waited, over, err)
		s.mu.Lock()
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
