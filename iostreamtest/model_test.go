package iostreamtest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/eddyloop/eddy/iostream"
	"github.com/eddyloop/eddy/iostreamtest"
)

// model is the contract of a stream, written down once more and without the
// stream's means. It judges what a stream does by what is known of the outside:
// which bytes the transport has handed over, which have left, and which calls
// were made. Two kinds of rules follow from that. What an operation comes to
// must be right whenever it comes (judge...), and when the loop is at rest
// nothing may be left undone (rest).
type model struct {
	config iostream.Config
	layer  bool
	whims  bool
	wire   iostreamtest.State // as last seen
	now    time.Duration

	consumed int     // bytes of the input that readers got
	arrived  int     // and that the wire has
	frozen   int     // input beyond is discarded: Close; -1: none is
	reads    []*call // begun and not judged, in the order in which they began
	running  *call   // a repeating read whose callback is in progress
	handling *call   // a repeating read whose function works as a task
	over     bool    // and that Handle has taken over for good
	taken    bool    // a read has begun in the callback in progress
	others   []*call // waits for writes and for the close, not judged
	hadRead  bool    // there was a reader since the loop was last at rest,
	readsWas int     // when so many reads of the transport had been made

	accepted  int
	finWanted bool
	draining  bool
	drained   bool          // and closed by itself
	reasons   []error       // why it is closed in good order
	holds     int           // that are not released
	abandoned bool          // its reader has ended while it was held
	sentAt    time.Duration // when a byte was sent, or Close called

	receivedAt time.Duration // when a byte was received

	silentSince time.Duration // when the peer was heard, or something was under way
	idle        time.Duration
	idleCut     bool          // with bytes to send: the stream may be aborted for that
	heard       time.Duration // when a byte came, or a hold ended, or all was sent
	readDue     deadline
	writeDue    deadline
	ended       bool // the wire's input has an end
	broken      bool // which is a failure
	eof         bool // the stream has seen it end, though it may have broken since

	wrong error // what the stream has done that it must not

	causes []error // that the stream may be closed for
	sealed bool    // it is closed for one of them
	reason error   // the one, once seen
}

const endless = -1

// deadline is that of a stream, on the world's clock.
type deadline struct {
	set bool
	at  time.Duration
}

func (d deadline) passed(now time.Duration) bool { return d.set && now >= d.at }

// call is an operation in progress.
type call struct {
	stopped  bool // it is a repeating read that Pause has paused
	name     string
	kind     kind
	style    style
	size     int // n or max, as asked for
	delim    string
	re       *regexp.Regexp
	into     []byte
	mark     int
	stop     int  // a repeating read ends after so many results; 0: it does not repeat
	task     bool // a repeating read has tasks handle its messages
	late     bool // began when the stream was known to be closed
	behind   bool // began while a message's function was at work: what holds when that returns counts
	heldBack bool // has been, of messages of tasks
	cut      bool // Close or Abort was called: no message is for it
	canceled bool
	expired  bool          // the stream's deadline has passed since it began
	deadline time.Duration // of its own; 0: none
	noticed  bool
	results  []outcome // not judged yet

	cancel func(error)  // of waiting calls
	came   chan outcome // of goroutines
}

type outcome struct {
	data []byte
	n    int
	err  error
	last bool // of a repeating read: the last
}

type kind uint8

const (
	kindUntil kind = iota
	kindRegexp
	kindBytes
	kindSome
	kindInto
	kindSomeInto
	kindUntilClose
	kindPeek
	kindSplit
	kindPrefix
	kindSent
	kindRoom
	kindClosed
	kindSleep
)

func (c *call) isRead() bool { return c.kind < kindSent }

func (c *call) isWrite() bool { return c.kind == kindSent || c.kind == kindRoom }

func (c *call) repeats() bool { return c.stop > 0 }

