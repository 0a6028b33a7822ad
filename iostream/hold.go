package iostream

import (
	"errors"
	"net"
	"sync"

	"github.com/eddyloop/eddy/poller"
)

// Hold keeps the stream open for work that goes on without a read, such as an
// answer that comes later. Until release is called, the stream is not closed
// because its reader has ended (see Handle), because it is idle, or because its
// server shuts down. Each call has a release of its own, which may be called
// from any goroutine; calling it again does nothing.
func (s *Stream) Hold() (release func()) {
	s.keepOpen()
	return sync.OnceFunc(s.release)
}

func (s *Stream) keepOpen() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.any(held) {
		s.ensureDetails().holds++
	}
	s.set(held)
}

func (s *Stream) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.details != nil && s.details.holds > 0 {
		s.details.holds--
		return
	}
	s.unset(held)
	s.noteWorkOver()
	if s.any(abandoned) && s.op.kind == readNone {
		s.closeInOrder(net.ErrClosed)
	} else if s.any(draining) {
		s.schedule()
	}
}

// readerReturned is called when the callback of a read has returned. If it has
// ended its reading, which is over when it was told an error, and nobody has taken
// the stream over, nobody would ever close it. Then the stream is closed in good
// order; if the peer has ended it, that is the reason.
func (s *Stream) readerReturned(ended bool, err error) {
	switch {
	case !ended || s.op.kind != readNone || s.any(handshaking|closing|closed|served|handling):
	case s.any(held):
		s.set(abandoned)
	case err != nil && s.any(inputEnded):
		s.closeInOrder(s.details.readErr)
	default:
		s.closeInOrder(net.ErrClosed)
	}
}

// closeWhenIdle closes the stream in good order as soon as nothing is under way,
// which is how a server lets its clients finish.
func (s *Stream) closeWhenIdle() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.set(draining)
	s.schedule()
}

// drain closes a stream that is idle. Before, it looks whether a message has come
// that no event has told of yet.
func (s *Stream) drain() {
	if !s.isQuiet() {
		return
	}
	if s.reading() {
		s.fill()
		if s.any(eofSeen) && !s.any(inputEnded|closed) {
			s.probe() // the watch has told before, and will not again
		}
	}
	if s.isQuiet() {
		s.closeQuiet(net.ErrClosed)
	}
}

// closeQuiet is closeInOrder for a stream on which nothing moves. If the peer has all
// that was sent, its own end is not waited for: nothing can be lost.
func (s *Stream) closeQuiet(reason error) {
	if kernelQueue(s.transport) == 0 {
		s.set(noLinger)
	}
	s.closeInOrder(reason)
}

// isQuiet reports whether nothing is under way: all is sent, nobody holds the
// stream, and a read waits for a message of which nothing has come.
func (s *Stream) isQuiet() bool {
	switch {
	case s.any(closing|closed|handling|held) || !s.any(attached) || s.backlog() > 0 || s.op.relayed:
		return false
	case s.any(handshaking):
		return !s.transport.(*tlsTransport).begun
	case s.any(writeOnly):
		return true
	}
	read, _ := s.wants()
	return s.reading() && s.in.len() == 0 && s.op.placed() == 0 && !s.holdsIncomplete() && read&poller.Readable != 0
}

// serve gives the stream to a handler, until that closes it.
func (s *Stream) serve() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.set(served)
}

// unserve takes the stream back, and reports whether nobody has closed it.
func (s *Stream) unserve() (open bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unset(served)
	return !s.any(closing | closed | aborted)
}

// closeFor is Close for a reason.
func (s *Stream) closeFor(reason error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closeForLocked(reason)
}

func (s *Stream) closeForLocked(reason error) {
	if s.any(inputEnded) && errors.Is(reason, s.details.readErr) {
		reason = s.details.readErr // the peer has ended it
	}
	s.closeInOrder(reason)
}
