package ioloop_test

import (
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/eddyloop/eddy/internal/leaktest"
	"github.com/eddyloop/eddy/internal/testtime"
	"github.com/eddyloop/eddy/internal/turnshare"
	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/poller"
	"github.com/stretchr/testify/require"
)

// countedClock is a ManualClock that counts how often the loop reads it.
type countedClock struct {
	*ioloop.ManualClock
	reads  int
	onRead func(nth int) // nil: nothing happens
}

func (c *countedClock) Now() time.Duration {
	if c.reads++; c.onRead != nil {
		c.onRead(c.reads)
	}
	return c.ManualClock.Now()
}

func newCounted(t *testing.T, p poller.Poller) (*ioloop.Loop, *countedClock) {
	t.Helper()
	testtime.WholeTurns(t)
	leaktest.Check(t)
	clock := &countedClock{ManualClock: new(ioloop.ManualClock)}
	l, err := ioloop.New(ioloop.Config{Clock: clock, Logger: quiet, Poller: p})
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	return l, clock
}

// turnOf runs one turn, and returns how many callbacks it had and how often it read
// the clock.
func turnOf(t *testing.T, l *ioloop.Loop, clock *countedClock) (callbacks, reads int) {
	t.Helper()
	before := l.Stats().Callbacks
	clock.reads = 0
	_, err := l.RunOnce()
	require.NoError(t, err)
	return int(l.Stats().Callbacks - before), clock.reads
}

const (
	perLook  = 32                     // pieces that cost nothing, until the clock is read
	lookTime = 100 * time.Microsecond // that others shall have come to until then
)

// A turn does pieces of work until they are too many, or until it finds, when it reads
// the clock, that they took too long. The dearer they are, the sooner it reads it.
func TestTurnShareIsExact(t *testing.T) {
	const us = time.Microsecond
	all := func(cost time.Duration) func(int) time.Duration {
		return func(int) time.Duration { return cost }
	}
	first := func(cost time.Duration) func(int) time.Duration {
		return func(i int) time.Duration {
			if i == 0 {
				return cost
			}
			return 0
		}
	}
	type aTurn struct {
		cost func(i int) time.Duration
		want int
	}
	for name, turns := range map[string][]aTurn{
		"nothing":                         {{all(0), turnshare.Pieces}, {all(0), turnshare.Pieces}},
		"one that takes all the time":     {{first(turnshare.Time), perLook}},
		"one that takes nearly all of it": {{first(turnshare.Time - 1), turnshare.Pieces}},
		"cheap":                           {{all(us), 500 + 12}},
		"dear, and dearer":                {{all(5 * us), 32 + 20 + 20 + 20 + 20}, {all(5 * us), 5 * 20}, {all(25 * us), 20}},
		"dearer than the time to a look":  {{all(6 * us), 32 + 16 + 16 + 16 + 16}, {all(30 * us), 16 + 3}, {all(110 * us), 3 + 1 + 1}, {all(0), turnshare.Pieces}},
	} {
		t.Run(name, func(t *testing.T) {
			l, clock := newCounted(t, new(stillPoller))
			nth, cost := 0, turns[0].cost
			for range len(turns) * (turnshare.Pieces + 1) {
				require.NoError(t, l.Post(func() {
					clock.Advance(cost(nth))
					nth++
				}))
			}
			reads := 0
			for i, turn := range turns {
				nth, cost = 0, turn.cost
				callbacks, n := turnOf(t, l, clock)
				require.Equal(t, turn.want, callbacks, "turn %d", i)
				reads = n
			}
			if last := turns[len(turns)-1]; last.want == turnshare.Pieces {
				require.LessOrEqual(t, reads, 4+turnshare.Pieces/perLook, "work that costs nothing is seldom looked at")
			}
		})
	}
}

