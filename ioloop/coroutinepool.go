package ioloop

import "slices"

// coroutinePool are the coroutines of a loop that carry no task.
type coroutinePool struct {
	idle     []*coroutine // the last one is the next to be used
	leader   *coroutine   // that runs the loop, nil if that is on its goroutine; see lead.go
	led      bool         // the next turn begins with a leader, as the last one has ended
	exiting  bool         // the one that runs exits by Goexit, or is about to recover a panic
	exited   bool         // the one that has switched to the loop has
	trimming bool         // trim is scheduled
	tasks    []Task       // for messages, not used yet
}

// newTask returns a Task for a message. Those are made several at once, as most live no longer
// than a turn; one that lives longer keeps its neighbours.
func (l *Loop) newTask() *Task {
	p := &l.coroutines
	if len(p.tasks) == 0 {
		p.tasks = make([]Task, tasksAtOnce)
	}
	t := &p.tasks[0]
	p.tasks = p.tasks[1:]
	return t
}

const tasksAtOnce = 16 // 384 bytes

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
	if p.leader != nil {
		excess++ // it is one of them when RunOnce has returned
	}
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
