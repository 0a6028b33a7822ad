package ioloop

import (
	"context"
	"runtime/pprof"
	"sync/atomic"
)

// taskList holds the tasks of a loop that have waited and not ended: those that
// have to be told when it stops. A task that never waits does not get into it.
type taskList struct {
	first *job
	live  atomic.Int64 // tasks that have begun and not ended
}

// count counts a task that has begun.
func (j *job) count() {
	j.counted = true
	j.loop.tasks.live.Add(1)
}

func (l *taskList) add(j *job) {
	j.listed = true
	j.following = l.first
	if l.first != nil {
		l.first.prev = j
	}
	l.first = j
	if !j.counted {
		j.count()
	}
}

// remove strikes a task off that has ended.
func (l *taskList) remove(j *job) {
	if j.counted {
		l.live.Add(-1)
	}
	if !j.listed {
		return
	}
	if j.prev != nil {
		j.prev.following = j.following
	} else {
		l.first = j.following
	}
	if j.following != nil {
		j.following.prev = j.prev
	}
	j.prev, j.following = nil, nil
}

// stopTasks ends all tasks, and returns when none is left.
func (l *Loop) stopTasks() {
	l.tellTasks()
	for l.tasks.first != nil {
		l.step()
		if l.takePutOff() {
			l.runEndBatch()
		}
	}
	l.stopping = false
}

// tellTasks has the present wait, or else the next, of every task return
// ErrTaskStopped, and of every task that begins from now on. Coroutines without a
// task end.
func (l *Loop) tellTasks() {
	l.stopping = true
	l.stopIdle()
	for j := l.tasks.first; j != nil; j = j.following {
		j.root.finish(endStopped)
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
