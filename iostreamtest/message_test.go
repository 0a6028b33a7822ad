package iostreamtest_test

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/eddyloop/eddy/internal/leaktest"
	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
	"github.com/eddyloop/eddy/iostreamtest"
)

// A conversation is lines, some with a body behind, that a task handles for each
// message and answers. What it does on the way, and how the bytes arrive and leave, is
// random; what the peer gets is not.
type conversation struct {
	r       *rand.Rand
	world   *iostreamtest.World
	wire    *iostreamtest.Wire
	stream  *iostream.Stream
	config  iostream.Config
	input   string
	want    string // all answers
	busy    bool
	handled int
	fails   int // the number of the message whose function ends the stream, 0: none does
	told    []error
	wrong   error
}

func newConversation(seed uint64) *conversation {
	r := rand.New(rand.NewPCG(seed, 7))
	pick := func(of ...int) int { return of[r.IntN(len(of))] }
	c := &conversation{r: r, world: iostreamtest.NewWorld()}
	var input, want strings.Builder
	for i := range 1 + r.IntN(40) {
		line := fmt.Sprintf("%d", i) + strings.Repeat("x", r.IntN(30))
		body := ""
		if r.IntN(4) == 0 {
			body = strings.Repeat("\n", 1+r.IntN(1+r.IntN(pick(60, 60, 60, 2000))))
			line += "body" + fmt.Sprint(len(body))
		}
		input.WriteString(line + "\n" + body)
		fmt.Fprintf(&want, "<%s %d>", line, len(body))
	}
	c.input, c.want = input.String(), want.String()
	if r.IntN(3) == 0 {
		c.fails = 1 + r.IntN(40)
	}
	options := iostreamtest.Options{Seed: seed, ReadSize: pick(0, 0, 1, 3, 100), WriteSize: pick(0, 1, 7), Window: pick(-1, -1, 5, 300)}
	if r.IntN(3) == 0 {
		options.RecordSize = pick(1, 10, 1000)
	}
	c.wire = iostreamtest.NewWire(options)
	c.config = iostream.Config{HighWaterMark: pick(0, 1, 20), OnClosed: func(_ *iostream.Stream, err error) { c.told = append(c.told, err) }}
	return c
}

var errFails = errors.New("the function ends it")

func (c *conversation) answer(t *ioloop.Task, s *iostream.Stream, msg []byte) error {
	if c.busy {
		c.wrong = errors.New("two at once")
	}
	c.busy = true
	defer func() { c.busy = false }()
	if c.handled++; c.handled == c.fails {
		_ = c.pause(t, s)
		return errFails
	}
	line := strings.TrimSuffix(string(msg), "\n")
	if err := c.pause(t, s); err != nil {
		return err
	}
	n := 0
	if _, after, found := strings.Cut(line, "body"); found {
		fmt.Sscan(after, &n)
		body, err := s.Read(t, iostream.Bytes(n))
		if err != nil {
			return err
		}
		if c.r.IntN(2) == 0 { // no pause, which may read: then body is the stream's again
			err = t.Yield()
		}
		if err != nil {
			return err
		}
		if string(body) != strings.Repeat("\n", n) {
			c.wrong = fmt.Errorf("body of %q is %q", line, body)
		}
	}
	if string(msg) != line+"\n" {
		c.wrong = fmt.Errorf("message %q has become %q", line, msg)
	}
	_, err := fmt.Fprintf(s, "<%s %d>", line, n)
	if err == nil && c.r.IntN(3) == 0 {
		err = c.pause(t, s)
	}
	return err
}

// pause waits in one of the ways there are, or not at all.
func (c *conversation) pause(t *ioloop.Task, s *iostream.Stream) error {
	switch c.r.IntN(8) {
	case 0:
		return t.Yield()
	case 1:
		return t.Sleep(time.Duration(1 + c.r.IntN(3)))
	case 2:
		return s.Flush(t)
	case 3:
		_, err := s.Read(t, iostream.Peek(0))
		return err
	}
	return nil
}

// play returns what is wrong.
func (c *conversation) play() error {
	defer c.world.Close()
	var err error
	if c.stream, err = iostream.New(c.world.Loop, c.wire.Transport(), &c.config); err != nil {
		return err
	}
	if err := c.stream.HandleTask(iostream.Until("\n"), c.answer); err != nil {
		return err
	}
	how := c.r.IntN(5)
	cut := len(c.input)
	if how > 0 {
		cut = c.r.IntN(len(c.input) + 1)
	}
	for at := 0; at < cut; {
		n := min(cut-at, 1+c.r.IntN(1+c.r.IntN(3000)))
		c.wire.Arrive([]byte(c.input[at : at+n]))
		at += n
		for range c.r.IntN(4) {
			_, _ = c.world.RunOnce()
		}
		c.wire.AddWindow(c.r.IntN(100))
	}
	switch how {
	case 0, 1:
		c.wire.FIN()
	case 2:
		c.wire.Reset(errPeer)
	case 3:
		_ = c.stream.Close()
	case 4:
		c.stream.Abort(errOwn)
	}
	for range 300 {
		c.wire.AddWindow(1 << 20)
		if err := c.world.Advance(3); err != nil {
			return err
		}
		if c.world.Loop.Stats().Tasks == 0 && (c.stream.Err() != nil || how == 3 && c.stream.Backlog() == 0) {
			break
		}
	}
	if how == 3 {
		c.wire.FIN()
		if err := c.world.Settle(); err != nil {
			return err
		}
	}
	sent := c.wire.Sent()
	ended := c.fails > 0 && c.handled >= c.fails
	switch {
	case c.wrong != nil:
		return c.wrong
	case c.busy || c.world.Loop.Stats().Tasks > 0:
		return errors.New("a function has not returned")
	case !strings.HasPrefix(c.want, sent):
		return fmt.Errorf("sent %q, want %q", sent, c.want)
	case c.stream.Err() == nil || len(c.told) != 1:
		return fmt.Errorf("%v, told %v", c.stream, c.told)
	case how == 0 && !ended && sent != c.want:
		return fmt.Errorf("sent %q, want all of %q", sent, c.want)
	case how == 0 && !ended && c.told[0] != io.EOF:
		return fmt.Errorf("told %v, want EOF", c.told)
	case how < 2 && ended && !errors.Is(c.told[0], errFails):
		return fmt.Errorf("told %v, want %v", c.told, errFails)
	case ended && c.handled > c.fails:
		return errors.New("a message was handled after the end")
	case how == 2 && !ended && !errors.Is(c.told[0], errPeer), how == 4 && !ended && !errors.Is(c.told[0], errOwn):
		return fmt.Errorf("told %v", c.told)
	}
	return nil
}

func TestMessages(t *testing.T) {
	leaktest.Check(t)
	n := uint64(4_000)
	if testing.Short() || raceEnabled {
		n = 1_000
	}
	var next atomic.Uint64
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for seed := next.Add(1); seed <= n && !t.Failed(); seed = next.Add(1) {
				if err := newConversation(seed).play(); err != nil {
					t.Errorf("seed %d: %v", seed, err)
				}
			}
		})
	}
	wg.Wait()
}