// Each kind of work has the whole share, whatever was done of the one before, and the
// clock is read no more often than that takes.
func TestEachKindHasItsShare(t *testing.T) {
	for name, c := range map[string]struct{ posts, timers, reads int }{
		"nothing":                    {0, 0, 2},
		"one of one kind":            {1, 0, 2},
		"one of the other":           {0, 1, 2},
		"one of each":                {1, 1, 3},
		"just before the first look": {perLook - 1, 0, 2},
		"at the first look":          {perLook, 0, 3},
		"kinds change at a look":     {perLook, 1, 4},
		"as many as may be":          {perLook, turnshare.Pieces, 4 + turnshare.Pieces/perLook},
	} {
		t.Run(name, func(t *testing.T) {
			l, clock := newCounted(t, new(stillPoller))
			for range c.posts {
				require.NoError(t, l.Post(func() {}))
			}
			for range c.timers {
				l.AfterFunc(0, func() {})
			}
			callbacks, reads := turnOf(t, l, clock)
			require.Equal(t, c.posts+c.timers, callbacks)
			require.Equal(t, c.reads, reads, "reads of the clock")
		})
	}
}

// Without posts, these have no share for which the clock would be read.
func TestEventsAloneReadTheClockTwice(t *testing.T) {
	played := new(playedPoller)
	l, clock := newCounted(t, played)
	_, err := l.Handle(1, poller.Readable, ioloop.HandlerFunc(func(poller.Interest, poller.Hint) {}))
	require.NoError(t, err)
	played.ready = true
	callbacks, reads := turnOf(t, l, clock)
	require.Equal(t, 1, callbacks)
	require.Equal(t, 2, reads)
}

// What was put off and puts itself off again and again does not keep the turn from ending.
func TestTurnEndHasEightRounds(t *testing.T) {
	l, clock := newCounted(t, new(stillPoller))
	rounds := 0
	var again runnerFunc
	again = func() {
		rounds++
		l.Kit().AtTurnEnd(again)
	}
	require.NoError(t, l.Post(func() { l.Kit().AtTurnEnd(again) }))
	turnOf(t, l, clock)
	require.Equal(t, 8+1, rounds, "and one when RunOnce returns")
}

// When the turn is over there is nothing that a job could come next in.
func TestRunJobAfterTheTurn(t *testing.T) {
	l, clock := newCounted(t, new(stillPoller))
	var log []string
	var next []ioloop.Ran
	var again runnerFunc
	again = func() {
		if next = append(next, 0); len(next) >= 8 {
			next[len(next)-1] = runJob(l, func(*ioloop.Task) { log = append(log, "job") }, func() { log = append(log, "rest") })
		}
		if len(next) < 20 {
			l.Kit().AtTurnEnd(again)
		}
	}
	require.NoError(t, l.Post(func() { l.Kit().AtTurnEnd(again) }))
	turnOf(t, l, clock)
	require.Equal(t, []ioloop.Ran{7: ioloop.RunsNext, 8: ioloop.RunsLater}, next)
	require.Equal(t, []string{"job", "rest"}, log)
	turnOf(t, l, clock)
	require.Equal(t, []string{"job", "rest", "job"}, log)
}

// What took most of the longest turn: with as many posts as tasks they are posts, and of
// two kinds that took the same time it is the first.
func TestLongestByIsExact(t *testing.T) {
	for name, c := range map[string]struct {
		posts, tasks, jobs, timers int
		want                       string
	}{
		"as many posts as tasks": {1, 1, 0, 0, "posts"},
		"more tasks":             {1, 2, 0, 0, "tasks"},
		"jobs of posts":          {0, 0, 2, 0, "tasks"},
		"posts and timers":       {1, 0, 0, 1, "posts"},
		"more timers":            {1, 0, 0, 2, "timers"},
	} {
		t.Run(name, func(t *testing.T) {
			l, clock := newCounted(t, new(stillPoller))
			work := func() { clock.Advance(time.Second) }
			for range c.posts {
				require.NoError(t, l.Post(work))
			}
			for range c.tasks {
				require.NoError(t, l.Go(func(*ioloop.Task) { work() }))
			}
			for range c.jobs {
				require.NoError(t, l.Post(func() {
					l.Kit().RunJob(jobFunc(func(*ioloop.Task) { work() }), runnerFunc(func() {}))
				}))
			}
			for range c.timers {
				l.AfterFunc(0, work)
			}
			turnOf(t, l, clock)
			require.Equal(t, c.want, l.Stats().LongestBy)
			require.Equal(t, time.Duration(c.posts+c.tasks+c.jobs+c.timers)*time.Second, l.Stats().LongestTurn)
		})
	}
}

