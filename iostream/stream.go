// Package iostream provides Stream: a non-blocking byte stream on an event
// loop. Its user reads whole messages and writes at any time.
//
// A server in callbacks, on a stream s:
//
//	line := iostream.Until("\n").Limit(8 << 10)
//	err := s.Handle(line, func(msg []byte, err error) bool {
//		if err != nil {
//			return false // io.EOF: the peer has ended its side
//		}
//		s.Write(msg)
//		return true
//	})
//
// The same in a task (t is its *ioloop.Task) or, with any other context, in a
// goroutine:
//
//	for msg, err := range s.Messages(t, line) {
//		if err != nil {
//			return err
//		}
//		s.Write(msg)
//	}
//
// Package tcp makes streams: tcp.Server accepts them, tcp.Dial connects.
// [Adopt], [NewSocket], [NewPipe], [NewStdio] and [New] make a stream of what
// is open already. Package iostreamtest tests a protocol without sockets. In
// docs/, api.md shows the API on one screen, styles.md says which style is for
// what, and guides/ends.md how a stream ends.
//
// # Reading
//
// A [Frame] says what a message is: [Until] a delimiter, [UntilRegexp], exactly
// n [Bytes], [Some], [UntilClose], [Split] with a bufio.SplitFunc,
// [LengthPrefix], [Varint]. A method says how to wait for it:
//
//   - Read waits, with a context. An *ioloop.Task as the context suspends the
//     task; any other context blocks the goroutine.
//   - ReadFunc calls a function with one message, on the loop.
//   - Handle calls a function with one message after another; HandleTask does
//     so in a task, which may wait.
//   - Messages is an iterator that waits.
//
// A stream has one read at a time and any number of writes.
//
// # Bytes
//
// The bytes of a message belong to the stream. A callback may use them until it
// returns; the caller of a waiting method may use them until the next read on
// the stream. Write does not use its argument after it has returned.
//
// # Goroutines
//
// The methods of a Stream may be called from any goroutine. Callbacks run on
// the stream's loop, never inside a call of one of its methods.
//
// # The end of a stream
//
// Close and Abort end a stream, and so do an error of the connection, a
// time-out of [Config], and the end of the loop. A stream is also closed when
// both sides have ended their writing, and when its reader has ended without
// another one (see [Stream.Handle]). The peer's end of its side alone closes
// nothing: reads return io.EOF, and writes still reach the peer. [Stream.Err]
// says why a stream is closed.
package iostream

import (
	"errors"
	"fmt"
	"iter"
	"net"
	"sync"

	"github.com/eddyloop/eddy/internal/regexscan"
	"github.com/eddyloop/eddy/internal/socket"
	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/poller"
)

// Stream is a byte stream on a loop. New, NewSocket, NewPipe, NewStdio and
// Adopt make one, and so do the servers and dialers of package tcp. Its methods
// may be called from any goroutine.
type Stream struct {
	mu        sync.Mutex
	loop      *ioloop.Loop
	transport Transport
	config    *Config
	in        input
	op        readOp
	out       *output // nil: nothing waits to be sent, and nobody for that
	accepted  int64   // bytes that Write has taken, ever
	details   *details

	state  state
	armed  poller.Interest     // what the transport was last told
	peer   socket.ShortAddress // of most sockets; those of others their transport has
	socket promptTransport     // of a stream over a socket, in one allocation
}

// state is a set of facts about a stream. They are bits because a quiet stream
// is small enough for bools to weigh.
type state uint32

const (
	attached     state = 1 << iota // the transport is connected to the loop
	pumping                        // the loop is in pump, which will see every change of state
	scheduled                      // the loop will call pump
	dirty                          // the loop will flush at the end of this turn
	blocked                        // the transport takes no more until it is writable
	unwanted                       // input was announced that no read was there for
	eofSeen                        // the peer's end of stream is known of
	inputEnded                     // nothing more will be received: details.readErr says why
	outputEnded                    // nothing more will be sent: details.writeErr says why
	finWanted                      // CloseWrite was called
	finSent                        // and is done
	closing                        // Close was called: details.reason says why
	aborted                        // Abort was called
	draining                       // it is to be closed as soon as it is idle
	abandoned                      // its reader has ended, but somebody holds it
	served                         // a handler has it until it returns
	handling                       // a task handles a message
	detached                       // its connection lives on elsewhere
	closed                         // details.err says why
	finished                       // the transport is closed
	held                           // somebody holds it; details.holds counts those beyond the first
	readExpired                    // the read deadline has passed
	writeExpired                   // the write deadline has passed
	writeOnly                      // there is no reading side
	noLinger                       // closing loses nothing that is out already
	handshaking                    // TLS was started, and its outcome not told
	layered                        // the transport is a Layer
	takenOver                      // the callback of a read that runs has begun another read, or ended the stream's reads
	plainSocket                    // the transport is a socket, which any goroutine may read
	cameFull                       // the last read into a buffer of the caller filled it
	leaving                        // it is closing and has bytes to send, and the loop knows
	inMessage                      // a part of the message that a read waits for is here, and its time runs
)

// any reports whether any of the facts holds.
func (s *Stream) any(facts state) bool { return s.state&facts != 0 }

func (s *Stream) set(facts state) { s.state |= facts }