// observe takes in what the wire knows, and what follows from it for the end.
func (m *model) observe(w iostreamtest.State, now time.Duration, view slot) {
	before := m.wire
	m.wire, m.now = w, now
	if c := m.pending(); c != nil && c.task {
		c.heldBack = c.heldBack || m.paused(c)
	}
	m.messagesOver(view)
	if w.FINs > 0 && !m.finWanted && m.frozen == endless && !m.sealed {
		m.closedByItself(w.AtFIN.Received == before.Received)
	}
	if w.Received != before.Received || m.working() || m.backlog() > 0 {
		m.heard = now
	}
	if w.Received != before.Received || m.working() {
		m.silentSince = now
	}
	if w.Sent != before.Sent {
		m.sentAt, m.heard = now, now
	}
	m.eof = m.eof || w.ReadErr == io.EOF
	if w.ReadErr != nil && w.ReadErr != io.EOF {
		m.mustClose(w.ReadErr)
	}
	if soft := m.end(); soft != nil {
		m.mayClose(soft)
		if slices.Contains(m.reasons, soft) {
			for _, r := range m.reasons {
				m.mayClose(r)
			}
		}
	}
	if w.Received != before.Received {
		m.receivedAt = now
	}
	if m.closeDue() || m.lingered(500*time.Millisecond) {
		m.mayClose(m.late())
	}
	if m.endsAlone() != nil {
		m.mayClose(m.wire.WriteErr)
	}
	if m.idle > 0 && m.backlog() > 0 && m.frozen == endless && now >= m.sentAt+m.idle {
		m.mayClose(iostream.ErrIdle)
		m.idleCut = true
	}
	for _, c := range m.reads {
		c.expired = c.expired || m.past(c)
	}
	for _, c := range m.others {
		c.expired = c.expired || m.past(c)
	}
}

// isDeadline reports whether err is that of a stream's deadline.
func isDeadline(err error) bool {
	return errors.Is(err, os.ErrDeadlineExceeded) && !errors.Is(err, iostream.ErrIdle) && !errors.Is(err, iostream.ErrSendTimeout)
}

// past reports whether the stream's deadline for what c does has passed.
func (m *model) past(c *call) bool {
	return c.isRead() && m.readDue.passed(m.now) || c.isWrite() && m.writeDue.passed(m.now)
}

// idleDue reports whether the stream may be closed because it is silent.
// What this side sends is no sign of the peer, and whether it is on its way is looked at
// now and then only.
func (m *model) idleDue() bool { return m.idle > 0 && m.now >= m.silentSince+m.idle }

// closeDue reports whether a Close has gone without progress for too long.
func (m *model) closeDue() bool {
	return m.frozen != endless && m.now >= m.sentAt+m.config.CloseTimeout
}

// lingered reports whether a stream that is closed on this side, and whose peer has
// everything, has seen nothing of that peer for so long.
func (m *model) lingered(d time.Duration) bool {
	return m.frozen != endless && m.wire.FINs > 0 && m.backlog() == 0 && m.wire.Held == 0 &&
		m.now >= max(m.sentAt, m.receivedAt)+d
}

// late is why a stream is closed then.
func (m *model) late() error {
	if m.backlog() > 0 {
		return iostream.ErrSendTimeout
	}
	if len(m.reasons) > 1 {
		m.mayClose(m.reasons[1])
	}
	return m.reasons[0]
}

// close says that the stream is closed in good order from here on.
func (m *model) close(reason error) {
	m.closeFor(m.wire.Received, []error{reason})
}

// closeFor says that the stream is closed in good order, for one of some reasons, and
// that input beyond frozen is for nobody.
func (m *model) closeFor(frozen int, reasons []error) {
	if m.sealed || m.frozen != endless {
		return
	}
	m.frozen, m.finWanted, m.reasons, m.sentAt = frozen, true, reasons, m.now
	m.cut()
	if soft := m.end(); soft != nil {
		m.mayClose(soft)
	}
}

// closedByItself says that the stream has ended its writing side unasked: it is
// closed in good order, which it may be if it drains or is silent.
func (m *model) closedByItself(silent bool) {
	var reasons []error
	if m.draining && !m.working() {
		reasons = append(reasons, net.ErrClosed)
		m.drained = true
	}
	if m.idleDue() && silent {
		m.drained = false
		reasons = append(reasons, iostream.ErrIdle)
	}
	if len(reasons) == 0 {
		return // which is noticed when it is at rest
	}
	m.frozen, m.finWanted, m.reasons, m.sentAt = m.wire.AtFIN.Received, true, reasons, m.now
	m.cut()
	for _, reason := range reasons {
		m.mayClose(reason) // the peer, which has all, is not waited for
	}
}

