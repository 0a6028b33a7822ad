package iostreamtest_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/eddyloop/eddy/iostream"
)

var (
	delims  = [...]string{"\n", "ab", "\n\n", "aab", "b\na", "Z", "Za"}
	regexps = [...]*regexp.Regexp{regexp.MustCompile(`b\n`), regexp.MustCompile(`c|ab`), regexp.MustCompile(`[^a]a`), regexp.MustCompile(`Z`)}
)

// newCall makes a read of a step's arguments.
func (p *player) newCall(s *step, k kind) *call {
	p.calls++
	c := &call{kind: k, style: s.style, size: size(s.a), delim: delims[int(s.b>>3)%len(delims)], re: regexps[int(s.b>>3)%len(regexps)]}
	switch {
	case c.kind == kindInto || c.kind == kindSomeInto:
		c.into = make([]byte, c.size)
	case c.size > p.model.config.ReadLimit && s.b < 240:
		c.size = p.model.config.ReadLimit
	}
	c.rename(p.calls)
	if s.style != callback && s.b%7 == 0 {
		c.deadline = time.Duration(1+s.b%5) * time.Second
	}
	return c
}

// rename makes a name of what it reads.
func (c *call) rename(number int) {
	c.name = fmt.Sprintf("%s#%d(%d)", kindNames[c.kind], number, c.size)
	switch c.kind {
	case kindUntil:
		c.name += fmt.Sprintf(" %q", c.delim)
	case kindRegexp:
		c.name += fmt.Sprintf(" `%s`", c.re)
	}
}

// frame is what it reads, for the kinds that are frames.
func (c *call) frame() iostream.Frame {
	switch c.kind {
	case kindUntil:
		return iostream.Until(c.delim).Limit(c.size)
	case kindRegexp:
		return iostream.UntilRegexp(c.re).Limit(c.size)
	case kindBytes:
		return iostream.Bytes(c.size)
	case kindSome:
		return iostream.Some(c.size)
	case kindSplit:
		return iostream.Split(splitAt(c.delim)).Limit(c.size)
	case kindPrefix:
		return iostream.LengthPrefix(1, nil).KeepHeader().Limit(c.size)
	}
	return iostream.UntilClose().Limit(c.size)
}

var kindNames = [...]string{"until", "regexp", "bytes", "some", "into", "some into", "until close", "peek", "split", "prefix", "sent", "room", "closed", "sleep"}

// badSize returns what a read must be refused with whatever the stream's state.
func (p *player) badSize(c *call) error {
	if c.into == nil && c.kind != kindSome && c.size > p.model.config.ReadLimit {
		return iostream.ErrTooLong
	}
	return nil
}

func (p *player) read(s *step) {
	c := p.newCall(s, kind(s.b%10))
	if bad := p.badSize(c); bad != nil {
		if err := p.readFunc(c, nil); !errors.Is(err, bad) {
			p.fail("%s: %v, want %v", c.name, err, bad)
		}
		return
	}
	if c.style != callback {
		if c.style == goroutine && !p.mayReadSoon() {
			return
		}
		p.wait(c, p.readWaiting(c), func() { p.nested(s) })
		return
	}
	if !p.mayReadSoon() {
		return
	}
	if busy := p.enter(c); busy {
		p.leave(c, busy, outcome{err: p.readFunc(c, nil), last: true})
		return
	}
	err := p.readFunc(c, func(data []byte, n int, err error) {
		p.model.taken = false
		p.finish(c, outcome{data: data, n: n, err: err, last: true})
		was := string(data)
		p.nested(s)
		p.checkLent(c, data, was)
		p.readerReturned(err != nil, err)
	})
	if err != nil {
		p.fail("%s: %v", c.name, err)
	}
}

// readerReturned is called at the end of a read's callback.
func (p *player) readerReturned(ended bool, err error) {
	p.observe()
	p.model.returned(ended, err)
}

