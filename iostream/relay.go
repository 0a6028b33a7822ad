package iostream

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
)

// RelayCounts is the result of a relay between two streams.
type RelayCounts struct {
	AToB, BToA RelayCount
}

// RelayCount counts one direction of a relay.
type RelayCount struct {
	Read    int64 // bytes that were read from the one stream
	Written int64 // of these, bytes that went to the other's kernel; the rest is lost
	Err     error // why the direction ended early; nil if the one's end came and was passed on
}

// Relay connects a and b: it sends what either receives on the other, in both
// directions, until both peers have ended their sides. It passes a peer's end
// on as the end of that direction only (CloseWrite), so half-closed connections
// work. It reads a stream only as fast as the other can be written: at most the
// other's Config.HighWaterMark and the bytes of one read wait to be sent.
// Between plain sockets on Linux bulk goes through a pipe (splice(2)), and the
// contents of a pipe, 1 MiB, may wait instead.
//
// The streams may be on different loops and of different kinds, for instance
// TLS and plain. Bytes that were received and not read before go first. Both
// streams belong to the relay until it returns: nobody else may read or write
// them. They are closed then. If one fails or is aborted, the relay aborts the
// other, so that no peer takes incomplete data for complete. If one is closed
// by Close, the relay closes the other.
//
// Relay returns nil if both directions came to their end, and otherwise the
// error of the first that failed. When ctx is done, it aborts both streams with
// the error of ctx. It returns ErrInvalid (the same stream twice, or nil) and
// ErrReadPending at once, and then nothing has changed.
func Relay(ctx context.Context, a, b *Stream) (RelayCounts, error) {
	if err := checkContext(ctx); err != nil {
		return RelayCounts{}, opError("relay", err)
	}
	r, err := newRelay(a, b)
	if err != nil {
		return RelayCounts{}, err
	}
	r.begin()
	for _, s := range []*Stream{a, b} {
		if err := s.WaitClosed(ctx); err != nil {
			r.fail(errors.Unwrap(err))
			break
		}
	}
	return r.outcome()
}

// RelayFunc is Relay with a callback: fn is called once, on the loop of a or of
// b, when the relay is over. If fn is nil, or where Relay returns at once,
// RelayFunc returns the error and does not call fn. The function of a Handle
// may call RelayFunc, for instance after it has read a header.
func RelayFunc(a, b *Stream, fn func(RelayCounts, error)) error {
	if fn == nil {
		return opError("relay", ErrInvalid)
	}
	r, err := newRelay(a, b)
	if err != nil {
		return err
	}
	var closed atomic.Int32
	over := func(error) {
		if closed.Add(1) == 2 {
			fn(r.outcome())
		}
	}
	for _, s := range []*Stream{a, b} {
		if err := s.WaitClosedFunc(over); err != nil {
			r.fail(err) // its loop is closed, and so is the stream
			over(err)
		}
	}
	r.begin()
	return nil
}

// relay is a connection between two streams.
type relay struct {
	aToB, bToA flow

	mu  sync.Mutex
	err error
}

// flow is one direction of it.
type flow struct {
	relay    *relay
	from, to *Stream
	origin   int64 // the write index of to where it began
	read     atomic.Int64
	err      error // under relay.mu
	ended    bool  // under relay.mu

	bulk bulk // of the loop of from
}

// newRelay takes the two streams, which do not move anything before begin.
func newRelay(a, b *Stream) (*relay, error) {
	if a == nil || b == nil || a == b {
		return nil, opError("relay", fmt.Errorf("%w: it takes two streams", ErrInvalid))
	}
	r := new(relay)
	r.aToB = flow{relay: r, from: a, to: b, origin: b.Mark()}
	r.bToA = flow{relay: r, from: b, to: a, origin: a.Mark()}
	if err := r.aToB.prepare(); err != nil {
		return nil, err
	}
	if err := r.bToA.prepare(); err != nil {
		r.aToB.withdraw()
		return nil, err
	}
	return r, nil
}

func (r *relay) begin() {
	r.aToB.from.Resume()
	r.bToA.from.Resume()
}

// fail ends both streams for a reason.
func (r *relay) fail(err error) {
	r.note(nil, err)
	r.aToB.from.breakOff(err)
	r.bToA.from.breakOff(err)
}

