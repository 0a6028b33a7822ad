package ioloop_test

import (
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/eddyloop/eddy/internal/testtime"
	"github.com/eddyloop/eddy/ioloop"
	"github.com/stretchr/testify/require"
)

// newClocked opens a loop whose time stands still.
func newClocked(t testing.TB) (*ioloop.Loop, *ioloop.ManualClock) {
	clock := new(ioloop.ManualClock)
	return newLoop(t, ioloop.Config{Clock: clock}), clock
}

func TestManualClock(t *testing.T) {
	var clock ioloop.ManualClock
	woken := 0
	unregister := clock.OnAdvance(func() { woken++ })
	require.Zero(t, clock.Now())
	clock.Advance(5)
	clock.Advance(-3)
	require.EqualValues(t, 5, clock.Now())
	require.EqualValues(t, 0, clock.WaitFor(5))
	require.EqualValues(t, -1, clock.WaitFor(6))
	require.Equal(t, 2, woken)
	unregister()
	clock.Advance(math.MaxInt64)
	require.Equal(t, 2, woken)
	require.Positive(t, clock.Now())
	require.Greater(t, clock.Now(), time.Duration(1<<62))
}

func TestManualClockWakesSleepingLoops(t *testing.T) {
	l, clock := newClocked(t)
	l2 := newLoop(t, ioloop.Config{Clock: clock})
	start(t, l)
	start(t, l2)
	for range 100 {
		fired := make(chan int, 2)
		l.AfterFunc(time.Hour, func() { fired <- 1 })
		l2.AfterFunc(time.Hour, func() { fired <- 2 })
		until(t, func() bool { return l.Asleep() && l2.Asleep() })
		clock.Advance(time.Hour)
		require.Equal(t, 3, receive(t, fired)+receive(t, fired))
	}
	require.Equal(t, 100*time.Hour, l.Now())
}

func TestTimerOrder(t *testing.T) {
	testtime.WholeTurns(t)
	l, clock := newClocked(t)
	var order []int
	for _, d := range []int{5, 1, 3, 2, 4, 0, -1} {
		l.AfterFunc(time.Duration(d), func() { order = append(order, d) })
	}
	clock.Advance(3)
	turn(t, l)
	require.Equal(t, []int{0, -1, 1, 2, 3}, order)
	clock.Advance(math.MaxInt64)
	turn(t, l)
	require.Equal(t, []int{0, -1, 1, 2, 3, 4, 5}, order)
}

func TestTimersOfOneMomentFireInOrder(t *testing.T) {
	l, clock := newClocked(t)
	var order []int
	for i := range 1000 {
		l.AfterFunc(time.Second, func() { order = append(order, i) })
	}
	clock.Advance(time.Second)
	steps(t, l)
	require.Len(t, order, 1000)
	require.IsIncreasing(t, order)
}

func TestTimerStopsDueTimer(t *testing.T) {
	l, clock := newClocked(t)
	var second *ioloop.Timer
	stopped, fired := false, false
	l.AfterFunc(1, func() { stopped = second.Stop() })
	second = l.AfterFunc(2, func() { fired = true })
	clock.Advance(5)
	turn(t, l)
	turn(t, l)
	require.True(t, stopped)
	require.False(t, fired)
}

func TestTimerStopAfterFire(t *testing.T) {
	l, _ := newClocked(t)
	var timer *ioloop.Timer
	inside := true
	timer = l.AfterFunc(0, func() { inside = timer.Stop() })
	turn(t, l)
	require.False(t, inside)
	require.False(t, timer.Stop())
	for range 2000 {
		l.AfterFunc(time.Hour, func() {}).Stop()
	}
	require.Zero(t, l.Stats().Timers)
}

func TestTimerReset(t *testing.T) {
	l, clock := newClocked(t)
	fired := 0
	timer := l.AfterFunc(10, func() { fired++ })
	require.True(t, timer.Reset(20))
	clock.Advance(10)
	turn(t, l)
	require.Equal(t, 0, fired)
	clock.Advance(10)
	turn(t, l)
	require.Equal(t, 1, fired)
	require.False(t, timer.Reset(0), "has fired")
	turn(t, l)
	require.Equal(t, 2, fired)
	require.False(t, timer.Reset(5))
	require.True(t, timer.Stop())
	require.False(t, timer.Stop())
	require.False(t, timer.Reset(5), "is stopped")
	clock.Advance(5)
	turn(t, l)
	require.Equal(t, 3, fired)
}