// checkLent looks whether a callback's bytes are still its own at its end.
func (p *player) checkLent(c *call, data []byte, was string) {
	if string(data) != was {
		p.fail("%s: bytes have changed within the callback from %s to %s", c.name, brief(was), brief(string(data)))
	}
}

func (p *player) readWaiting(c *call) func(ctx context.Context) ([]byte, int, error) {
	return func(ctx context.Context) (data []byte, n int, err error) {
		switch s := p.stream; c.kind {
		case kindInto:
			n, err = s.ReadAtLeast(ctx, c.into, len(c.into))
		case kindSomeInto:
			n, err = s.ReadAtLeast(ctx, c.into, min(1, len(c.into)))
		case kindPeek:
			data, err = s.Read(ctx, iostream.Peek(c.size))
		default:
			data, err = s.Read(ctx, c.frame())
		}
		return data, n, err
	}
}

func (p *player) readFunc(c *call, fn func([]byte, int, error)) error {
	bytes := func(data []byte, err error) { fn(data, 0, err) }
	count := func(n int, err error) { fn(nil, n, err) }
	switch s := p.stream; c.kind {
	case kindInto:
		return s.ReadAtLeastFunc(c.into, len(c.into), count)
	case kindSomeInto:
		return s.ReadAtLeastFunc(c.into, min(1, len(c.into)), count)
	case kindPeek:
		return s.ReadFunc(iostream.Peek(c.size), bytes)
	}
	return p.stream.ReadFunc(c.frame(), bytes)
}

// handled are the kinds that repeating reads have.
var handled = [...]kind{kindUntil, kindBytes, kindSome, kindSplit, kindPrefix, kindRegexp}

// mayReadSoon is mayRead, once the loop is at rest if it can come to that.
func (p *player) mayReadSoon() bool {
	if p.mayRead() {
		return true
	}
	if p.depth > 0 {
		return false
	}
	p.settle()
	p.checkKept()
	return true
}

// handle begins a repeating read that ends by itself after some results.
func (p *player) handle(s *step) {
	s.style = callback
	c := p.newCall(s, handled[int(s.b)%len(handled)])
	c.deadline, c.stop = 0, 1+int(s.b>>2)%6
	c.size = max(1, min(c.size, p.model.config.ReadLimit))
	if !p.mayReadSoon() {
		return
	}
	seen := 0
	busy := p.enter(c)
	err := p.stream.Handle(c.frame(), func(data []byte, err error) bool {
		seen++
		more := seen < c.stop
		if p.observe(); err == nil && p.stream.Err() == nil && p.model.backlog() > p.model.config.HighWaterMark {
			p.fail("%s goes on with %d bytes to send", c.name, p.model.backlog())
		}
		if err == nil && p.model.stopped(c) && p.stream.Err() == nil {
			p.fail("%s is called while it is paused", c.name)
		}
		p.model.taken = false
		crashes := s.then != nil && s.then.name == "crash"
		p.finish(c, outcome{data: data, err: err, last: !more || err != nil || crashes})
		if err == nil {
			p.model.running = c // it has the slot until the callback returns
			defer func() { p.model.running = nil }()
		}
		if !more && s.b>>5&1 == 0 {
			p.hold(s)
		}
		was := string(data)
		p.nested(s)
		p.checkLent(c, data, was)
		p.model.running = nil
		p.readerReturned(!more || err != nil, err)
		return more
	})
	if busy {
		p.leave(c, busy, outcome{err: err, last: true})
	} else if err != nil {
		p.fail("%s: %v", c.name, err)
	}
}

// splitAt is Until as a SplitFunc.
func splitAt(delim string) bufio.SplitFunc {
	return func(data []byte, _ bool) (int, []byte, error) {
		if i := strings.Index(string(data), delim); i >= 0 {
			return i + len(delim), data[:i+len(delim)], nil
		}
		return 0, nil, nil
	}
}
