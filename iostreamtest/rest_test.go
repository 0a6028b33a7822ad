package iostreamtest_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/eddyloop/eddy/internal/streamhook"
	"github.com/eddyloop/eddy/poller"
)

// due reports whether an operation must have ended by the time the loop is at
// rest.
func (m *model) due(c *call) bool {
	switch {
	case c.kind == kindSleep:
		return m.now >= c.deadline
	case c.task && m.handling != nil:
		return false
	case c.canceled || c.deadline > 0 && m.now >= c.deadline || m.sealed || m.end() != nil:
		return true
	case c.kind == kindClosed:
		return false
	case c.isWrite() && (c.expired || m.past(c)):
		return true
	case c.kind == kindSent:
		return c.mark <= m.wire.Sent || m.wire.WriteErr != nil
	case c.kind == kindRoom:
		return m.backlog() <= m.config.HighWaterMark/2 || m.wire.WriteErr != nil
	case m.paused(c):
		return false
	}
	if c.cut {
		return true
	}
	n, tooLong := m.satisfied(c, m.rest())
	return n >= 0 || tooLong || c.expired && !c.behind || m.past(c) || m.frozen != endless || m.wire.ReadErr != nil
}

// stopped reports whether Pause has paused a repeating read: once the stream is closed
// there is no pause.
func (m *model) stopped(c *call) bool { return c.stopped && m.frozen == endless && !m.sealed }

// paused: a repeating read may hold back.
func (m *model) paused(c *call) bool {
	return m.stopped(c) || c.repeats() && m.backlog() > m.config.HighWaterMark/2
}

// reading reports whether a read waits for input.
func (m *model) reading() bool {
	return len(m.reads) > 0 && !m.paused(m.reads[0]) && !(m.reads[0].task && m.handling != nil)
}

// isPending reports whether the stream says that a read waits.
func isPending(s stream) bool { return strings.Contains(s.String(), " pending, ") }

// stream is what the model looks at of the stream itself.
type stream interface {
	Err() error
	String() string
	Buffered() int
	Backlog() int
	Mark() int64
}

// atRest says what is undone though the loop has nothing to do.
func (m *model) atRest(s stream) error {
	w := m.wire
	for _, c := range slices.Concat(m.reads, m.others) {
		if m.due(c) {
			return fmt.Errorf("%s has not ended, having %s", c.name, brief(m.rest()))
		}
	}
	if len(w.Misuse) > 0 {
		return fmt.Errorf("misuse of the transport: %s", w.Misuse)
	}
	if s.Err() == nil {
		if m.sealed || m.end() != nil || m.closeDue() || m.lingered(time.Second) {
			return fmt.Errorf("is not closed, may be for %v", m.causes)
		}
		if err := m.atRestOpen(s); err != nil {
			return err
		}
	}
	pending := len(m.reads) > 0
	switch {
	case isPending(s) != pending:
		return fmt.Errorf("%v, want a pending read: %v", s, pending)
	case !pending && !m.hadRead && m.frozen == endless && w.Reads != m.readsWas:
		return fmt.Errorf("%d reads without a reader", w.Reads-m.readsWas)
	case s.Mark() != int64(m.accepted):
		return fmt.Errorf("Mark is %d, accepted were %d bytes", s.Mark(), m.accepted)
	case s.Backlog() != m.backlog():
		return fmt.Errorf("Backlog is %d, want %d", s.Backlog(), m.backlog())
	}
	m.hadRead, m.readsWas = pending, w.Reads
	into := 0
	if pending && m.reads[0].into != nil { // what it has placed cannot be seen yet
		into = len(m.rest())
	}
	if s.Buffered()+into != len(m.rest()) {
		return fmt.Errorf("Buffered is %d, want %d", s.Buffered(), len(m.rest())-into)
	}
	return nil
}

func (m *model) atRestClosed(s stream) error {
	switch {
	case m.reason == nil && !among(s.Err(), m.causes) || m.reason != nil && s.Err() != m.reason:
		return fmt.Errorf("closed for %v, want %v", s.Err(), m.causes)
	case m.wire.Closes != 1:
		return fmt.Errorf("transport closed %d times", m.wire.Closes)
	}
	m.reason, m.causes, m.sealed = s.Err(), []error{s.Err()}, true
	return nil
}

func (m *model) atRestOpen(s stream) error {
	w := m.wire
	switch {
	case m.quiet() && !m.drained && m.frozen == endless && !m.whims:
		return errors.New("does not close though it drains and is idle")
	case m.drained && m.consumed != m.frozen:
		return fmt.Errorf("drained with %d bytes in hand", m.frozen-m.consumed)
	case m.drained && w.AtFIN.Arrived > 0 && !m.whims:
		return fmt.Errorf("drained without a look at %d bytes", w.AtFIN.Arrived)
	case m.idle > 0 && m.frozen == endless && m.now >= m.heard+3*m.idle+20*time.Second:
		return errors.New("is idle and open")
	}
	reading := m.reading() || m.frozen != endless && w.ReadErr == nil
	stuck := w.Writable && w.WriteErr == nil && w.FINs == 0
	switch {
	case !w.Attached || w.Closes > 0:
		return fmt.Errorf("open, with the transport attached: %v, closed %d times", w.Attached, w.Closes)
	case reading && w.Readable && w.ReadErr == nil:
		return errors.New("does not receive what has come")
	case stuck && (m.backlog() > 0 || w.Held > 0):
		return fmt.Errorf("does not send %d bytes (%d held) though it can", m.backlog(), w.Held)
	case m.finWanted && m.backlog() == 0 && w.Held == 0 && w.WriteErr == nil && w.FINs == 0:
		return errors.New("has not sent FIN")
	case w.FINs > 0 && !m.finWanted:
		return errors.New("has sent FIN")
	case m.ended && !streamhook.ReadClosed(s) && !m.layer: // a layer learns it when it reads
		return errors.New("has not noticed that the peer has finished")
	case m.broken && w.Arrived == 0 && !m.layer:
		return errors.New("has not noticed that the connection is broken")
	case streamhook.ReadClosed(s) && !m.ended:
		return errors.New("ReadClosed, but the peer has not finished")
	case !m.layer && reading && w.Armed&poller.Readable == 0 && w.ReadErr == nil:
		return errors.New("does not listen for input")
	case !m.layer && w.Armed&poller.Writable != 0 && m.backlog() == 0:
		return errors.New("listens for room without need")
	case w.Armed&poller.Writable == 0 && m.backlog() > 0 && !m.layer:
		return errors.New("does not listen for room")
	case w.Armed&poller.Readable != 0 && w.ReadErr != nil:
		return errors.New("listens for input after the end")
	}
	return nil
}
