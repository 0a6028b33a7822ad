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
//  3. A coroutine that leads (see lead.go) goes on with the loop. Any other switches to
//     it: after a return or a panic it stands in body and can carry the next task. A
//     Goexit cannot be stopped, and iter.Pull would pass it on to the loop's goroutine:
//     so the coroutine switches out of its last deferred function instead.
//  4. On the loop, resume (or lead) strikes the task off the list, and keeps the
//     coroutine, or has a goroutine that may exit with it see it to its end.
type coroutine struct {
	job   *job // that it carries, nil: none
	loop  *Loop
	next  func() (struct{}, bool)
	yield func(struct{}) bool
}

func newCoroutine(l *Loop) *coroutine {
	co := &coroutine{loop: l}
	co.next, _ = iter.Pull(co.start)
	return co
}

// start is the coroutine's function.
func (co *coroutine) start(yield func(struct{}) bool) {
	co.yield = yield
	asTaskOf(co.loop.number, co.body)
}

func (co *coroutine) body() {
	returned := false
	defer func() {
		if !returned {
			co.loop.coroutines.exited = true
			if co.job != nil {
				co.finish(jobExited)
			}
			co.yield(struct{}{})
		}
	}()
	for co.job != nil {
		co.restore()
		co.carry()
		co.lead()
		co.yield(struct{}{})
	}
	returned = true
}

// end resumes a coroutine that has nothing to carry, and sees it return or, if it has
// exited, exits itself.
func (co *coroutine) end() {
	co.job = nil
	co.next()
}

// carry runs the coroutine's job to its end.
func (co *coroutine) carry() {
	co.job.contained(co.yield)
	co.finish(jobEnded)
}

// finish ends the job, and leaves the coroutine for resume to see to.
func (co *coroutine) finish(state int32) {
	co.job.finish(state)
	co.loop.coroutines.finished = co
}

// restore undoes what a task may have changed about its goroutine.
func (co *coroutine) restore() {
	markGoroutine()
	pprof.SetGoroutineLabels(co.loop.labels)
}

// coroutinePool are the coroutines of a loop that carry no task.
type coroutinePool struct {
	idle     []*coroutine // the last one is the next to be used
	finished *coroutine   // whose job has ended last
	leader   *coroutine   // that runs the loop; see lead.go
	exited   bool         // the one that has switched to the loop has
	trimming bool         // trim is scheduled
}

// maxIdle is how many idle coroutines a loop keeps.
const maxIdle = 64

func (l *Loop) takeCoroutine() *coroutine {
	p := &l.coroutines
	n := len(p.idle) - 1
	if n < 0 {
		return newCoroutine(l)
	}
	co := p.idle[n]
	p.idle[n] = nil
	p.idle = p.idle[:n]
	return co
}

// bury ends a coroutine that has exited.
func (l *Loop) bury(co *coroutine) {
	l.coroutines.exited = false
	l.burials.Go(co.end)
}

// takeBack takes back a coroutine that has nothing to carry. While the loop stops none
// is kept: its tasks make new ones till the end.
func (l *Loop) takeBack(co *coroutine) {
	p := &l.coroutines
	if l.stopping {
		co.end()
		return
	}
	co.job = nil
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
			co.end()
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
		co.end()
	}
	l.coroutines.idle = nil
}
