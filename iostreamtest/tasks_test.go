package iostreamtest_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"time"

	"github.com/eddyloop/eddy/internal/turnshare"
	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
)

// What schedules do with messages that tasks handle, and the model's rules for them.

// slot is what can be seen of a stream's pending read.
type slot struct {
	free     bool
	buffered int
}

var errEnds = errors.New("played by a message's function")

// handleTask has tasks handle messages, until the function of one ends the stream.
func (p *player) handleTask(s *step) {
	s.style = callback
	c := p.newCall(s, handled[int(s.b)%len(handled)])
	c.deadline, c.stop, c.task = 0, 1+int(s.b>>2)%6, true
	c.size = max(1, min(c.size, p.model.config.ReadLimit))
	c.name = "task " + c.name
	if !p.mayReadSoon() {
		return
	}
	seen := 0
	busy := p.enter(c)
	err := p.stream.HandleTask(c.frame(), func(t *ioloop.Task, _ *iostream.Stream, msg []byte) error {
		seen++
		return p.message(c, s, t, msg, seen)
	})
	if busy {
		p.leave(c, busy, outcome{err: err, last: true})
	} else if err != nil {
		p.fail("%s: %v", c.name, err)
	}
}

// message is the function that handles one.
func (p *player) message(c *call, s *step, t *ioloop.Task, msg []byte, seen int) (err error) {
	p.begins(c, msg)
	was, returned := string(msg), false
	defer func() {
		if !returned { // it panics or exits
			p.model.handling = nil
		}
	}()
	err = p.work(c, s, t, seen)
	p.checkLent(c, msg, was)
	p.returns(c, err)
	returned = true
	return err
}

// work is what the function does: it waits, has the operation that follows done, waits
// again, and at last ends the stream in one of the ways there are.
func (p *player) work(c *call, s *step, t *ioloop.Task, seen int) error {
	n := int(s.a) + int(s.b>>3) + seen
	if err := p.pause1(t, s, n%8); err != nil {
		return err
	}
	p.nested(s)
	if n%3 == 0 {
		if err := p.pause1(t, s, n/3%8); err != nil {
			return err
		}
	}
	if seen < c.stop {
		return nil
	}
	p.observe()
	switch n % 7 {
	case 0:
		p.crash(false)
	case 1:
		p.crash(true)
	case 2:
		p.close(s)
	case 3:
		p.abort(s)
	case 4:
		p.hold(s)
	case 5:
		return errEnds
	}
	return fmt.Errorf("%s: %w", c.name, errEnds)
}

// pause1 waits in one of the ways there are, or not at all.
func (p *player) pause1(t *ioloop.Task, s *step, how int) error {
	p.calls++
	switch how {
	case 0:
		c := &call{name: fmt.Sprintf("sleep#%d", p.calls), kind: kindSleep, style: task}
		d := time.Duration(1+s.a%3) * time.Second
		p.enter(c)
		c.deadline = p.model.now + d
		p.finish(c, outcome{err: t.Sleep(d), last: true})
	case 1:
		c := &call{name: fmt.Sprintf("sent#%d(%d)", p.calls, p.model.accepted), kind: kindSent, style: task, mark: p.model.accepted}
		p.enter(c)
		p.finish(c, outcome{err: p.stream.WaitSent(t, int64(c.mark)), last: true})
	case 2:
		return t.Yield()
	case 3, 4, 5:
		return p.body(t, s)
	}
	return nil
}

// body is a read of the function's own. It returns the error of every other one that
// fails.
func (p *player) body(t *ioloop.Task, s *step) error {
	c := p.newCall(&step{a: s.b % 216, b: s.a, style: task}, kind(s.a%10))
	if p.badSize(c) != nil || !p.mayRead() {
		return nil
	}
	if turnshare.Pieces == 1 && p.model.pending() != nil {
		return nil // it may yield before it begins, see inTask, and the other be over then
	}
	ctx := t
	if c.deadline > 0 {
		view, cancel := t.WithTimeout(c.deadline)
		defer cancel()
		ctx, c.deadline = view, c.deadline+p.world.Clock.Now()
	}
	busy := p.enter(c)
	data, n, err := p.readWaiting(c)(ctx)
	p.leave(c, busy, outcome{data: data, n: n, err: err, last: true})
	if s.a%2 == 0 {
		return nil
	}
	return err
}

// begins takes in a message that a task begins with. It is judged in its turn; its read
// stands back meanwhile.
func (p *player) begins(c *call, msg []byte) {
	m := p.model
	at := slices.Index(m.reads, c)
	if at < 0 || m.handling != nil {
		p.fail("%s gets %s; two at once: %v", c.name, brief(string(msg)), m.handling != nil)
		return
	}
	m.reads = slices.Delete(m.reads, at, at+1)
	m.handling, m.over = c, false
	p.observe()
	p.note("  %s: %s", c.name, brief(string(msg)))
	if p.stream.Err() == nil && m.backlog() > m.config.HighWaterMark {
		p.fail("%s goes on with %d bytes to send", c.name, m.backlog())
	}
	if m.stopped(c) && p.stream.Err() == nil {
		p.fail("%s gets a message while it is paused", c.name)
	}
	message := *c
	message.noticed, message.results = true, []outcome{{data: bytes.Clone(msg), last: true}}
	m.reads = append(m.reads, &message)
	p.judge()
}