func TestTimerNil(t *testing.T) {
	var log recorder
	l := newLoop(t, ioloop.Config{Logger: slog.New(&log)})
	timer := l.AfterFunc(0, nil)
	require.Equal(t, []string{"ERROR AfterFunc with a nil function"}, log.all())
	require.False(t, timer.Reset(0))
	turn(t, l)
	require.False(t, timer.Stop())
	for _, period := range []time.Duration{0, -1} {
		_, err := l.Every(period, func() {})
		require.ErrorIs(t, err, ioloop.ErrInvalid)
	}
	_, err := l.Every(1, nil)
	require.ErrorIs(t, err, ioloop.ErrInvalid)
}

func TestTimerSetInTurnWaitsForNext(t *testing.T) {
	l, _ := newClocked(t)
	fired := 0
	var again func()
	again = func() {
		fired++
		l.AfterFunc(-time.Hour, again)
	}
	require.NoError(t, l.Post(func() { l.AfterFunc(0, again) }))
	for i := range 5 {
		turn(t, l)
		require.Equal(t, i, fired, "one a turn")
	}
}

func TestEvery(t *testing.T) {
	for name, c := range map[string]struct {
		period   time.Duration
		advances []time.Duration
		want     []time.Duration // when it is called
	}{
		"steady":              {10, []time.Duration{10, 10, 10}, []time.Duration{10, 20, 30}},
		"no drift":            {10, []time.Duration{13, 8, 9}, []time.Duration{13, 21, 30}},
		"not yet":             {10, []time.Duration{9, 1, 9}, []time.Duration{10}},
		"late by one cycle":   {10, []time.Duration{25, 4, 1}, []time.Duration{25, 30}},
		"late by many cycles": {10, []time.Duration{1000, 9, 1}, []time.Duration{1000, 1010}},
		"just in time":        {10, []time.Duration{20, 10}, []time.Duration{20, 30}},
		"longest period": {math.MaxInt64,
			[]time.Duration{math.MaxInt64 / 2, math.MaxInt64 / 4}, nil},
		"half of all time": {1 << 62,
			[]time.Duration{1<<62 + 1, 5}, []time.Duration{1<<62 + 1}},
	} {
		t.Run(name, func(t *testing.T) {
			l, clock := newClocked(t)
			var got []time.Duration
			timer, err := l.Every(c.period, func() { got = append(got, l.Now()) })
			require.NoError(t, err)
			for _, d := range c.advances {
				clock.Advance(d)
				turn(t, l)
				turn(t, l)
			}
			require.Equal(t, c.want, got)
			require.True(t, timer.Stop())
		})
	}
}

func TestEveryStopAndResetFromItself(t *testing.T) {
	l, clock := newClocked(t)
	var at []time.Duration
	var timer *ioloop.Timer
	timer, err := l.Every(10, func() {
		switch at = append(at, l.Now()); len(at) {
		case 2:
			require.False(t, timer.Reset(3), "its call is under way")
		case 4:
			require.False(t, timer.Stop(), "its call is under way")
		}
	})
	require.NoError(t, err)
	for range 60 {
		clock.Advance(1)
		turn(t, l)
	}
	require.Equal(t, []time.Duration{10, 20, 23, 33}, at)
}

func TestTimerOverflow(t *testing.T) {
	l, clock := newClocked(t)
	clock.Advance(time.Hour)
	timer := l.AfterFunc(math.MaxInt64, func() { t.Error("fired") })
	periodic, err := l.Every(math.MaxInt64, func() { t.Error("fired") })
	require.NoError(t, err)
	clock.Advance(1 << 62)
	turn(t, l)
	require.True(t, timer.Stop())
	require.True(t, periodic.Stop())
	// With the system's clock: the kernel has to accept the time to wait.
	s := startNew(t)
	s.AfterFunc(math.MaxInt64, func() { t.Error("fired") })
	until(t, s.Asleep)
	on(t, s, func() {})
}