// What other turns were spent on does not count.
func TestLongestByIsOfOneTurn(t *testing.T) {
	l, clock := newCounted(t, new(stillPoller))
	for range 2 {
		require.NoError(t, l.Post(func() { clock.Advance(3 * time.Second) }))
		turnOf(t, l, clock)
	}
	require.Equal(t, "posts", l.Stats().LongestBy)
	l.AfterFunc(0, func() { clock.Advance(4 * time.Second) })
	turnOf(t, l, clock)
	require.Equal(t, "timers", l.Stats().LongestBy)
}

// Other goroutines are offered the processor every 5 ms. What they take is nothing that
// the turn has used.
func TestProcessorIsOffered(t *testing.T) {
	const quietReads, offering = 2, 4
	l, clock := newCounted(t, new(stillPoller))
	for _, c := range []struct {
		passes time.Duration
		reads  int
	}{
		{0, quietReads},
		{5*time.Millisecond - 1, quietReads},
		{1, offering},
		{1, quietReads},
		{5*time.Millisecond - 1, offering},
	} {
		clock.Advance(c.passes)
		_, reads := turnOf(t, l, clock)
		require.Equal(t, c.reads, reads)
	}
	clock.Advance(time.Second)
	clock.onRead = func(nth int) {
		if nth == 3 { // the one after the offer
			clock.Advance(time.Minute)
		}
	}
	_, reads := turnOf(t, l, clock)
	require.Equal(t, offering, reads)
	require.Zero(t, l.Stats().Busy)
	require.Zero(t, l.Stats().LongestTurn)
	clock.onRead = nil
	require.NoError(t, l.Post(func() { clock.Advance(time.Second) }))
	turnOf(t, l, clock)
	require.Equal(t, time.Second, l.Stats().Busy)
}

// The offer is over when the share of what is put off meanwhile begins.
func TestPutOffDuringTheOffer(t *testing.T) {
	l, clock := newCounted(t, new(stillPoller))
	var turns []uint64 // that had ended when it ran
	clock.Advance(time.Second)
	clock.onRead = func(nth int) {
		if nth != 3 { // the one after the offer
			return
		}
		clock.Advance(time.Minute)
		for range perLook + 1 {
			require.True(t, l.Kit().AtTurnEnd(runnerFunc(func() { turns = append(turns, l.Stats().Turns) })))
		}
	}
	turnOf(t, l, clock)
	require.Equal(t, make([]uint64, perLook+1), turns, "all in this turn")
}

// playedPoller reports all that was added, when it is told to.
type playedPoller struct {
	stillPoller
	tokens []poller.Token
	ready  bool
}

func (p *playedPoller) Add(_ int, token poller.Token, _ poller.Interest, _ poller.Mode) error {
	p.tokens = append(p.tokens, token)
	return nil
}

func (p *playedPoller) Wait(events []poller.Event, _ time.Duration) (n int, err error) {
	for ; p.ready && n < min(len(events), len(p.tokens)); n++ {
		events[n] = poller.Event{Token: p.tokens[n], Ready: poller.Readable | poller.Writable}
	}
	p.ready = false
	return n, nil
}

