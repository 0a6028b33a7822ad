//go:build unix || windows

package iostream

import (
	"context"
	"io"
	"sync"
	"sync/atomic"
)

// KnowsOfInput reports whether a read into a buffer would not wait for the loop.
func KnowsOfInput(s *Stream) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.knowsOfInput()
}

// InMessage reports whether the time of a message runs.
func InMessage(s *Stream) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.any(inMessage)
}

// IsClosing reports whether the stream was told to end, or has ended.
func IsClosing(s *Stream) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.any(closing | closed)
}

// HasDetails reports whether the stream has memory besides itself.
func HasDetails(s *Stream) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.details != nil
}

// WriteNow begins a Write that waits, and WaitWritten is the rest of it.
func WriteNow(s *Stream, p []byte) (int64, error) { return s.writeNow(p) }

func WaitWritten(ctx context.Context, s *Stream, mark int64) error {
	return s.waitSent(ctx, "write", mark)
}

// CountMade returns how many waiting calls and reads into a buffer have found no memory to use
// again, until the test is over.
func CountMade(t interface{ Cleanup(func()) }) *atomic.Int64 {
	made := new(atomic.Int64)
	for _, pool := range []*sync.Pool{&waitOps, &targets} {
		before := pool.New
		pool.New = func() any { made.Add(1); return before() }
		t.Cleanup(func() { pool.New = before })
	}
	return made
}

// HasInputBuffer reports whether a stream has memory for what it receives.
func HasInputBuffer(s *Stream) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.in.data != nil
}

// Waiting returns how many calls wait for s.
func Waiting(s *Stream) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.op.wait() != nil {
		n++
	}
	if s.out != nil {
		n += len(s.out.waiters) - s.out.first
	}
	if s.details != nil {
		n += len(s.details.closes.calls) + len(s.details.readCloses.calls)
	}
	return n
}

// TakeForFiles has streams take what is of type T for an *os.File, until the test is over.
func TakeForFiles[T io.Reader](t interface{ Cleanup(func()) }) {
	before := isFile
	isFile = func(r io.Reader) bool {
		_, is := r.(T)
		return is || before(r)
	}
	t.Cleanup(func() { isFile = before })
}

// TLSHasBuffers reports whether TLS keeps memory between messages.
func TLSHasBuffers(s *Stream) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.transport.(*tlsTransport)
	return t.rxBuffer != nil || t.tx != nil
}

// KeepsHandshake reports whether a stream still has what its handshake was done with.
func KeepsHandshake(s *Stream) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.transport.(*tlsTransport).hs != nil
}
