package ioloop_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/eddyloop/eddy/ioloop"
	"github.com/stretchr/testify/require"
)

// jobPlay are callbacks at random that begin jobs at random, each of which ends somehow.
type jobPlay struct {
	t *testing.T
	*ioloop.Loop
	r        *rand.Rand
	left     int // callbacks to come
	jobs     int // begun, and how many have ended
	ended    int
	rests    int // due, and how many have run
	rested   int
	failures int
	inTask   bool
	ops      []*op
}

// callback begins a job, and may begin others around it.
func (p *jobPlay) callback() {
	require.False(p.t, p.inTask, "tasks never run inside of one another")
	if tk, _ := ioloop.CurrentTask(); tk != nil {
		p.t.Error("a callback is no task")
	}
	p.spawn()
	switch p.r.IntN(12) {
	case 0:
		p.failures++
		panic("a callback")
	case 1:
		p.failures++
		runtime.Goexit()
	case 2:
		return
	}
	if !p.begin(p.callback) {
		return
	}
	p.begin(func() {})
}

// begin begins a job in a callback, which goes on if begin returns true. rest is played in
// its place.
func (p *jobPlay) begin(rest func()) (goOn bool) {
	p.jobs++
	p.rests++
	how, nested := p.r.IntN(8), p.r.IntN(8) == 0
	ran := p.Kit().RunJob(jobFunc(func(tk *ioloop.Task) { p.job(tk, how, nested) }), runnerFunc(func() {
		p.rested++
		rest()
	}))
	switch ran {
	case ioloop.RanWhole, ioloop.RanFailed, ioloop.RunsLater:
		p.rests--
		return ran != ioloop.RunsLater
	}
	return false
}

func (p *jobPlay) job(tk *ioloop.Task, how int, nested bool) {
	require.False(p.t, p.inTask, "tasks never run inside of one another")
	p.inTask = true
	defer func() { p.inTask, p.ended = false, p.ended+1 }()
	wait := func(wait func() error) {
		p.inTask = false
		_ = wait()
		p.inTask = true
		if current, _ := ioloop.CurrentTask(); current != tk {
			p.t.Error("another task goes on")
		}
	}
	p.spawn()
	if nested {
		p.jobs++
		ran := p.Kit().RunJob(jobFunc(func(tk *ioloop.Task) { p.job(tk, how, false) }), runnerFunc(func() { p.t.Error("no rest") }))
		require.Equal(p.t, ioloop.RunsLater, ran)
	}
	switch how {
	case 1:
		p.failures++
		panic("a job")
	case 2:
		p.failures++
		runtime.Goexit()
	case 3:
		wait(tk.Yield)
	case 4:
		o := new(op)
		p.ops = append(p.ops, o)
		wait(func() error { return o.wait(tk) })
	case 5:
		wait(tk.Yield)
		p.failures++
		panic("a job that has waited")
	case 6:
		wait(tk.Yield)
		p.failures++
		runtime.Goexit()
	}
}

// spawn has further callbacks called, of each kind, and completes what a task waits for.
func (p *jobPlay) spawn() {
	for range p.r.IntN(4) {
		if p.left--; p.left < 0 {
			break
		}
		switch p.r.IntN(4) {
		case 0:
			p.AfterFunc(0, p.callback)
		case 1:
			if p.Kit().AtTurnEnd(runnerFunc(p.callback)) {
				break
			}
			fallthrough
		default:
			require.NoError(p.t, p.Post(p.callback))
		}
	}
	if n := len(p.ops); n > 0 && p.r.IntN(2) == 0 {
		p.ops[n-1].complete()
		p.ops = p.ops[:n-1]
	}
}

// run runs the loop in one of the ways that there are, which does not end the tasks that wait
// before it has nothing else to do.
func (p *jobPlay) run() {
	switch p.r.IntN(3) {
	case 0:
		require.NoError(p.t, p.RunTask(context.Background(), func(tk *ioloop.Task) error {
			for range p.r.IntN(5) {
				p.inTask = false
				if err := tk.Yield(); err != nil {
					return err
				}
			}
			return nil
		}))
	case 1:
		p.Stop()
		require.NoError(p.t, p.Run(context.Background()))
	default:
		for range 1 + p.r.IntN(5) {
			_, err := p.RunOnce()
			require.NoError(p.t, err)
		}
	}
}

// Each job is begun once, its rest is run once or the callback goes on, and what fails is
// counted once, however jobs wait, fail and begin others, and however the loop is run.
func TestJobsAtRandom(t *testing.T) {
	for seed := range scaled(400) {
		p := &jobPlay{t: t, r: rand.New(rand.NewPCG(uint64(seed), 0)), left: 60}
		p.Loop = newLoop(t, ioloop.Config{Logger: quiet})
		for range 3 {
			require.NoError(t, p.Post(p.callback))
		}
		for range 1 + p.r.IntN(20) {
			p.run()
		}
		for idle := 0; idle < 3; {
			for _, o := range p.ops {
				o.complete()
			}
			p.ops = nil
			worked, err := p.RunOnce()
			require.NoError(t, err)
			if idle++; worked {
				idle = 0
			}
		}
		what := fmt.Sprintf("seed %d: %+v", seed, p.Stats())
		require.Equal(t, p.jobs, p.ended, what)
		require.Equal(t, p.rests, p.rested, what)
		require.EqualValues(t, p.failures, p.Stats().Failures, what)
		require.Zero(t, p.Stats().Tasks, what)
		require.LessOrEqual(t, p.IdleCoroutines(), 64, what)
		require.NoError(t, p.Close())
	}
}