// cut says that callbacks that wait for a message are called for none.
func (m *model) cut() {
	if m.handling != nil {
		m.handling.cut = true
	}
	for _, c := range m.reads {
		c.cut = c.cut || c.style == callback && c.into == nil && c.kind != kindUntilClose && !c.noticed
	}
}

// returned is called when a read's callback has returned, having ended its
// reading or not.
func (m *model) returned(ended bool, err error) {
	switch {
	case !ended || m.taken || m.pending() != nil || m.handling != nil:
	case m.holds > 0:
		m.abandoned = true
	case err != nil && m.wire.ReadErr == io.EOF:
		m.close(io.EOF)
	default:
		m.close(net.ErrClosed)
	}
}

// mayClose says that the stream closes for err if nothing else comes first.
func (m *model) mayClose(err error) {
	if !m.sealed && !slices.Contains(m.causes, err) {
		m.causes = append(m.causes, err)
	}
}

// abort says that the stream is aborted now, if it was not closed before.
func (m *model) abort(err error) {
	m.mayClose(err)
	m.sealed = true
}

// mustClose says that the stream is closed now, if it was not before.
func (m *model) mustClose(err error) {
	for _, own := range m.own(err) {
		m.mayClose(own)
	}
	m.sealed = true
}

// own returns why a stream is closed that err would close: when this side has
// asked for it, and nothing is lost, that is the reason.
func (m *model) own(err error) []error {
	if m.frozen != endless && m.backlog() == 0 && (m.wire.WriteErr == nil || m.wire.FINs > 0) {
		return m.reasons
	}
	return []error{err}
}

// end returns why the stream has to close by itself, nil if it has not.
func (m *model) end() error {
	eof := m.wire.ReadErr == io.EOF
	finSent, failed := m.wire.FINs > 0, m.wire.WriteErr != nil
	switch {
	case m.frozen != endless && failed && !finSent:
		return m.wire.WriteErr
	case m.frozen != endless:
		if eof && finSent {
			return m.reasons[0]
		}
	case eof && failed && !finSent:
		return m.wire.WriteErr
	case eof && finSent:
		return io.EOF
	case m.quiet() && failed && !finSent:
		return m.wire.WriteErr
	}
	return nil
}

// quiet reports whether a stream that drains has nothing to wait for.
func (m *model) quiet() bool {
	return m.draining && !m.working() && m.backlog() == 0 && m.wire.Held == 0 && m.rest() == "" && m.waits()
}

// waits reports whether a read waits for the first byte of its input.
func (m *model) waits() bool {
	c := m.pending()
	if c == nil || m.stopped(c) { // who has paused may have something in hand
		return false
	}
	n, _ := m.satisfied(c, "")
	return n < 0
}

// backlog is how many bytes wait to be sent.
func (m *model) backlog() int {
	if m.wire.WriteErr != nil || m.sealed {
		return 0
	}
	return m.accepted - m.wire.Sent
}

// rest is what a reader can have.
func (m *model) rest() string {
	end := m.wire.Received
	if m.frozen != endless {
		end = min(end, m.frozen)
	}
	return inbound[m.consumed:end]
}

// takeOver ends the repeating read whose callback is in progress, which has
// begun another read.
func (m *model) takeOver() {
	c := m.running
	m.running = nil
	if c.noticed {
		return
	}
	c.noticed = true
	if len(c.results) > 0 {
		c.results[len(c.results)-1].last = true
		return
	}
	m.reads = slices.DeleteFunc(m.reads, func(r *call) bool { return r == c })
}

// pending returns the read that has the slot, as far as is known.
func (m *model) pending() *call {
	if m.running != nil {
		return m.running
	}
	for _, c := range m.reads {
		if !c.noticed {
			return c
		}
	}
	return nil
}

