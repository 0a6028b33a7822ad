package iostreamtest_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/eddyloop/eddy/internal/streamhook"
	"github.com/eddyloop/eddy/internal/turnshare"
	"github.com/eddyloop/eddy/iostream"
	"github.com/eddyloop/eddy/iostreamtest"
)

// step is one operation of a schedule: what it is, two arguments, and how it is
// done.
type step struct {
	operation
	a, b  byte
	style style
	turns int   // of the loop that follow, if it is not to come to rest
	then  *step // is done when this one has ended

	inCallback bool // is done in a callback of the stream
}

// operation is something that a schedule can do. To have schedules do something
// new, add it to operations, and what it must come to to the model.
type operation struct {
	name   string
	weight int
	do     func(p *player, s *step)
}

var operations []operation

func init() { // operations refer to steps, which refer to operations
	operations = []operation{
		{"arrive", 22, (*player).arrive},
		{"read", 34, (*player).read},
		{"handle", 8, (*player).handle},
		{"handle task", 10, (*player).handleTask},
		{"set frame", 5, (*player).setFrame},
		{"pause", 3, (*player).pause},
		{"resume", 4, (*player).resume},
		{"write", 16, (*player).write},
		{"sent", 10, (*player).sent},
		{"room", 4, (*player).room},
		{"open", 12, (*player).open1},
		{"cancel", 7, (*player).cancel},
		{"advance", 5, (*player).advance},
		{"fin", 3, (*player).fin},
		{"reset", 1, func(p *player, _ *step) { p.breaks(); p.wire.Reset(errPeer) }},
		{"fail reads", 1, func(p *player, _ *step) { p.breaks(); p.wire.FailReads(errPeer) }},
		{"fail writes", 1, func(p *player, _ *step) { p.wire.FailWrites(errPeer) }},
		{"hello", 2, func(p *player, _ *step) { p.wire.Hello() }},
		{"close write", 2, (*player).closeWrite},
		{"close", 2, (*player).close},
		{"abort", 2, (*player).abort},
		{"close when idle", 1, (*player).closeWhenIdle},
		{"hold", 2, (*player).hold},
		{"release", 2, (*player).release},
		{"wait closed", 2, (*player).waitClosed},
		{"on closed", 1, (*player).onClosed},
		{"read deadline", 4, (*player).setDeadline},
		{"write deadline", 2, (*player).setDeadline},
		{"idle timeout", 1, (*player).idleTimeout},
		{"neighbour", 3, (*player).neighbour},
		{"sharer", 8, (*player).sharer},
		{"crash", 1, (*player).crashNested},
	}
}

// do does a step and, where nothing is in progress, lets the loop run.
func (p *player) do(s *step) {
	if p.failed != nil {
		return
	}
	p.observe()
	p.note("%s%s %d %d (%s)", strings.Repeat("  ", p.depth), s.name, s.a, s.b, [...]string{"callback", "task", "goroutine"}[s.style])
	s.do(p, s)
	if p.depth > 0 || p.failed != nil {
		return
	}
	p.settled = false
	if p.strict || s.turns == 0 {
		p.settle()
		return
	}
	for range s.turns - 1 {
		if _, err := p.world.RunOnce(); err != nil {
			p.fail("%v", err)
		}
	}
}

// nested does what follows on an operation, in its callback or task.
func (p *player) nested(s *step) {
	if s.then == nil {
		return
	}
	p.settled = false
	p.depth++
	defer func() { p.depth-- }()
	if s.then.style == goroutine && (s.then.name != "read" || s.style != callback) {
		s.then.style = task // would have to wait for the loop that it is on
	}
	if turnshare.Pieces == 1 && s.then.style == task {
		s.then.style = callback // see inTask
	}
	s.then.inCallback = s.style == callback
	p.do(s.then)
}

// size makes a small number of a byte, and now and then one that passes a
// boundary of a buffer.
func size(a byte) int {
	large := [...]int{32, 64, 100, 250, 500, 1000, 4000, 16 << 10, 16<<10 + 1, 33000, 64 << 10, 70_000}
	if a >= 216 {
		return large[int(a-216)%len(large)]
	}
	return int(a) % 18
}

func (p *player) arrive(s *step) {
	n := min(size(s.a), p.grain()*500, len(inbound)-p.model.arrived)
	if p.model.ended {
		return
	}
	p.wire.Arrive([]byte(inbound[p.model.arrived : p.model.arrived+n]))
	p.model.arrived += n
}

// breaks notes that the wire's input ends in a failure.
func (p *player) breaks() { p.model.ended, p.model.broken = true, true }

// fin ends the input, which nothing can do that is broken.
func (p *player) fin(*step) {
	if !p.model.broken {
		p.model.ended = true
		p.wire.FIN()
	}
}

