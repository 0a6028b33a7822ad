package iostreamtest_test

import (
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/eddyloop/eddy/internal/leaktest"
	"github.com/eddyloop/eddy/internal/turnshare"
	"github.com/eddyloop/eddy/iostream"
	"github.com/eddyloop/eddy/iostreamtest"
)

var (
	schedules = flag.Int("schedules", 0, "how many random schedules TestSchedules plays; 0: as many as the gate does")
	from      = flag.Uint64("from", 1, "the first seed")
	seed      = flag.Uint64("seed", 0, "play and print the one schedule of this seed")
)

func TestMain(m *testing.M) { leaktest.Main(m) }

// A schedule is bytes, so that the fuzzer can make one up: a head, which says
// what the stream and its wire are like, and steps. Taking a step away, or
// making a byte 0, makes it simpler.
type schedule []byte

const (
	headSize = 11
	stepSize = 4
	maxSteps = 60
)

func (s schedule) head() (head [headSize]byte) {
	copy(head[:], s)
	return head
}

func (s schedule) steps() []byte {
	if len(s) < headSize {
		return nil
	}
	steps := s[headSize:]
	return steps[:min(len(steps)/stepSize, maxSteps)*stepSize]
}

// randomSchedule draws a schedule. Half of them are small in every respect.
func randomSchedule(seed uint64) schedule {
	r := rand.New(rand.NewPCG(seed, 1))
	s := make(schedule, headSize+stepSize*(1+r.IntN(40)))
	for i := 0; i < len(s)-8; i += 8 {
		binary.LittleEndian.PutUint64(s[i:], r.Uint64())
	}
	for i := range headSize {
		if r.IntN(2) == 0 {
			s[i] = 0
		}
	}
	if r.IntN(2) == 0 {
		for i := headSize + 1; i < len(s); i += stepSize {
			s[i] %= 216 // no large sizes
		}
	}
	return s
}

// inbound and outbound are what streams receive and send: bytes that show where they belong.
var inbound, outbound = text(1, "aab\nc", 4<<20), text(2, "abcdefgh", 16<<20)

func text(seed uint64, alphabet string, n int) string {
	r := rand.New(rand.NewPCG(seed, 0))
	b := make([]byte, n)
	for i := range b {
		b[i] = alphabet[r.IntN(len(alphabet))]
		if r.IntN(3000) == 0 {
			b[i] = 'Z'
		}
	}
	return string(b)
}

func pick(b byte, from ...int) int { return from[int(b)%len(from)] }

func (s schedule) options() iostreamtest.Options {
	h := s.head()
	o := iostreamtest.Options{
		Seed:      uint64(h[1]),
		ReadSize:  pick(h[2], 0, 0, 1, 3, 7, 5000),
		WriteSize: pick(h[3], 0, 0, 1, 3, 7, 5000),
		Window:    pick(h[4], 0, -1, 1, 5, 20, 1000, 20_000, 100_000),
	}
	if h[0]%4 >= 2 {
		o.RecordSize = pick(h[5], 1, 4, 10, 1000, 16<<10)
		o.Handshake = h[0]%4 == 3
	}
	return o
}

func (s schedule) config() iostream.Config {
	h := s.head()
	c := iostream.Config{
		CloseTimeout: time.Duration(pick(h[6], 4, 2, 30)) * time.Second,
		ReadLimit:    pick(h[7], 300, 1, 16, 100_000),
		WriteLimit:   pick(h[8], 1<<20, 10, 100),
	}
	c.HighWaterMark = max(1, min(c.WriteLimit, pick(h[8]/3, 5, 20, 300, 50_000)))
	return c
}

// grain is the most bytes that one call of the transport moves, if that is a
// small number.
func (p *player) grain() int {
	g := 1 << 20
	for _, n := range []int{p.options.ReadSize, p.options.WriteSize, p.options.RecordSize} {
		if n > 0 {
			g = min(g, n)
		}
	}
	return g
}

// decode turns the steps into operations: some follow at the end of another.
func (s schedule) decode() []*step {
	var list []*step
	for b := s.steps(); len(b) > 0; b = b[stepSize:] {
		list = append(list, &step{
			operation: wheel[int(b[0])*len(wheel)/256],
			a:         b[1],
			b:         b[2],
			style:     style(b[3] % 3),
			turns:     int(b[3]>>4) % 5,
		})
	}
	var first []*step
	for i, b := 0, s.steps(); i < len(list); i++ {
		st := list[i]
		first = append(first, st)
		for b[i*stepSize+3]>>2&3 == 3 && i+1 < len(list) {
			list[i].then = list[i+1]
			i++
		}
	}
	return first
}

// wheel has each operation as often as its weight.
var wheel []operation

func init() {
	for _, o := range operations {
		for range o.weight {
			wheel = append(wheel, o)
		}
	}
}

// errHangs is what a schedule comes to in which a call of the stream does not
// return.
var errHangs = errors.New("a call does not return")

// try is play for schedules that may hang: a panic under a lock would have that
// effect.
func try(s schedule) error {
	ended := make(chan error, 1)
	go func() { ended <- play(s, nil) }()
	timer := time.NewTimer(3 * patience)
	defer timer.Stop()
	select {
	case err := <-ended:
		return err
	case <-timer.C:
		return errHangs
	}
}