func (s *Stream) unset(facts state) { s.state &^= facts }

// details are what most streams do without until they end.
type details struct {
	err        error // why the stream is closed
	reason     error // why Close was called
	readErr    error // what reads return once the input is used up
	writeErr   error // what writes return
	sent       int64 // bytes that had gone out when writing ended
	closes     endWaiters
	readCloses endWaiters
	aside      *readOp   // that of messages, while their function reads the stream itself
	split      *splitter // of the last read by a SplitFunc
	scan       *regexscan.Scanner
	idle       *idleTimeout
	deadlines  *deadlines
	closing    *stall // looks after a Close
	values     *valueNode
	flow       *flow  // of the relay that reads the stream
	sending    *stall // looks after what waits to be sent
	message    *alarm // of a message that takes too long
	remote     net.Addr
	holds      int      // calls of Hold that are not released, beyond the first
	incomplete bool     // the peer must not take what it has for everything
	reported   bool     // Config.OnClosed was called
	controls   int      // calls of Control in progress
	holding    *holding // what Config.Budget was last told
}

func (s *Stream) ensureDetails() *details {
	if s.details == nil {
		s.details = new(details)
	}
	return s.details
}

func (s *Stream) open(l *ioloop.Loop, t Transport, config *Config) error {
	if config == nil {
		config = defaultConfig
	}
	if err := config.check(); err != nil {
		return opError("new", err)
	}
	s.loop, s.config = l, config
	s.use(t)
	s.set(scheduled)
	return opError("new", l.Kit().Schedule((*work)(s)))
}

// work is a Stream as the loop sees it.
type work Stream

// Run is called when something was done to the stream off the loop's path.
func (w *work) Run() { (*Stream)(w).pump(0, 0) }

// HandleEvent is called when the transport is ready.
func (w *work) HandleEvent(ready poller.Interest, hints poller.Hint) {
	(*Stream)(w).pump(ready, hints)
}

// Fail is called when a callback of the stream has panicked or called Goexit,
// and when the loop closes.
func (w *work) Fail(err error) {
	s := (*Stream)(w)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unset(pumping)
	s.in.own() // before another stream receives into the scratch buffer
	if s.in.pinned {
		s.in.pinned, s.in.lent = false, true // whoever failed may have kept them
	}
	s.unset(takenOver)
	if s.op.running && s.op.each() != nil {
		s.op = readOp{}
	}
	if errors.Is(err, ioloop.ErrClosed) {
		s.closeWithLoop(err)
	} else {
		s.abort(err)
	}
	s.schedule()
}

// lateFlush is a Stream whose corked writes the loop sends at the end of a
// turn.
type lateFlush Stream

func (f *lateFlush) Run() {
	s := (*Stream)(f)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unset(dirty)
	before := s.sent()
	s.flush()
	s.countSent(before)
	s.charge()
	s.afterFlush()
}

// Streams returns an iterator over the open streams of l. Only callbacks and
// tasks of l may use it.
func Streams(l *ioloop.Loop) iter.Seq[*Stream] {
	return func(yield func(*Stream) bool) {
		for h := range l.Kit().Handlers() {
			if w, ok := h.(*work); ok && !yield((*Stream)(w)) {
				return
			}
		}
	}
}

// Loop returns the loop that the stream is on.
func (s *Stream) Loop() *ioloop.Loop { return s.loop }

// LocalAddr returns this side's address. It is nil if there is none or the
// stream is closed.
func (s *Stream) LocalAddr() net.Addr {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a, ok := s.transport.(Addresser); ok && !s.any(finished) {
		return a.LocalAddr()
	}
	return nil
}

// RemoteAddr returns the peer's address as of when the stream was made, also
// after the stream has closed. It is nil if the transport has none, such as a
// pipe. If the peer had reset the connection before NewSocket was called, the
// address is unknown, and its String says so.
func (s *Stream) RemoteAddr() net.Addr {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.remoteAddr()
}

func (s *Stream) remoteAddr() net.Addr {
	if s.details != nil && s.details.remote != nil {
		return s.details.remote
	}
	if remote := s.peer.Addr(); remote != nil {
		return remote
	}
	a, ok := s.transport.(Addresser)
	if !ok {
		return nil
	}
	if remote := a.RemoteAddr(); remote != nil {
		return remote
	}
	return unknownAddr{}
}

// unknownAddr is the address of a peer that the kernel has forgotten.
type unknownAddr struct{}

func (unknownAddr) Network() string { return "unknown" }
func (unknownAddr) String() string  { return "unknown" }

// setRemoteAddr replaces the result of RemoteAddr by the address of the client
// behind a proxy.
func (s *Stream) setRemoteAddr(addr net.Addr) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ensureDetails().remote = addr
}

// String describes the state of the stream, for debugging.
func (s *Stream) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	state := "open"
	switch {
	case s.any(closed):
		state = fmt.Sprintf("closed (%v)", s.details.err)
	case s.any(inputEnded):
		state = fmt.Sprintf("read side closed (%v)", s.details.readErr)
	}
	if s.op.kind != readNone && !s.op.running {
		state += ", " + readNames[s.op.kind] + " pending"
	}
	return fmt.Sprintf("stream %s, %d bytes to read, %d to send", state, s.in.len(), s.backlog())
}
