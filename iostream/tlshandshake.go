package iostream

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"iter"
	"net"

	"github.com/eddyloop/eddy/ioloop"
)

// handshake is a TLS handshake and who is told of its outcome. It is made when
// TLS is started and dropped when it was told.
type handshake struct {
	next  func() (struct{}, bool) // nil until the first step
	stop  func()
	yield func(struct{}) bool

	over    bool  // the coroutine has returned
	err     error // what crypto/tls has said then
	running bool  // a step is in progress, without the stream's lock
	dropped bool  // the stream was closed meanwhile

	received int // bytes
	held     int // what Config.Budget was last told

	local, remote net.Addr

	timer *ioloop.Timer
	wait  *waitOp
	fn    func(error)
}

// shake takes the handshake as far as it gets with what has arrived.
func (s *Stream) shake() {
	t := s.transport.(*tlsTransport)
	if t.ready || t.failed || t.hs.running || s.any(closed) || !s.any(attached) {
		return
	}
	for range maxFills {
		if t.hs.next != nil && !t.hs.over {
			if t.receive() != nil {
				break
			}
			s.noteReceived()
		}
		if !t.hs.over && !s.step(t) {
			return
		}
		if s.any(closed) {
			return
		}
		if t.hs.over {
			break
		}
	}
	switch err := t.Flush(); err {
	case nil:
	case ErrWouldBlock:
		s.set(blocked)
	default:
		s.closeLocked(err)
	}
	if t.hs.over && !s.any(closed) {
		s.endHandshake(t)
	}
}

// handshakeDue reports whether TLS was started behind the pump's look at it, by
// a callback for example, so that nothing else would begin the handshake.
func (s *Stream) handshakeDue() bool {
	t := s.transport.(*tlsTransport)
	return !t.ready && !t.failed && !t.hs.running && t.hs.next == nil && !s.any(closed)
}

// step resumes the handshake until it needs input or is over, and reports
// whether that has been done. The stream is not locked meanwhile, for functions
// of the tls.Config are called. If one of them panics, that is contained like
// any panic of a stream's callback.
func (s *Stream) step(t *tlsTransport) bool {
	t.hs.running = true
	if s.config.HandshakeOffLoop {
		s.offload(t)
		return false
	}
	s.mu.Unlock()
	returned := false
	defer func() {
		s.mu.Lock()
		t.hs.running = false
		if !returned {
			s.mu.Unlock()
		}
	}()
	t.hs.resume(t.conn, s.loop.Kit().OnLoop)
	returned = true
	return true
}

// offload resumes the handshake on a goroutine, which hands back to the loop.
func (s *Stream) offload(t *tlsTransport) {
	hs := t.hs
	err := ioloop.Offload(s.loop, func() (struct{}, error) {
		defer func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			hs.running = false
			if hs.dropped {
				hs.end()
			}
			s.schedule()
		}()
		hs.resume(t.conn, func(work func()) { work() })
		return struct{}{}, nil
	}, func(_ struct{}, err error) {
		if err != nil { // a panic
			s.Abort(err)
		}
	})
	if err != nil {
		hs.running = false
		s.closeLocked(err)
	}
}

// resume runs the coroutine. It is made where it is first run, for the runtime
// wants a coroutine resumed on a goroutine as free of its thread as the one
// that made it.
func (hs *handshake) resume(conn *tls.Conn, as func(work func())) {
	if hs.next == nil {
		hs.next, hs.stop = iter.Pull(func(yield func(struct{}) bool) {
			hs.yield = yield
			as(func() { hs.err = conn.HandshakeContext(context.Background()) }) // starts no goroutine
			hs.over = true
		})
	}
	hs.next()
}

// end unwinds a coroutine that is suspended, or has it done later.
func (hs *handshake) end() {
	hs.timer.Stop()
	if hs.running {
		hs.dropped = true
	} else if hs.stop != nil {
		hs.stop()
	}
}

// endHandshake takes in how the handshake has ended.
func (s *Stream) endHandshake(t *tlsTransport) {
	hs := t.hs
	t.releaseInput()
	if hs.err != nil {
		t.alert = true
		s.failTLS(t, fmt.Errorf("TLS handshake: %w", t.handshakeError()))
		return
	}
	hs.timer.Stop()
	t.ready = true
	s.unset(blocked)
	if hs.fn == nil {
		s.tellHandshake(t, nil)
	}
}

// failTLS ends a stream whose TLS has failed, for reason. Behind the alert that tells
// the peer why, it goes on like a Close: a peer that still sends would lose the alert
// to a reset. The error is told at once.
func (s *Stream) failTLS(t *tlsTransport, reason error) {
	if t.rxErr != nil || t.Flush() != nil || t.lower.CloseWrite() != nil {
		s.closeLocked(reason)
		return
	}
	t.failed = true
	s.endWriting(reason)
	if !s.any(closing) {
		s.ensureDetails().reason = reason
	}
	s.set(closing | finWanted | finSent)
	if s.any(handshaking) {
		t.hs.timer.Stop()
		s.tellHandshake(t, reason)
	}
	s.endWaitingRead()
}

func (t *tlsTransport) handshakeError() error {
	if t.rxErr != nil {
		return unexpected(t.rxErr)
	}
	var header tls.RecordHeaderError
	if errors.As(t.hs.err, &header) {
		header.Conn = nil // who wrote to it would do so behind the stream's back
		return header
	}
	return t.hs.err
}

// tellHandshake completes the waiting call.
func (s *Stream) tellHandshake(t *tlsTransport, err error) {
	if w := t.hs.wait; w != nil {
		t.hs.wait = nil
		w.err = opError("start tls", err)
		s.loop.Kit().WakeWaiter(&w.Waiter)
	}
	if err == nil {
		s.unset(handshaking)
		t.hs = nil
	}
}

// deliverHandshake calls the function that waits for the handshake.
func (s *Stream) deliverHandshake() bool {
	t := s.transport.(*tlsTransport)
	var err error
	switch {
	case s.any(closed):
		err = opError("start tls", s.details.err)
	case t.failed:
		err = opError("start tls", s.details.reason)
	case !t.ready:
		return false
	}
	fn := t.hs.fn
	s.unset(handshaking)
	if fn == nil {
		return false
	}
	if t.ready {
		t.hs = nil
	}
	s.mu.Unlock()
	fn(err)
	s.mu.Lock()
	return true
}

func (s *Stream) handshakeLate(t *tlsTransport) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !t.ready && !t.failed {
		s.closeLocked(ErrHandshakeTimeout)
		s.schedule()
	}
}