func TestTimerFromOtherGoroutineWakesSleeper(t *testing.T) {
	l := startNew(t)
	timer := l.AfterFunc(time.Hour, func() {})
	for range 100 {
		until(t, l.Asleep)
		fired := make(chan struct{})
		l.AfterFunc(time.Microsecond, func() { close(fired) })
		receive(t, fired)
	}
	until(t, l.Asleep)
	fired := make(chan struct{})
	sooner := l.AfterFunc(time.Hour, func() { close(fired) })
	sooner.Reset(0)
	receive(t, fired)
	require.True(t, timer.Stop())
}

func TestTimerIsNotEarly(t *testing.T) {
	l := startNew(t)
	for _, d := range []time.Duration{1, time.Microsecond, time.Millisecond, 3 * time.Millisecond} {
		fired := make(chan time.Time)
		set := time.Now()
		l.AfterFunc(d, func() { fired <- time.Now() })
		require.GreaterOrEqual(t, receive(t, fired).Sub(set), d)
	}
}

// Every timer either fires or was stopped in time.
func TestTimersConcurrently(t *testing.T) {
	l := startNew(t)
	var setters, outcomes sync.WaitGroup
	for g := range 4 {
		setters.Go(func() {
			for i := range scaled(10_000) {
				outcomes.Add(1)
				timer := l.AfterFunc(time.Duration(i%7)*time.Microsecond, outcomes.Done)
				if i%2 == 0 {
					outcomes.Add(1)
					if timer.Reset(time.Duration((i + g) % 3000)) {
						outcomes.Done() // instead of the first time
					}
				}
				if i%3 == 0 && timer.Stop() {
					outcomes.Done()
				}
			}
		})
	}
	setters.Wait()
	done := make(chan struct{})
	go func() { outcomes.Wait(); close(done) }()
	receive(t, done)
}

func TestTimersMany(t *testing.T) {
	l, clock := newClocked(t)
	n := scaled(1_000_000)
	fired := 0
	for i := range n {
		l.AfterFunc(time.Duration(int64(i)*7919%int64(n)), func() { fired++ })
	}
	require.Equal(t, n, l.Stats().Timers)
	clock.Advance(time.Duration(n / 2))
	for turns := 0; fired <= n/2 && turns < n; turns++ {
		turn(t, l)
	}
	require.Equal(t, n/2+1, fired)
	require.Equal(t, n-fired, l.Stats().Timers)
}

// TestTimerStopIsFinal: from any goroutine, no call begins after Stop has
// returned true.
func TestTimerStopIsFinal(t *testing.T) {
	l := startNew(t)
	for range scaled(3000) {
		var stopped atomic.Bool
		var late atomic.Int64
		called := make(chan struct{}, 1)
		timer, err := l.Every(1, func() {
			if stopped.Load() {
				late.Add(1)
			}
			select {
			case called <- struct{}{}:
			default:
			}
		})
		require.NoError(t, err)
		receive(t, called)
		if timer.Stop() {
			stopped.Store(true)
		}
		turns(t, l)
		require.Zero(t, late.Load())
	}
}

func TestTimersDueGiveMemoryBack(t *testing.T) {
	l := newLoop(t, ioloop.Config{})
	timers := make([]*ioloop.Timer, 100_000)
	for i := range timers {
		timers[i] = l.AfterFunc(time.Hour, func() {})
	}
	for _, timer := range timers {
		require.True(t, timer.Stop())
	}
	require.Less(t, l.TimerRoom(), 20_000)
}

func TestTimersOfAClosedLoop(t *testing.T) {
	l, clock := newClocked(t)
	require.Equal(t, 1, clock.Loops())
	require.NoError(t, l.Close())
	require.Zero(t, clock.Loops(), "the clock lets go of it")
	timer := l.AfterFunc(0, func() {})
	require.Zero(t, l.Stats().Timers)
	require.False(t, timer.Stop())
	require.False(t, timer.Reset(1))
	require.Zero(t, l.Stats().Timers)
}
