package iostream

import (
	"context"
	"io"
)

// ReceivedInPipe returns how much a pipe takes of what r reads from.
func ReceivedInPipe(r io.Reader) int {
	pipe := sourceOf(r).receive()
	if pipe == nil {
		return 0
	}
	defer pipe.Put()
	return pipe.Held()
}

// PassPipe moves what src has received to s through a pipe, whatever waits to be sent there.
func PassPipe(s *Stream, src *Conn) (int, error) {
	pipe := (&copySource{stream: src.stream, conn: src}).receive()
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
