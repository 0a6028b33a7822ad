package ioloop

import (
	"iter"
	"runtime/pprof"
	"slices"
)

// A coroutine carries one task after another: making one costs several times what a
// switch does, and takes a stack. Those that have nothing to do are kept by their
// loop; the one used last is the next, so that the stacks in use are warm.
//
// How a task ends, in order:
//
//  1. On the coroutine its function returns, panics (which contained catches), or
//     exits by Goexit: its own, or that of a second wait while the loop stops.
//  2. Still there, finish ends the task's context with the views of it. From here on
//     nobody resumes the task.
//  3. The coroutine switches to the loop. After a return or a panic it stands in body
//     and can carry the next task. A Goexit cannot be stopped, and iter.Pull would
//     pass it on to the loop's goroutine: so the coroutine switches out of its last
//     deferred function instead.
//  4. On the loop, resume strikes the task off the list, and keeps the coroutine, or
//     has a goroutine that may exit with it see it to its end.
type coroutine struct {
	job   *job // that it carries
	next  func() (struct{}, bool)
	stop  func()
	yield func(struct{}) bool
}

func newCoroutine() *coroutine {
	co := new(coroutine)
	co.next, co.stop = iter.Pull(co.start)
	return co
}

// start is the coroutine's function.
func (co *coroutine) start(yield func(struct{}) bool) {
	co.yield = yield
	asTaskOf(co.job.loop.number, co.body)
}

func (co *coroutine) body() {
	returned := false
	defer func() {
		if !returned {
			co.finish(jobExited)
			co.yield(struct{}{})
		}
	}()
	for {
		co.job.contained(co.yield)
		co.finish(jobEnded)
		if !co.yield(struct{}{}) {
			break
		}
		markGoroutine()                              // the last task may have changed it,
		pprof.SetGoroutineLabels(co.job.loop.labels) // and these
	}
	returned = true
}

// finish ends the job, and leaves the coroutine for resume to see to.
func (co *coroutine) finish(state int32) {
	co.job.finish(state)
	co.job.loop.coroutines.finished = co
}

// coroutinePool are the coroutines of a loop that carry no task.
type coroutinePool struct {
	idle     []*coroutine // the last one is the next to be used
	finished *coroutine   // whose job has ended, until it is among the idle
	trimming bool         // trim is scheduled
}

// maxIdle is how many idle coroutines a loop keeps.
const maxIdle = 64

func (l *Loop) takeCoroutine() *coroutine {
	p := &l.coroutines
	n := len(p.idle) - 1
	if n < 0 {
		return newCoroutine()
	}
	co := p.idle[n]
	p.idle[n] = nil
	p.idle = p.idle[:n]
	return co
}

// takeBack takes back the coroutine whose job has ended, unless it has exited. While
// the loop stops none is kept: its tasks make new ones till the end.
func (l *Loop) takeBack(exited bool) {
	p := &l.coroutines
	co := p.finished
	p.finished, co.job = nil, nil
	switch {
	case exited:
		l.burials.Go(co.stop)
		return
	case l.stopping:
		co.stop()
		return
	}
	p.idle = append(p.idle, co)
	if len(p.idle) > maxIdle && !p.trimming {
		p.trimming = true
		_ = l.enqueue(trimmer{l}, true)
	}
}

// trimmer ends a part of what idles beyond maxIdle, those first that were not used
// for longest, and goes on in the next step. So a burst that repeats itself within a
// few turns finds most of its coroutines again, and a loop with nothing else to do is
// soon rid of them.
type trimmer struct{ loop *Loop }

func (t trimmer) Run() {
	p := &t.loop.coroutines
	excess := len(p.idle) - maxIdle
	if excess > 0 {
		n := excess/8 + 1
		for _, co := range p.idle[:n] {
			co.stop()
		}
		p.idle = slices.Delete(p.idle, 0, n)
	}
	if p.trimming = excess > 1; p.trimming {
		_ = t.loop.enqueue(t, true)
		return
	}
	if cap(p.idle) > maxSpare {
		p.idle = slices.Clip(slices.Clone(p.idle))
	}
}

// stopIdle ends all coroutines that carry no task.
func (l *Loop) stopIdle() {
	for _, co := range l.coroutines.idle {
		co.stop()
	}
	l.coroutines.idle = nil
}
