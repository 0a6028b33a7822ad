package ioloop

import (
	"context"
	"runtime/pprof"
	"sync/atomic"
)

// taskList holds the tasks of a loop that have waited and not ended: those that
// have to be told when it stops. A task that never waits does not get into it.
type taskList struct {
	first *coroutine
	live  atomic.Int64 // tasks that have begun and not ended
}

// count counts a task that has begun.
func (co *coroutine) count() {
	co.counted = true
	co.loop.tasks.live.Add(1)
}

func (l *taskList) add(co *coroutine) {
	co.listed = true
	co.following = l.first
	if l.first != nil {
		l.first.prev = co
	}
	l.first = co
	if !co.counted {
		co.count()
	}
}

// remove strikes a task off that has ended.
func (l *taskList) remove(co *coroutine) {
	if co.counted {
		co.counted = false
		l.live.Add(-1)
	}
	if !co.listed {
		return
	}
	co.listed = false
	if co.prev != nil {
		co.prev.following = co.following
	} else {
		l.first = co.following
	}
	if co.following != nil {
		co.following.prev = co.prev
	}
	co.prev, co.following = nil, nil
}

// stopTasks ends all tasks, and returns when none is left.
func (l *Loop) stopTasks() {
	l.tellTasks()
	for l.tasks.first != nil {
		l.step()
	}
	l.stopping = false
}

// tellTasks has the present wait, or else the next, of every task return
// ErrTaskStopped, and of every task that begins from now on. Coroutines without a
// task end.
func (l *Loop) tellTasks() {
	l.stopping = true
	l.stopIdle()
	for co := l.tasks.first; co != nil; co = co.following {
		co.task.finish(endStopped)
	}
}

// profileLabels returns a context with the profile labels of ctx and nothing else, so
// that looking them up is quick.
func profileLabels(ctx context.Context) context.Context {
	var pairs []string
	pprof.ForLabels(ctx, func(key, value string) bool {
		pairs = append(pairs, key, value)
		return true
	})
	if len(pairs) == 0 {
		return context.Background()
	}
	return pprof.WithLabels(context.Background(), pprof.Labels(pairs...))
}
