package iostream

import (
	"net"

	"github.com/eddyloop/eddy/internal/socket"
)

// A relay between two plain sockets moves bulk through a pipe, without a copy into this
// process: the loop of the stream that is read fills the pipe from its socket (splice(2)),
// and the pipe stands at the head of the other stream's output until it is empty. Its bytes
// count as read and not sent. One turn moves one pipe, that is at most socket.PipeSize.
//
// Small messages are copied, which is cheaper for them: the pipe comes when bulkReads reads in
// a row were large, and goes when smallSplices were small. A direction that stands still has none.
const (
	bulkReads    = 4
	smallSplices = 8
	largeSplice  = 16 << 10
)

// bulk tells from the last reads whether the next one goes through a pipe.
type bulk struct {
	large, small int
	never        bool // one of the two is no plain socket, or the system cannot do it
}

// note notes how much a read has brought, by copy or by splice.
func (b *bulk) note(n int) {
	switch {
	case n < largeSplice && b.large >= bulkReads:
		if b.small++; b.small >= smallSplices {
			b.large, b.small = 0, 0
		}
	case n < largeSplice:
		b.large = 0
	default:
		b.large, b.small = min(b.large+1, bulkReads), 0
	}
}

// splices reports whether what comes next goes through a pipe.
func (b *bulk) splices() bool { return b.large == bulkReads && !b.never }

// splicesNext reports whether the stream is read by a relay in bulk.
func (s *Stream) splicesNext() bool {
	return s.op.relayed && s.details.flow != nil && s.details.flow.bulk.splices()
}

// splice is fill for a relay in bulk: it takes the stream's input to the other stream. It
// reports false if nothing was done, and the input has to be read. The stream is pumping;
// its lock is released while the other's is held.
func (s *Stream) splice(f *flow) bool {
	if !s.any(plainSocket) || s.in.len() > 0 {
		return false
	}
	s.mu.Unlock()
	takes, waits, _ := f.to.takesPipe()
	if waits {
		f.waitEmpty()
	}
	s.mu.Lock()
	switch {
	case waits || !s.reading():
		return true
	case !takes:
		f.bulk.never = true
		return false
	}
	pipe := socket.GetPipe()
	if pipe == nil {
		f.bulk.large = 0
		return false
	}
	n, err := pipe.Fill(s.descriptor(), socket.PipeSize)
	if n == 0 {
		pipe.Put()
		if err != nil && socket.CannotSplice(err) {
			f.bulk.never = true
			return false
		}
		_, err = readOutcome(0, err)
		s.readFailed(err)
		return true
	}
	s.noteReceived()
	s.loop.Kit().Charge(n)
	f.bulk.note(n)
	f.read.Add(int64(n))
	s.mu.Unlock()
	defer s.mu.Lock()
	f.passPipe(pipe)
	return true
}

// passPipe hands the pipe to the other stream. A relay is over if somebody else has written to
// that, or taken it.
func (f *flow) passPipe(pipe *socket.Pipe) {
	_, err := f.to.sendPipe(pipe)
	if err == ErrWouldBlock {
		pipe.Put()
		err = net.ErrClosed
	}
	if err != nil {
		f.relay.note(f, err)
		f.from.breakOff(err)
	}
}

// waitEmpty stops reading until the other stream has sent everything.
func (f *flow) waitEmpty() {
	f.from.Pause()
	f.resumeWhen(func(fn func(error)) error { return f.to.WaitSentFunc(f.to.Mark(), fn) })
}

// takesPipe reports whether the stream can send from a pipe, and whether it has to send what
// is queued before; err is why it takes no more writes.
func (s *Stream) takesPipe() (takes, waits bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.any(plainSocket) {
		return false, false, nil
	}
	if s.backlog() > 0 && !s.any(blocked) {
		s.flush()
		s.afterFlush()
	}
	return true, s.backlog() > 0, s.refusal()
}

// sendPipe is Write of what is in the pipe, which becomes the stream's. It returns how much
// the stream has taken, or ErrWouldBlock, and the pipe stays the caller's, if somebody else has
// written meanwhile or taken the stream over.
func (s *Stream) sendPipe(pipe *socket.Pipe) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.refusal(); err != nil {
		pipe.Put()
		return 0, err
	}
	if !s.any(plainSocket) || s.backlog() > 0 {
		return 0, ErrWouldBlock
	}
	before, held := s.accepted, pipe.Held()
	s.accepted += int64(pipe.Held())
	q := s.output()
	q.pipe = pipe
	q.size += pipe.Held()
	if s.any(attached) && !s.any(blocked) {
		s.flush()
		s.afterFlush()
	}
	if err := s.writeEnd(); err != nil {
		return int(min(max(0, s.sent()-before), int64(held))), err
	}
	return held, nil
}

// drainPipe sends from the pipe at the head of the queue.
func (s *Stream) drainPipe(q *output) (int, error) {
	tried := q.pipe.Held()
	n, err := q.pipe.Drain(s.descriptor())
	q.size -= n
	if n == tried {
		q.dropPipe()
	}
	return writeOutcome(n, tried, err)
}

// descriptor returns a plain socket's.
func (s *Stream) descriptor() int { return s.transport.(interface{ FD() int }).FD() }

// dropPipe gives the pipe back, and forgets what is in it.
func (q *output) dropPipe() {
	if q.pipe != nil {
		q.size -= q.pipe.Held()
		q.pipe.Put()
		q.pipe = nil
	}
}

// elsewhere returns how many of the queued bytes are in a pipe or a file.
func (q *output) elsewhere() int {
	switch {
	case q == nil:
		return 0
	case q.pipe == nil:
		return q.reserved
	}
	return q.pipe.Held()
}