// note keeps the first error, and the flow's own.
func (r *relay) note(f *flow, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.err = cmp.Or(r.err, err)
	if f != nil && !f.ended {
		f.ended, f.err = true, err
	}
}

func (r *relay) outcome() (RelayCounts, error) {
	aToB, bToA := r.aToB.count(), r.bToA.count()
	r.mu.Lock()
	defer r.mu.Unlock()
	return RelayCounts{aToB, bToA}, opError("relay", cmp.Or(r.err, aToB.Err, bToA.Err))
}

func (f *flow) count() RelayCount {
	read := f.read.Load()
	f.to.mu.Lock()
	written := f.to.sent() - f.origin
	f.to.mu.Unlock()
	written = max(0, min(written, read))
	f.relay.mu.Lock()
	defer f.relay.mu.Unlock()
	c := RelayCount{Read: read, Written: written, Err: f.err}
	if c.Err == nil && (!f.ended || written < read) {
		c.Err = cmp.Or(f.relay.err, f.to.Err(), net.ErrClosed)
	}
	return c
}

// prepare begins to read, paused.
func (f *flow) prepare() error {
	some := Some(0)
	op := &readOp{reader: f.receive, relayed: true, stopped: true}
	if err := op.setFrame(&some, f.from.config); err != nil {
		return opError("relay", err)
	}
	if err := f.from.start(op, &some); err != nil {
		return err
	}
	f.from.setFlow(f)
	f.from.serve() // that its reader has ended does not close it: the relay does
	return nil
}

func (s *Stream) setFlow(f *flow) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ensureDetails().flow = f
}

// withdraw takes back what prepare has begun.
func (f *flow) withdraw() {
	f.from.mu.Lock()
	defer f.from.mu.Unlock()
	if f.from.op.relayed && !f.from.op.running {
		f.from.op = readOp{}
	}
}

// receive is called with what came in, and at the end of it.
func (f *flow) receive(p []byte, err error) bool {
	if err != nil {
		f.pass(err)
		return false
	}
	f.read.Add(int64(len(p)))
	f.bulk.note(len(p))
	if err := f.to.forward(p); err != nil {
		f.relay.note(f, err)
		f.from.breakOff(err)
		return true // it is told of that next, and breaks off the other, which may still be read
	}
	f.pace()
	return true
}

// pass passes the end of the stream on.
func (f *flow) pass(err error) {
	var e *Error
	if errors.As(err, &e) {
		err = e.Err
	}
	switch {
	case err == io.EOF:
		f.relay.note(f, nil)
		_ = f.to.CloseWrite()
	case err == net.ErrClosed && !f.from.wasAborted():
		f.relay.note(f, err)
		_ = f.to.Close()
	default:
		f.relay.note(f, err)
		f.to.breakOff(err)
	}
}

// pace stops reading while too much waits to be sent.
func (f *flow) pace() {
	if room, err := f.to.room(); room && err == nil {
		return
	}
	f.from.Pause()
	f.resumeWhen(f.to.RoomFunc)
}

// resumeWhen has reading go on when wait calls what it is given.
func (f *flow) resumeWhen(wait func(func(error)) error) {
	err := wait(func(err error) {
		if err != nil {
			f.broken(err)
			return
		}
		f.from.Resume()
	})
	if err != nil {
		f.broken(err)
	}
}

// broken ends the stream that is read because the other takes no more.
func (f *flow) broken(err error) {
	var e *Error
	if errors.As(err, &e) {
		err = e.Err
	}
	f.relay.mu.Lock()
	ended := f.ended
	f.relay.mu.Unlock()
	if !ended { // else all was read meanwhile, and the other ends by itself
		f.relay.note(f, err)
		f.from.breakOff(err)
	}
}

// forward is Write without a limit: who calls it stops in time.
func (s *Stream) forward(p []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.refusal(); err != nil {
		return err
	}
	s.accepted += int64(len(p))
	return s.sendAll([][]byte{p}, len(p))
}

// breakOff is Abort of a stream whose peer cannot know that something is missing.
func (s *Stream) breakOff(reason error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ensureDetails().incomplete = true
	s.abort(reason)
}

func (s *Stream) wasAborted() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.any(aborted)
}
