package iostream

import (
	"context"
	"io"
)

// CopySteps is a goroutine that copies from a stream, step by step.
type CopySteps struct{ src *copySource }

func StepsOfCopy(r io.Reader) CopySteps { return CopySteps{sourceOf(r)} }

// Splices reports whether what comes next goes through a pipe.
func (c CopySteps) Splices() bool { return c.src.splices() }

// Room returns how much the next read may bring.
func (c CopySteps) Room() int { return len(c.src.room(make([]byte, maxRead))) }

// Read plays a read that has brought n bytes.
func (c CopySteps) Read(n int) { c.src.noteRead(n) }

// Receive returns how much a pipe takes of what is there.
func (c CopySteps) Receive() int {
	pipe := c.src.receive()
	if pipe == nil {
		return 0
	}
	defer pipe.Put()
	return pipe.Held()
}

// Move moves what is there to s through a pipe, if it may go through one.
func (c CopySteps) Move(s *Stream) (int, error) {
	return s.spliceFrom(context.Background(), c.src, make([]byte, 1000))
}

// ReceivedInPipe returns how much a pipe takes of what r reads from.
func ReceivedInPipe(r io.Reader) int { return StepsOfCopy(r).Receive() }

// PassPipe moves what r has received to s through a pipe, whatever waits to be sent there.
func PassPipe(s *Stream, r io.Reader) (int, error) {
	pipe := sourceOf(r).receive()
	if pipe == nil {
		return 0, errNoPipe
	}
	return s.passPipe(context.Background(), pipe, make([]byte, 1000))
}

// Piped returns how many of the bytes that wait to be sent are in a pipe.
func Piped(s *Stream) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.out.elsewhere()
}

// Splices reports whether a relay that reads the stream moves bulk by itself now. Only for
// the stream's loop.
func Splices(s *Stream) bool { return s.splicesNext() }

// SendingFile has s as it is while a goroutine sends n bytes of a file, until end is called,
// when none of them has been sent.
func SendingFile(s *Stream, n int) (end func(), err error) {
	_, mark, err := s.reserve(n)
	return func() { s.unreserve(n, 0, mark); s.letGo() }, err
}

// MakeBulk has a relay that reads the stream take what comes next for bulk. Only for the
// stream's loop.
func MakeBulk(s *Stream) { s.details.flow.bulk.large = bulkReads }

// PassRelayPipe has a relay that reads s pass on a pipe with what r has received.
func PassRelayPipe(s *Stream, r io.Reader) { s.details.flow.passPipe(sourceOf(r).receive()) }

// TakesPipe reports whether s can send from a pipe, and whether it has to send before what waits.
func TakesPipe(s *Stream) (takes, waits bool, err error) { return s.takesPipe() }