// play plays a schedule, and returns what is wrong with what the stream did.
func play(s schedule, trace func(event string)) (failed error) {
	options, config := s.options(), s.config()
	told := 0
	config.OnClosed = func(*iostream.Stream, error) { told++ }
	if trace != nil {
		options.Trace = func(event string) { trace("    " + event) }
	}
	p := &player{
		world:   iostreamtest.NewWorld(),
		wire:    iostreamtest.NewWire(options),
		options: options,
		model:   &model{config: config, layer: options.RecordSize > 0, frozen: endless, whims: options.Seed != 0},
		trace:   trace,
		strict:  s.head()[9]%2 == 0 || turnshare.Pieces == 1, // see inTask
	}
	if limit := pick(s.head()[10], 0, 0, 1, 700, 3000, 40_000); limit > 0 {
		b, err := iostream.NewBudget(int64(limit))
		if err != nil {
			return err
		}
		config.Budget, p.shared = b, &shared{budget: b, limit: int64(limit)}
		p.note("budget of %d", limit)
	}
	p.note("close timeout %v, limits %d, %d, %d; wire %+v", config.CloseTimeout, config.ReadLimit,
		config.WriteLimit, config.HighWaterMark, struct {
			Read, Write, Window, Record int
			Hello                       bool
			Seed                        uint64
		}{options.ReadSize, options.WriteSize, options.Window, options.RecordSize, options.Handshake, options.Seed})
	var err error
	if p.stream, err = iostream.New(p.world.Loop, p.wire.Transport(), &config); err != nil {
		return err
	}
	if p.shared != nil {
		p.shared.own.stream = p.stream
	}
	p.onClosed(nil)
	_ = p.stream.WaitReadClosedFunc(func() { p.ends++ })
	for _, st := range s.decode() {
		p.do(st)
		if p.failed != nil {
			break
		}
	}
	p.conclude(&told)
	return p.failed
}

// conclude closes what is still open: every operation must end, and what has
// left must be what was written.
func (p *player) conclude(told *int) {
	if p.failed == nil {
		p.settle()
	}
	p.observe()
	p.abort(nil)
	p.settled = false
	p.note("close")
	if p.failed == nil {
		p.settle()
		p.checkKept()
	}
	for naps := 0; naps < 5 && p.model.handling != nil && p.failed == nil; naps++ {
		p.advance(&step{a: 2})
	}
	if err := p.concludeBudget(); err != nil {
		p.fail("%v", err)
	}
	left := p.open()
	sent := p.wire.Sent()
	switch {
	case p.failed != nil:
	case len(left) > 0:
		p.fail("%s has not ended", left[0].name)
	case p.model.handling != nil || p.world.Loop.Stats().Tasks > 0:
		p.fail("a task has not ended")
	case *told != 1:
		p.fail("OnClosed was called %d times", *told)
	case !strings.HasPrefix(outbound, sent):
		p.fail("sent %s", brief(sent))
	}
	for _, c := range left { // after a failure
		if c.cancel != nil {
			c.cancel(errOwn)
		}
	}
	_, _ = p.world.RunOnce()
	_ = p.world.Close()
}

func TestSchedules(t *testing.T) {
	leaktest.Check(t)
	if *seed != 0 {
		report(t, fmt.Sprintf("seed %d", *seed), randomSchedule(*seed))
		return
	}
	n := *schedules
	switch {
	case n > 0:
	case testing.Short():
		n = 2_000
	case raceEnabled:
		n = 10_000
	default:
		n = 200_000
	}
	began := time.Now()
	var next, bad atomic.Uint64
	next.Store(*from - 1)
	var why atomic.Value
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for i := next.Add(1); i < *from+uint64(n) && bad.Load() == 0; i = next.Add(1) {
				if err := try(randomSchedule(i)); err != nil {
					why.Store(err)
					bad.Store(i)
				}
			}
		})
	}
	wg.Wait()
	if i := bad.Load(); i != 0 {
		t.Errorf("seed %d: %v", i, why.Load())
		if why.Load() == errHangs {
			return
		}
		report(t, fmt.Sprintf("seed %d", i), randomSchedule(i))
		return
	}
	t.Logf("%d schedules in %v", n, time.Since(began).Round(time.Millisecond))
}

// report prints the shortest schedule that fails as s does, and what happens in
// it.
func report(t *testing.T, name string, s schedule) {
	t.Helper()
	s = shrink(s)
	var b strings.Builder
	lines := 0
	err := play(s, func(event string) {
		if lines++; lines < 200 { // one that spins goes on for long
			b.WriteString(event + "\n")
		}
	})
	if err != nil {
		t.Errorf("%s: %v\n%s\n(-run TestSchedules -seed repeats it; bytes %q)", name, err, &b, []byte(s))
	} else {
		t.Logf("%s passes:\n%s", name, &b)
	}
}

// shrink makes a schedule that fails simpler as long as it fails: first it
// takes steps away, then it makes bytes smaller.
func shrink(s schedule) schedule {
	fails := func(s schedule) bool {
		err := try(s)
		return err != nil && err != errHangs
	}
	if !fails(s) {
		return s
	}
	s = append(s[:headSize:headSize], s.steps()...)
	for changed := true; changed; {
		changed = false
		for n := len(s.steps()) / stepSize; n > 0; n /= 2 {
			for i := headSize; i+n*stepSize <= len(s); {
				shorter := append(s[:i:i], s[i+n*stepSize:]...)
				if fails(shorter) {
					s, changed = shorter, true
				} else {
					i += stepSize
				}
			}
		}
		for i := range s {
			for _, b := range []byte{0, s[i] / 2, s[i] - 1} {
				if s[i] > b {
					simpler := append(schedule(nil), s...)
					if simpler[i] = b; fails(simpler) {
						s, changed = simpler, true
						break
					}
				}
			}
		}
	}
	return s
}

func FuzzSchedule(f *testing.F) {
	for i := range uint64(20) {
		f.Add([]byte(randomSchedule(i + 1)))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if err := try(b); err == errHangs {
			t.Fatal(err)
		} else if err != nil {
			report(t, "fuzzed", b)
		}
	})
}