func (p *player) open1(s *step) { p.wire.AddWindow(size(s.a)) }

func (p *player) write(s *step) {
	m := p.model
	n := min(size(s.a)*(1+int(s.b%3)), p.grain()*500)
	text := []byte(outbound[m.accepted : m.accepted+n])
	ended := m.sealed || m.finWanted || m.wire.WriteErr != nil
	late := m.writeDue.passed(m.now)
	fits := n <= m.config.WriteLimit-m.backlog()
	took, err := p.stream.Write(text)
	clear(text) // it is the caller's again
	p.note("  write of %d: %d, %v", n, took, err)
	failed := m.wire.WriteErr
	p.observe()
	var e *iostream.Error
	switch {
	case err == nil:
		fits = fits || n <= m.config.WriteLimit-m.backlog() // what was put off has left first
		m.accepted += n
		if ended || !fits || took != n || late && p.settled {
			p.fail("write of %d bytes took %d; ended: %v, fits: %v, late: %v", n, took, ended, fits, late)
		}
	case !errors.As(err, &e) || took != 0:
		p.fail("write took %d: %v", took, err)
	case isDeadline(err) && !among(err, m.writeEnds()):
		if ended || !late {
			p.fail("write: %v; ended: %v, late: %v", err, ended, late)
		}
	case errors.Is(err, iostream.ErrBufferFull):
		if ended || n <= m.config.WriteLimit-m.backlog() {
			p.fail("write of %d bytes to a backlog of %d: %v", n, m.backlog(), err)
		}
	case m.finWanted && errors.Is(err, net.ErrClosed):
	case !among(err, m.writeEnds()):
		p.fail("write: %v, may be %v", err, m.writeEnds())
	case failed == nil && m.wire.WriteErr != nil:
		m.accepted += n // it was taken, and failed on the spot
	}
}

func (p *player) sent(s *step) {
	p.calls++
	m := p.model
	c := &call{name: fmt.Sprintf("sent#%d", p.calls), kind: kindSent, style: s.style, mark: m.accepted * int(s.b) / 255}
	c.name += fmt.Sprintf("(%d)", c.mark)
	if s.style != callback && s.a%7 == 0 {
		c.deadline = time.Duration(1+s.a%5) * time.Second
	}
	if c.style != callback {
		p.wait(c, func(ctx context.Context) ([]byte, int, error) {
			return nil, 0, p.stream.WaitSent(ctx, int64(c.mark))
		}, func() { p.nested(s) })
		return
	}
	p.enter(c)
	err := p.stream.WaitSentFunc(int64(c.mark), func(err error) {
		p.finish(c, outcome{err: err, last: true})
		p.nested(s)
	})
	if err != nil {
		p.fail("%s: %v", c.name, err)
	}
}

func (p *player) room(s *step) {
	p.calls++
	c := &call{name: fmt.Sprintf("room#%d", p.calls), kind: kindRoom, style: s.style}
	if c.style != callback {
		c.style = task // a goroutine may look twice, and the loop has gone on meanwhile
		p.wait(c, func(ctx context.Context) ([]byte, int, error) { return nil, 0, p.stream.Room(ctx) }, func() { p.nested(s) })
		return
	}
	p.enter(c)
	err := p.stream.RoomFunc(func(err error) {
		p.finish(c, outcome{err: err, last: true})
		p.nested(s)
	})
	if err != nil {
		p.fail("%s: %v", c.name, err)
	}
}

// cancel ends the context of one of the waiting operations.
func (p *player) cancel(s *step) {
	var waiting []*call
	for _, c := range p.open() {
		if c.cancel != nil && !c.noticed {
			waiting = append(waiting, c)
		}
	}
	if len(waiting) == 0 {
		return
	}
	c := waiting[int(s.a)%len(waiting)]
	p.note("  cancels %s", c.name)
	c.canceled = true
	c.cancel(context.Canceled)
	if c.came != nil {
		p.await(c)
	}
}

func (p *player) advance(s *step) {
	if p.depth > 0 {
		return // time passes between callbacks
	}
	p.settle()
	p.world.Clock.Advance([...]time.Duration{time.Second, 3 * time.Second, 10 * time.Second}[s.a%3])
	p.settled = false
	p.settle()
}

func (p *player) closeWrite(*step) {
	m := p.model
	if m.draining || m.idle > 0 {
		return
	}
	ended := m.sealed || m.finWanted || m.wire.WriteErr != nil
	err := p.stream.CloseWrite()
	switch {
	case err == nil && !ended:
		m.finWanted = true
	case err == nil || !m.finWanted && !among(err, m.writeEnds()):
		p.fail("close write: %v, ended: %v", err, ended)
	}
}