// Handlers are called until the turn has had its share of them. The other events are for
// the next turn, and what is posted comes in between.
func TestEventsHaveTheirShare(t *testing.T) {
	played := new(playedPoller)
	l, clock := newCounted(t, played)
	var called []string
	for i := range perLook + 10 {
		_, err := l.Handle(i, poller.Readable, ioloop.HandlerFunc(func(ready poller.Interest, _ poller.Hint) {
			require.Equal(t, poller.Readable, ready)
			called = append(called, "event")
			clock.Advance(time.Millisecond)
		}))
		require.NoError(t, err)
	}
	_, err := l.Handle(1000, 0, ioloop.HandlerFunc(func(poller.Interest, poller.Hint) { t.Error("not wanted") }))
	require.NoError(t, err)
	played.ready = true
	require.NoError(t, l.Post(func() { called = append(called, "post") }))
	callbacks, _ := turnOf(t, l, clock)
	require.Equal(t, perLook+1, callbacks)
	require.Equal(t, append(slices.Repeat([]string{"event"}, perLook), "post"), called)
	for range 10 { // one has its whole share by itself, as is known by now
		callbacks, _ = turnOf(t, l, clock)
		require.Equal(t, 1, callbacks)
	}
	callbacks, _ = turnOf(t, l, clock)
	require.Zero(t, callbacks)
	require.EqualValues(t, perLook+11, l.Stats().Events)
	require.Zero(t, l.Stats().Failures)
}

// A callback is a piece of work whatever becomes of the job that it begins.
func TestJobsHaveTheirShare(t *testing.T) {
	const each = perLook + 10
	for name, end := range map[string]func(*ioloop.Task){
		"returns": func(*ioloop.Task) {},
		"waits":   func(tk *ioloop.Task) { _ = tk.Yield() },
		"panics":  func(*ioloop.Task) { panic("x") },
		"exits":   func(*ioloop.Task) { runtime.Goexit() },
	} {
		t.Run(name, func(t *testing.T) {
			played := new(playedPoller)
			l, clock := newCounted(t, played)
			var begun []string
			callback := func(kind string) func() {
				return func() {
					runJob(l, func(tk *ioloop.Task) {
						begun = append(begun, kind)
						clock.Advance(time.Millisecond)
						end(tk)
					}, func() {})
				}
			}
			for i := range each {
				_, err := l.Handle(i, poller.Readable, ioloop.HandlerFunc(func(poller.Interest, poller.Hint) { callback("event")() }))
				require.NoError(t, err)
				require.NoError(t, l.Post(callback("post")))
				l.AfterFunc(0, callback("timer"))
			}
			played.ready = true
			turnOf(t, l, clock)
			var want []string
			for _, kind := range []string{"event", "post", "timer"} {
				want = append(want, slices.Repeat([]string{kind}, perLook)...)
			}
			require.Equal(t, want, begun)
		})
	}
}

// TurnUsedUp counts pieces as the loop does, and bytes count as pieces.
func TestKitTurnUsedUp(t *testing.T) {
	l, clock := newCounted(t, new(stillPoller))
	kit := l.Kit()
	var after []int
	count := func() {
		n := 1
		for !kit.TurnUsedUp() {
			n++
		}
		after = append(after, n)
	}
	require.NoError(t, l.Post(count))
	turnOf(t, l, clock)
	require.NoError(t, l.Post(func() {
		kit.Charge(4<<10 - 1)
		kit.Charge(100 * 4 << 10)
		clock.Advance(turnshare.Time)
		count()
	}))
	turnOf(t, l, clock)
	require.NoError(t, l.Post(func() {
		kit.Charge(3 * 4 << 10)
		count()
	}))
	turnOf(t, l, clock)
	require.Equal(t, []int{turnshare.Pieces, 1, turnshare.Pieces - 3}, after)
}

// Cheap work of one kind does not let it be forgotten that another kind is dear.
func TestEachKindIsAsDearAsItWas(t *testing.T) {
	l, clock := newCounted(t, new(stillPoller))
	turn := func(posts int) (timers int) {
		for range posts {
			require.NoError(t, l.Post(func() {}))
		}
		for range 2 * perLook {
			l.AfterFunc(0, func() { clock.Advance(turnshare.Time / 4) })
		}
		callbacks, _ := turnOf(t, l, clock)
		return callbacks - posts
	}
	require.Equal(t, perLook, turn(0), "nobody knows yet")
	require.Equal(t, 4, turn(0))
	require.Equal(t, 4, turn(4*perLook))
}
