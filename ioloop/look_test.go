package ioloop_test

import (
	"testing"
	"time"

	"github.com/eddyloop/eddy/internal/testtime"
	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/poller"
	"github.com/stretchr/testify/require"
)

// lookedPoller notes for how long the loop would wait. It finds as many events as a test
// says, and stops the loop when it blocks after that.
type lookedPoller struct {
	playedPoller
	timeouts []time.Duration
	rooms    []int
	finds    []int
	stop     func()
}

func (p *lookedPoller) Wait(events []poller.Event, timeout time.Duration) (n int, err error) {
	p.timeouts, p.rooms = append(p.timeouts, timeout), append(p.rooms, len(events))
	switch {
	case len(p.finds) > 0:
		for n = range p.finds[0] {
			events[n] = poller.Event{Token: p.tokens[n], Ready: poller.Readable}
		}
		n, p.finds = p.finds[0], p.finds[1:]
	case timeout != 0:
		p.stop()
	}
	return n, nil
}

// A loop looks without blocking before it blocks, but not after a turn of one event, and
// it does not block when there is work.
func TestLoopLooksBeforeItBlocks(t *testing.T) {
	testtime.WholeTurns(t)
	const look, block = 0, -1
	for name, c := range map[string]struct {
		finds []int
		works int // for the next turn, by the first handler that is called
		want  []time.Duration
	}{
		"nothing":                    {nil, 0, []time.Duration{look, block}},
		"one event":                  {[]int{1}, 0, []time.Duration{look, block}},
		"two":                        {[]int{2}, 0, []time.Duration{look, look, block}},
		"two while it blocks":        {[]int{0, 2}, 0, []time.Duration{look, block, look, block}},
		"one while it blocks":        {[]int{0, 1}, 0, []time.Duration{look, block, block}},
		"one, and work":              {[]int{1}, 1, []time.Duration{look, look, look, block}},
		"two, and work":              {[]int{2}, 1, []time.Duration{look, look, look, block}},
		"two, and more of both then": {[]int{2, 2}, 1, []time.Duration{look, look, look, block}},
	} {
		t.Run(name, func(t *testing.T) {
			p := &lookedPoller{finds: c.finds}
			l := newLoop(t, ioloop.Config{Poller: p, Clock: new(ioloop.ManualClock)})
			p.stop = l.Stop
			works := c.works
			for i := range 2 {
				_, err := l.Handle(i, poller.Readable, ioloop.HandlerFunc(func(poller.Interest, poller.Hint) {
					for ; works > 0; works-- {
						_ = l.Post(func() { _ = l.Post(func() {}) })
					}
				}))
				require.NoError(t, err)
			}
			run(t, l)
			require.Equal(t, c.want, p.timeouts)
		})
	}
}

// The room for events doubles when a batch has filled it, up to a limit.
func TestRoomForEvents(t *testing.T) {
	testtime.WholeTurns(t)
	for _, c := range []struct{ finds, want []int }{
		{[]int{127, 128, 255, 256, 1}, []int{128, 128, 256, 256, 512, 512}},
		{[]int{128, 256, 512, 1024, 2048, 4096, 4096}, []int{128, 256, 512, 1024, 2048, 4096, 4096, 4096, 4096}},
	} {
		p := &lookedPoller{finds: c.finds}
		l := newLoop(t, ioloop.Config{Poller: p, Clock: new(ioloop.ManualClock)})
		p.stop = l.Stop
		called := 0
		for i := range 4096 {
			_, err := l.Handle(i, poller.Readable, ioloop.HandlerFunc(func(poller.Interest, poller.Hint) { called++ }))
			require.NoError(t, err)
		}
		run(t, l)
		require.Equal(t, c.want, p.rooms)
		total := 0
		for _, n := range c.finds {
			total += n
		}
		require.Equal(t, total, called)
	}
}