// readEnds returns what reads may fail with because nothing more comes.
func (m *model) readEnds(c *call) []error {
	ends := slices.Clone(m.causes)
	if c.late {
		return ends
	}
	if m.eof {
		ends = append(ends, io.EOF) // also of what has not been resumed since to tell it
	}
	return append(append(ends, m.reasons...), m.endsAlone()...)
}

// endsAlone returns why a stream that cannot be written may be closed unseen: it
// drains or is silent.
func (m *model) endsAlone() (reasons []error) {
	if m.wire.WriteErr == nil || m.wire.FINs > 0 || m.frozen != endless {
		return nil
	}
	if m.idle > 0 {
		reasons = append(reasons, iostream.ErrIdle)
	}
	if m.draining {
		reasons = append(reasons, net.ErrClosed)
	}
	return reasons
}

// writeEnds returns what waits for writes may fail with.
func (m *model) writeEnds() []error {
	ends := slices.Clone(m.causes)
	if m.wire.WriteErr != nil {
		ends = append(ends, m.wire.WriteErr)
	}
	return append(ends, m.reasons...)
}

func among(err error, allowed []error) bool {
	return slices.ContainsFunc(allowed, func(a error) bool { return errors.Is(err, a) })
}

// limit is the most bytes that a read may search.
func (m *model) limit(c *call) int {
	if c.size > 0 {
		return min(c.size, m.config.ReadLimit) // above it only `some` may be
	}
	return m.config.ReadLimit
}

// satisfied returns how many bytes of rest a read gets, -1 if it has to wait;
// tooLong is true if it cannot be satisfied.
func (m *model) satisfied(c *call, rest string) (n int, tooLong bool) {
	max := m.limit(c)
	end := -1
	switch c.kind {
	case kindUntil, kindSplit:
		if i := strings.Index(rest, c.delim); i >= 0 {
			end = i + len(c.delim)
		}
	case kindRegexp:
		if at := c.re.FindStringIndex(rest); at != nil {
			end = at[1]
		}
	case kindBytes, kindPeek:
		if len(rest) >= c.size {
			return c.size, false
		}
		return -1, false
	case kindPrefix: // of one byte, which is part of the message
		if rest == "" {
			return -1, false
		}
		switch end = 1 + int(rest[0]); {
		case end > max:
			return -1, true
		case end > len(rest):
			return -1, false
		}
		return end, false
	case kindSome:
		if rest != "" {
			return min(len(rest), max), false
		}
		return -1, false
	case kindInto:
		if len(rest) >= c.size {
			return c.size, false
		}
		return -1, false
	case kindSomeInto:
		if rest != "" || c.size == 0 {
			return min(len(rest), c.size), false
		}
		return -1, false
	}
	if end < 0 && len(rest) <= max {
		return -1, false
	}
	if end < 0 || end > max {
		return -1, true
	}
	return end, false
}