// returns is called when the function returns. The results of reads that were begun
// meanwhile end with it.
func (p *player) returns(c *call, err error) {
	if !isPending(p.stream) {
		for _, r := range slices.Clone(p.model.reads) {
			if r.came != nil && !r.noticed {
				p.await(r)
			}
		}
	}
	p.checkKept()
	p.observe()
	p.note("  %s returns %v", c.name, err)
	p.model.handled(c, err)
}

// setFrame changes the frame of the repeating read.
func (p *player) setFrame(s *step) {
	p.observe()
	m := p.model
	next, c := p.newCall(s, handled[int(s.b)%len(handled)]), m.repeating()
	next.size = max(1, next.size)
	want := p.badSize(next)
	switch {
	case want != nil:
	case c == nil:
		want = iostream.ErrInvalid
	case c != m.running && c != m.handling && !c.stopped:
		want = iostream.ErrReadPending
	}
	err := p.stream.SetFrame(next.frame())
	p.note("  set frame %s: %v", next.name, err)
	if !errors.Is(err, want) {
		p.fail("set frame: %v, want %v", err, want)
	}
	if err == nil && c != nil {
		c.kind, c.size, c.delim, c.re, c.name = next.kind, next.size, next.delim, next.re, next.name
	}
}

// working reports whether somebody is at work for the stream.
func (m *model) working() bool { return m.holds > 0 || m.handling != nil }

// repeating returns the repeating read, if there is one.
func (m *model) repeating() *call {
	if c := m.pending(); c != nil && c.repeats() {
		return c
	}
	if m.over {
		return nil
	}
	return m.handling
}

// handled is called when the function of a message returns.
func (m *model) handled(c *call, err error) {
	m.handling = nil
	switch {
	case err != nil:
		if m.wire.ReadErr == io.EOF && errors.Is(err, io.EOF) {
			err = io.EOF
		}
		m.close(err)
	case m.pending() != nil: // it has been taken over
	case m.over && m.holds > 0:
		m.abandoned = true
	case m.over:
		m.close(net.ErrClosed)
	default:
		c.expired = m.past(c)
		c.heldBack = c.heldBack || m.paused(c)
		m.reads = append(m.reads, c)
		m.hadRead = true
	}
}

// messagesOver takes in that the read of messages has ended, which nobody is told of:
// the stream is closed in good order.
func (m *model) messagesOver(view slot) {
	c := m.pending()
	if !view.free || c == nil || !c.task {
		return
	}
	m.reads = slices.DeleteFunc(m.reads, func(r *call) bool { return r == c })
	c.heldBack = c.heldBack || m.paused(c)
	if m.frozen != endless || m.sealed {
		return
	}
	rest := inbound[m.consumed:min(m.consumed+view.buffered, m.wire.Received)]
	n, tooLong := m.satisfied(c, rest)
	expired := c.expired || m.past(c)
	var reasons []error
	if tooLong {
		reasons = append(reasons, iostream.ErrTooLong)
	}
	if expired {
		reasons = append(reasons, os.ErrDeadlineExceeded)
	}
	if m.wire.ReadErr == io.EOF && rest != "" {
		reasons = append(reasons, io.ErrUnexpectedEOF)
	}
	if end := m.end(); end != nil {
		reasons = append(reasons, end) // it was closed for that before
	}
	if m.wire.ReadErr == io.EOF && rest == "" {
		reasons = append(reasons, io.EOF)
	}
	broken := m.wire.ReadErr != nil && m.wire.ReadErr != io.EOF
	switch {
	case n >= 0 && !(c.heldBack && (expired || m.idle > 0)):
		m.wrong = fmt.Errorf("%s has ended with a message of %d bytes in hand", c.name, n)
	case len(reasons) == 0 && broken: // it is closed for that
		return
	case len(reasons) == 0 && m.wire.FINs > 0 && (m.draining || m.idle > 0):
		return // see closedByItself
	}
	if m.draining && m.holds == 0 {
		reasons = append(reasons, net.ErrClosed)
		m.mayClose(net.ErrClosed) // the peer, which has all, is not waited for
	}
	if m.idle > 0 {
		reasons = append(reasons, iostream.ErrIdle)
		m.mayClose(iostream.ErrIdle)
	}
	if len(reasons) == 0 {
		m.wrong = fmt.Errorf("%s has ended unasked", c.name)
	}
	if m.holds > 0 {
		m.abandoned = true
		return
	}
	m.closeFor(m.consumed+len(rest), reasons)
	if broken {
		m.mayClose(m.wire.ReadErr)
	}
}