func (p *player) close(*step) {
	if p.stream.Err() == nil {
		p.model.close(net.ErrClosed)
	}
	_ = p.stream.Close()
}

func (p *player) abort(*step) {
	if p.stream.Err() == nil {
		p.model.cut()
	}
	p.model.abort(errOwn)
	p.stream.Abort(errOwn)
}

// pause is of the repeating read, if there is one.
func (p *player) pause(*step) {
	if c := p.model.repeating(); c != nil {
		c.stopped = true
	}
	p.stream.Pause()
}

func (p *player) resume(*step) {
	if c := p.model.repeating(); c != nil {
		c.stopped = false
	}
	p.stream.Resume()
}

func (p *player) hold(*step) {
	p.model.holds++
	p.releases = append(p.releases, p.stream.Hold())
}

func (p *player) release(*step) {
	m := p.model
	if m.holds == 0 {
		return
	}
	m.holds--
	release := p.releases[m.holds]
	p.releases = p.releases[:m.holds]
	if m.holds == 0 && m.abandoned && m.pending() == nil {
		m.close(net.ErrClosed)
	}
	release()
	release()
}

// closeWhenIdle, like an idle timeout, is left out once the writing side has ended,
// and the reverse: that the stream then closes could not be seen from outside.
func (p *player) closeWhenIdle(*step) {
	if p.model.finWanted {
		return
	}
	p.model.draining = true
	streamhook.CloseWhenIdle(p.stream)
}

func (p *player) waitClosed(s *step) {
	p.calls++
	c := &call{name: fmt.Sprintf("closed#%d", p.calls), kind: kindClosed, style: max(s.style, task)}
	p.wait(c, func(ctx context.Context) ([]byte, int, error) { return nil, 0, p.stream.WaitClosed(ctx) }, nil)
}

// onClosed sets the function that is told of the close, which every other
// operation with a callback must precede.
func (p *player) onClosed(*step) {
	watch := new(closeWatch)
	p.closes = append(p.closes, watch)
	index := len(p.closes) - 1
	_ = p.stream.WaitClosedFunc(func(err error) {
		p.observe()
		p.note("  on closed %d: %v", index, err)
		watch.called++
		if !among(err, p.model.causes) || p.stream.Err() != err || p.model.wire.Closes != 1 {
			p.fail("on closed: %v, may be %v; transport closed %d times", err, p.model.causes, p.model.wire.Closes)
		}
		for _, c := range p.open() {
			if c.style == callback && !c.noticed && !(c.task && p.model.handling != nil) {
				p.fail("%s is told after the close", c.name)
			}
		}
	})
}

func (p *player) idleTimeout(s *step) {
	m := p.model
	d := time.Duration(s.a%4) * 2 * time.Second
	if m.finWanted && !m.sealed && m.frozen == endless {
		return
	}
	err := p.stream.SetIdleTimeout(d)
	if err == nil {
		m.idle, m.heard, m.silentSince = d, m.now, m.now
	}
	if (err != nil) != (m.sealed || m.frozen != endless) && p.settled {
		p.fail("idle timeout: %v", err)
	}
}

// setDeadline sets one of the stream's deadlines: to never, to what has passed
// already, or to a moment between two whole seconds, which are all that the
// world's clock shows: deadlines are moments of the real clock, which moves on
// a little while they are set.
func (p *player) setDeadline(s *step) {
	m := p.model
	due, set := &m.readDue, p.stream.SetReadDeadline
	if s.name == "write deadline" {
		due, set = &m.writeDue, p.stream.SetWriteDeadline
	}
	var err error
	switch in := time.Duration(s.a % 6); in {
	case 0:
		*due = deadline{}
		err = set(time.Time{})
	case 1:
		*due = deadline{set: true, at: m.now}
		err = set(time.Unix(1, 0))
	default:
		in *= time.Second
		*due = deadline{set: true, at: m.now + in}
		err = set(time.Now().Add(in - time.Second/2))
	}
	p.observe()
	if (err != nil) != m.sealed && p.settled {
		p.fail("%s: %v", s.name, err)
	}
}

// neighbour is another stream, which takes buffers from where this one puts
// them back.
func (p *player) neighbour(s *step) {
	wire := iostreamtest.NewWire(iostreamtest.Options{Window: -1})
	other, err := iostream.New(p.world.Loop, wire.Transport(), nil)
	if err != nil {
		p.fail("neighbour: %v", err)
		return
	}
	for range 1 + s.b%4 {
		_, _ = other.Write(bytes.Repeat([]byte{'?'}, 1+size(s.a)))
	}
	_ = other.Close()
}

// crashNested ends a callback of the stream as user code may. A task that does
// so ends alone.
func (p *player) crashNested(s *step) {
	if p.depth > 0 && s.inCallback {
		p.crash(s.a%2 == 0)
	}
}
