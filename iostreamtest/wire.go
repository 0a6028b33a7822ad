package iostreamtest

import (
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net"
	"sync"

	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
	"github.com/eddyloop/eddy/poller"
)

// Options say how a Wire behaves. A Wire of the zero value takes and gives all
// it can at once.
type Options struct {
	// ReadSize is the most bytes that one read returns. 0 is no limit.
	ReadSize int

	// WriteSize is the most bytes that one write takes. 0 is no limit.
	WriteSize int

	// Window is how many bytes the wire takes before a write blocks, until
	// AddWindow makes room. 0 is no limit; NoWindow, or any n below 0, is no
	// room. In a Pipe it is how many bytes may be in transit.
	Window int

	// RecordSize, if above 0, puts a layer between stream and wire that behaves
	// like TLS. Bytes travel in records of at most that many, and count as sent
	// when the whole record is. A read takes a whole record off the wire, and
	// what does not fit into the reader's buffer stays in the layer without
	// readiness. After each record the layer must write an answer before it
	// reads the next one.
	RecordSize int

	// Handshake has the layer send a hello to the peer, and take nothing from
	// the stream before the peer has sent one: writing waits for input. Arrive
	// and FIN send the peer's hello first. It needs a RecordSize.
	Handshake bool

	// LocalAddr and RemoteAddr are the stream's addresses. Nil is 192.0.2.1:80 for the
	// local one and 192.0.2.2:1024 for the peer's, which RFC 5737 keeps for examples.
	LocalAddr, RemoteAddr net.Addr

	// Seed, if not 0, has the wire do everything that a transport may do, drawn
	// from the seed: short reads and writes, reads and writes that would block
	// without a reason, and readiness that comes late or without a cause.
	Seed uint64

	// Trace, if not nil, is called with each call of the transport and its
	// result. It must not call the Wire or the stream.
	Trace func(event string)
}

// NoWindow is an Options.Window without room.
const NoWindow = -1

// ErrInvalid: Options out of range. The stream is closed with it when it first
// uses its transport; World.Serve returns it. It is fs.ErrInvalid too.
var ErrInvalid = fmt.Errorf("iostreamtest: %w", iostream.ErrInvalid)

// check reports Options that make no sense.
func (o *Options) check() error {
	switch {
	case o.ReadSize < 0 || o.WriteSize < 0 || o.RecordSize < 0:
		return fmt.Errorf("%w: negative ReadSize, WriteSize or RecordSize", ErrInvalid)
	case o.Handshake && o.RecordSize == 0:
		return fmt.Errorf("%w: Handshake needs a RecordSize", ErrInvalid)
	}
	return nil
}

// Wire is the far end of a simulated connection. Its methods may be called from
// any goroutine.
type Wire struct {
	mu           *sync.Mutex // one for both ends of a Pipe
	options      Options
	random       *rand.Rand // nil: no whims
	peer         *Wire
	loop         *ioloop.Loop
	handler      ioloop.Handler
	registration ioloop.Registration // of a World's loop
	queued       bool
	watched      bool   // the close watch has told of the end since it was armed
	layer        *layer // nil: none
	fails        failures

	in     []byte // has arrived and was not received
	inErr  error  // comes behind in
	out    []byte // has been sent
	window int    // how many more bytes fit
	outErr error  // what writes fail with

	counts State
}

// State is what a Wire knows about its stream.
type State struct {
	Arrived  int             // bytes that have come and no Read has returned
	Received int             // bytes that Read has returned
	Sent     int             // bytes that have left, in whole records if there are such
	Held     int             // bytes and messages that the layer has taken and not got rid of
	Armed    poller.Interest // what the stream listens for

	ReadErr  error // what Read or Probe has told of the end, nil: nothing
	WriteErr error // what Write or Flush has failed with, nil: nothing

	Readable bool // a Read would bring bytes or the end
	Writable bool // a Write or a Flush would get rid of something, or fail

	// AtFIN is what Received and Arrived were when CloseWrite was first called.
	AtFIN struct{ Received, Arrived int }

	Attached                             bool
	FINs, Closes                         int // calls of CloseWrite and Close
	Reads, Writes, Flushes, Arms, Probes int // calls

	// Misuse lists the calls that iostream.Transport does not provide for:
	// after Close, of an empty Read, and so on.
	Misuse []string
}

// NewWire returns a Wire on which nothing has arrived.
func NewWire(o Options) *Wire {
	w := &Wire{mu: new(sync.Mutex), options: o}
	w.setWindow(o.Window)
	if o.Seed != 0 {
		w.random = rand.New(rand.NewPCG(o.Seed, 0))
	}
	if o.RecordSize > 0 {
		w.layer = newLayer(o)
	}
	return w
}

