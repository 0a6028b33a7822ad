package iostream

import (
	"net"

	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/poller"
)

// What authors of transports need stands in this file: New, Transport, and the
// interfaces that a Transport may implement besides. Nobody else needs any of it.

// New makes a stream on l of a transport. The stream closes the transport when
// it ends; after an error, the transport is still the caller's. The error is
// ErrInvalid for a Config out of range, or ioloop.ErrClosed.
func New(l *ioloop.Loop, t Transport, config *Config) (*Stream, error) {
	if l == nil || t == nil {
		return nil, opError("new", ErrInvalid)
	}
	s := new(Stream)
	if err := s.open(l, t, config); err != nil {
		return nil, err
	}
	return s, nil
}

// Transport is what a Stream moves its bytes through: a socket, TLS over one (a
// Layer), or a simulation in a test. Only authors of transports need it.
//
// A Stream calls a Transport under its own lock, so the Transport needs none.
// It calls Attach, Arm, Read, Probe and Close on the loop only (but reads this
// module's own sockets on other goroutines too), and the other methods on any
// goroutine. No method may block. Methods get the loop as an argument so that a
// quiet stream does not store it twice.
type Transport interface {
	// Attach connects the transport to the loop: from now on h is called on the
	// loop when something of the interest is ready, level-triggered, as for a
	// Poller.
	Attach(l *ioloop.Loop, h ioloop.Handler, interest poller.Interest) error

	// Arm says what the interest is from now on.
	Arm(l *ioloop.Loop, interest poller.Interest) error

	// Read reads up to len(p) > 0 bytes. It returns n > 0 and nil, or 0 and
	// ErrWouldBlock, io.EOF at the end of the stream, io.ErrUnexpectedEOF if
	// that came too early for the protocol, or what failed.
	Read(p []byte) (int, error)

	// Write takes bytes from bufs in order and returns how many, with
	// ErrWouldBlock if it can take no more now, or what failed. Fewer than all
	// and nil means that it may take more in a further call. It neither
	// keeps the slices nor changes bufs.
	Write(bufs [][]byte) (int, error)

	// Probe says what the next Read would come to, consuming nothing: nil if
	// there are bytes or nothing yet, io.EOF, or what failed, also behind the
	// end of the stream.
	Probe() error

	// CloseWrite ends the writing direction behind what was flushed. It returns
	// ErrWouldBlock if it has to be called again when a Write could go on.
	CloseWrite() error

	// Close releases the transport. It is called once, also if Attach was not.
	Close(l *ioloop.Loop) error
}

// Layer is a Transport that changes the bytes that pass through it, as TLS
// does, and therefore holds some of them. For any other Transport, a Stream
// assumes that bytes which Write has taken are sent, that readiness announces
// all that can be read, that Read waits for Readable, and that Write waits for
// Writable.
type Layer interface {
	Transport

	// Flush passes on what the layer itself holds for the peer: bytes taken by
	// Write and messages of the layer's own. It returns ErrWouldBlock if some
	// are left.
	Flush() error

	// Unsent returns how many of the bytes that Write took do not count as sent
	// yet, because the kernel has not taken all that they were turned into.
	Unsent() int

	// Buffered reports whether Read has bytes that no readiness announces.
	Buffered() bool

	// Incomplete reports whether part of a record has come of which Read has
	// returned nothing yet.
	Incomplete() bool

	// Want returns the readiness that a Read waits for after ErrWouldBlock, and
	// that a Write or Flush does: TLS may have to write in order to read, or
	// the reverse.
	Want() (read, write poller.Interest)
}

// use makes t the stream's transport.
func (s *Stream) use(t Transport) {
	s.transport = t
	s.unset(layered | plainSocket)
	if _, ok := t.(Layer); ok {
		s.set(layered)
	} else if isPlainSocket(t) {
		s.set(plainSocket)
	}
}

// isPlainSocket reports whether t is a socket, which any goroutine may read and write.
func isPlainSocket(t Transport) bool {
	switch t.(type) {
	case *socketTransport, *promptTransport, *addressedSocket, *addressedPrompt:
		return true
	}
	return false
}

// holdsPlaintext reports whether the transport has bytes that no readiness announces.
func (s *Stream) holdsPlaintext() bool {
	return s.any(layered) && s.transport.(Layer).Buffered()
}

// holdsIncomplete reports whether the transport has a part of what is to be read.
func (s *Stream) holdsIncomplete() bool {
	return s.any(layered) && s.transport.(Layer).Incomplete()
}

// wants returns the readiness that reading and writing wait for.
func (s *Stream) wants() (read, write poller.Interest) {
	if s.any(layered) {
		return s.transport.(Layer).Want()
	}
	return poller.Readable, poller.Writable
}

// Resetter is implemented by transports that can tell the peer that something
// is missing.
type Resetter interface {
	// ResetOnClose makes Close break the connection instead of ending it in
	// good order.
	ResetOnClose()
}

// Queuer is implemented by transports that know how many bytes have been sent
// and have not reached the peer.
type Queuer interface {
	// Queued returns that number of bytes in the kernel, or 0 if the kernel
	// does not tell.
	Queued() int
}

// Addresser is implemented by transports that have addresses. LocalAddr is not called
// after Close, RemoteAddr may be.
type Addresser interface {
	LocalAddr() net.Addr
	RemoteAddr() net.Addr
}

// Descriptor is implemented by transports that are a file descriptor.
type Descriptor interface {
	FD() int
}