// judgeRead says what is wrong with the outcome of a read, and takes its bytes.
func (m *model) judgeRead(c *call, o outcome) error {
	rest := m.rest()
	got := string(o.data)
	if c.into != nil {
		got = string(c.into[:o.n])
	}
	if !strings.HasPrefix(rest, got) {
		return fmt.Errorf("got %s, next in the stream is %s", brief(got), brief(rest))
	}
	n, tooLong := m.satisfied(c, rest)
	if c.cut {
		n, tooLong = -1, false
	}
	if c.kind != kindPeek {
		m.consumed += len(got)
	}
	if o.err == nil {
		switch {
		case c.kind == kindUntilClose:
			if !among(io.EOF, m.readEnds(c)) || len(got) != len(rest) || tooLong {
				return fmt.Errorf("got %s as all there is of %s", brief(got), brief(rest))
			}
		case len(got) != n:
			return fmt.Errorf("got %d bytes, want %d of %s", len(got), n, brief(rest))
		}
		return nil
	}
	var e *iostream.Error
	switch {
	case !errors.As(o.err, &e):
		return fmt.Errorf("%v is no *Error", o.err)
	case c.into == nil && c.kind != kindUntilClose && got != "":
		return fmt.Errorf("got %s and %v", brief(got), o.err)
	case errors.Is(o.err, iostream.ErrTooLong) && (tooLong || !among(o.err, m.readEnds(c))):
		if !tooLong || got != "" {
			return fmt.Errorf("%v, with %d bytes of %s", o.err, len(got), brief(rest))
		}
	case m.contextEnded(c, o.err) || c.expired && isDeadline(o.err) && !among(o.err, m.readEnds(c)):
		if got != "" && c.into == nil {
			return fmt.Errorf("got %s and %v", brief(got), o.err)
		}
		// A repeating read that holds back is told its deadline all the same.
		if isDeadline(o.err) && (n >= 0 || tooLong) && c.into == nil && c.stop == 0 {
			return fmt.Errorf("%v, though it can have %d bytes of %s", o.err, n, brief(rest))
		}
	case c.into != nil && errors.Is(o.err, io.ErrUnexpectedEOF) && o.n > 0 && among(io.EOF, m.readEnds(c)):
	case !among(o.err, m.readEnds(c)) || c.into != nil && o.n > 0 && errors.Is(o.err, io.EOF):
		return fmt.Errorf("%v after %d bytes, may be %v", o.err, o.n, m.readEnds(c))
	case c.into != nil && (o.n != len(rest) || o.n >= c.size):
		return fmt.Errorf("%v after %d of %d bytes, have %d", o.err, o.n, c.size, len(rest))
	case c.kind == kindUntilClose && (len(got) != len(rest) || tooLong):
		return fmt.Errorf("%v with %d bytes of %d", o.err, len(got), len(rest))
	case c.repeats() && c.expired && isDeadline(o.err): // as above, of a stream that was closed for that
	case c.style == callback && m.idleCut && errors.Is(o.err, iostream.ErrIdle): // as an Abort does
	case c.into == nil && c.kind != kindUntilClose && (n >= 0 || tooLong):
		return fmt.Errorf("%v, though it can have %d bytes of %s", o.err, n, brief(rest))
	}
	return nil
}

// contextEnded reports whether err is that of the call's own context, rightly.
func (m *model) contextEnded(c *call, err error) bool {
	return c.canceled && errors.Is(err, context.Canceled) ||
		c.deadline > 0 && m.now >= c.deadline && errors.Is(err, context.DeadlineExceeded)
}

// judgeOther says what is wrong with the outcome of a wait for writes or for
// the close.
func (m *model) judgeOther(c *call, o outcome) error {
	var e *iostream.Error
	switch {
	case c.kind == kindSleep:
		if o.err != nil || m.now < c.deadline {
			return fmt.Errorf("%v at %v of %v", o.err, m.now, c.deadline)
		}
	case o.err != nil && !errors.As(o.err, &e):
		return fmt.Errorf("%v is no *Error", o.err)
	case o.err != nil && m.contextEnded(c, o.err):
	case c.isWrite() && c.expired && isDeadline(o.err):
	case c.kind == kindClosed:
		if o.err != nil || m.wire.Closes == 0 {
			return fmt.Errorf("%v, transport closed %d times", o.err, m.wire.Closes)
		}
	case c.kind == kindSent && o.err == nil:
		if c.mark > m.wire.Sent {
			return fmt.Errorf("nil, but only %d bytes are out", m.wire.Sent)
		}
	case c.kind == kindSent && (c.mark <= m.wire.Sent || !among(o.err, m.writeEnds())):
		return fmt.Errorf("%v with %d bytes out, may be %v", o.err, m.wire.Sent, m.writeEnds())
	case c.kind == kindRoom && o.err == nil:
		if c.late || m.backlog() > m.config.HighWaterMark {
			return fmt.Errorf("nil with %d bytes to send, ended: %v", m.backlog(), m.writeEnds())
		}
	case c.kind == kindRoom && !among(o.err, m.writeEnds()) && !(m.finWanted && errors.Is(o.err, net.ErrClosed)):
		return fmt.Errorf("%v, may be %v", o.err, m.writeEnds())
	}
	return nil
}

func brief(s string) string {
	if len(s) > 24 {
		return fmt.Sprintf("%q... (%d bytes)", s[:20], len(s))
	}
	return fmt.Sprintf("%q", s)
}