// Pipe returns two Wires that are connected: what the stream on one sends
// arrives at the other, and so does its end.
func Pipe(a, b Options) (*Wire, *Wire) {
	one, other := NewWire(a), NewWire(b)
	other.mu = one.mu
	one.peer, other.peer = other, one
	return one, other
}

// Transport returns the transport for iostream.New. A Wire serves one stream.
func (w *Wire) Transport() iostream.Transport {
	if w.layer != nil {
		return &layered{(*transport)(w)}
	}
	return (*transport)(w)
}

// play changes the wire as the outside would.
func (w *Wire) play(change func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change()
	w.announce()
}

// Arrive has data arrive at the stream. The wire copies data.
func (w *Wire) Arrive(data []byte) {
	w.play(func() {
		w.in = append(w.in, data...)
		w.hello()
	})
}

// FIN ends the incoming bytes in good order: after them, a read returns io.EOF.
func (w *Wire) FIN() { w.FailReads(io.EOF) }

// Reset breaks the connection: reads fail with err after what has arrived,
// writes at once.
func (w *Wire) Reset(err error) {
	w.FailReads(err)
	w.FailWrites(err)
}

// FailReads has reads fail with err after what has arrived.
func (w *Wire) FailReads(err error) {
	w.play(func() {
		w.inErr, w.watched = err, false
		w.hello()
	})
}

// FailWrites has writes fail with err.
func (w *Wire) FailWrites(err error) { w.play(func() { w.outErr = err }) }

// Hello sends the peer's part of the handshake; see Options.Handshake.
func (w *Wire) Hello() { w.play(w.hello) }

func (w *Wire) hello() {
	if w.layer != nil {
		w.layer.greeted = true
	}
}

// AddWindow makes room for n more bytes. It has no effect on an unlimited Window.
func (w *Wire) AddWindow(n int) { w.play(func() { w.addWindow(n) }) }

func (w *Wire) addWindow(n int) {
	if w.options.Window != 0 {
		w.window = max(0, w.window) + n
	}
}

// SetWindow changes Options.Window: from now on there is room for n bytes,
// whatever there was before. 0 is no limit and NoWindow is no room.
func (w *Wire) SetWindow(n int) { w.play(func() { w.setWindow(n) }) }

func (w *Wire) setWindow(n int) {
	w.options.Window, w.window = n, n
	if n == 0 {
		w.window = math.MaxInt
	}
}

// SetReadSize changes Options.ReadSize.
func (w *Wire) SetReadSize(n int) { w.play(func() { w.options.ReadSize = n }) }

// Sent returns what the stream has sent so far. It is not for a Pipe, whose
// other end gets the bytes.
func (w *Wire) Sent() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return string(w.out)
}

// State returns what the wire knows about its stream.
func (w *Wire) State() State {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.counts
	s.Arrived = len(w.in)
	s.Readable, s.Writable = w.canRead(), w.canWrite()
	if w.layer != nil {
		s.Held = w.layer.held()
	}
	return s
}

func (w *Wire) canRead() bool {
	if w.layer != nil {
		return w.layer.canRead(w)
	}
	return len(w.in) > 0 || w.inErr != nil
}

func (w *Wire) canWrite() bool {
	if w.layer != nil && !w.layer.canWrite() {
		return false
	}
	return w.window > 0 || w.outErr != nil
}

// send has the wire take as many bytes of b as fit.
func (w *Wire) send(b []byte) int {
	n := min(len(b), max(0, w.window))
	w.window -= n
	w.deliver(b[:n])
	return n
}

// deliver brings bytes to where they are going.
func (w *Wire) deliver(b []byte) {
	w.counts.Sent += len(b)
	if w.peer == nil {
		w.out = append(w.out, b...)
		return
	}
	w.peer.in = append(w.peer.in, b...)
	w.peer.hello()
	w.peer.announce()
}

// end ends the bytes that the other end of a Pipe receives.
func (w *Wire) end() {
	if w.peer != nil && w.peer.inErr == nil {
		w.peer.inErr, w.peer.watched = io.EOF, false
		w.peer.hello()
		w.peer.announce()
	}
}

// chance is true once in n times, if there are whims.
func (w *Wire) chance(n int) bool { return w.random != nil && w.random.IntN(n) == 0 }

// cut returns how many of n bytes, n > 0, one call moves.
func (w *Wire) cut(n, limit int) int {
	if limit > 0 {
		n = min(n, limit)
	}
	if n > 1 && w.chance(4) {
		n = 1 + w.random.IntN(n)
	}
	return n
}

func (w *Wire) trace(format string, args ...any) {
	if w.options.Trace != nil {
		w.options.Trace(fmt.Sprintf(format, args...))
	}
}

func (w *Wire) misuse(what string) {
	w.counts.Misuse = append(w.counts.Misuse, what)
}
