package ioloop

// A callback can have a task run, by Kit.RunJob. While its tasks do not wait, the loop runs on
// a coroutine, which leads, and a callback calls its task like a function.
//
// When the task waits, the coroutine is left to it, with the callback and the loop below
// it on the stack, and leads no more. The loop's goroutine runs the callback's rest and
// goes on with the turn, which stands in the loop's fields. When the task has ended, what is
// below it returns and touches nothing.
//
// As long as no coroutine leads, a task runs on one of its own when the callback has
// returned, with nothing below it, and that coroutine leads from then on if the task does
// not wait. So where tasks wait, one after another, the stacks that they keep are small.
//
// Servers that share a socket among threads know this as leader and followers.

// Ran is what has become of a task that Kit.RunJob was to run.
type Ran uint8

const (
	RanWhole     Ran = iota // it has ended without waiting
	RanFailed               // likewise, by a panic, of which its job was told
	RanUntilWait            // it has ended, but waited before: rest has run
	RunsNext                // it runs when the callback has returned, and rest after it
	RunsLater               // it begins in a step of its own, and rest does not run
)

// RunJob runs work as a task, with a new Task. A task that does not wait costs no switch
// of coroutines.
//
// Mostly the task runs within the call, and after RanWhole or RanFailed the callback goes
// on. If the task waits, or exits, rest runs in the callback's place, before anything
// else. RunJob returns RanUntilWait when a task that has waited has ended. By then
// what the callback knows is out of date: it must return without touching anything that
// is not its own.
//
// For the first task of a loop, and the first after one that has waited, RunJob returns
// RunsNext: the callback has to return soon. Called by a task, a second time in such a
// callback, or when the turn is over, it returns RunsLater.
//
// Only callbacks and tasks may call RunJob; neither work nor rest may be nil. A timer of
// Every in which a task waits goes on when that has ended.
func (k Kit) RunJob(work Job, rest Runner) Ran {
	l := k.l
	co := l.coroutines.leader
	switch {
	case l.current != nil || l.phase == turnOver || l.due != nil:
		_ = l.enqueue(&starting{l, work}, true)
		return RunsLater
	case co == nil:
		l.due, l.rest = work, rest
		return RunsNext
	}
	l.rest, l.within = rest, true
	returned := co.begin(work)
	if l.coroutines.leader != co {
		return RanUntilWait
	}
	l.rest, l.within = nil, false
	co.ended()
	if !returned {
		return RanFailed
	}
	return RanWhole
}

// Within reports whether the running task runs within the call of RunJob and has not
// waited: the callback goes on when it returns.
func (k Kit) Within() bool { return k.l.within }

// RestDue reports whether the running task was begun by RunJob, other than in a step of its
// own, and has not waited.
func (k Kit) RestDue() bool { return k.l.rest != nil }

// turns runs the loop until it is told to stop; RunOnce, until the turn is over. Called
// again after a Goexit, it goes on with the turn that was interrupted.
func (l *Loop) turns() {
	for !l.turnsOver() {
		if l.due != nil || l.coroutines.led {
			l.handOver()
		} else {
			l.runTurns()
		}
	}
}

// turnsOver reports whether the turn is over and none follows. Close calls Stop too.
func (l *Loop) turnsOver() bool { return l.phase == turnOver && (l.once || l.stopped.Load()) }

// runTurns runs the loop until it is told to stop, a task is due, or one has waited: on the
// loop's goroutine or on the coroutine that leads.
func (l *Loop) runTurns() {
	me := l.coroutines.leader
	for {
		l.turn()
		if l.interrupted(me) || l.turnsOver() {
			return
		}
		l.wait()
	}
}

// interrupted reports whether who runs the loop, me or nil for the loop's goroutine, has
// to leave it to another.
func (l *Loop) interrupted(me *coroutine) bool { return l.coroutines.leader != me || l.due != nil }

// handOver has a coroutine lead, until it leads no more.
func (l *Loop) handOver() {
	co := l.takeCoroutine()
	l.coroutines.leader = co
	co.next()
	l.coroutines.leader, l.current, l.within = nil, nil, false
	l.coroutines.led = false
	switch {
	case l.coroutines.exited:
		l.bury(co)
	case co.task != nil:
		co.parked()
	default: // the turns are over
		l.coroutines.led = true
		l.takeBack(co)
	}
	l.goOn()
}

// lead runs the loop, and before that the task that is due, if one is.
func (co *coroutine) lead() {
	l := co.loop
	if work := l.due; work != nil {
		l.due = nil
		co.begin(work)
		if l.coroutines.leader != co {
			return
		}
		co.ended()
		if l.goOn(); l.coroutines.leader != co { // it has begun another task, which has waited
			return
		}
	}
	l.runTurns()
	if l.coroutines.leader == co { // the turns are over
		co.state.Store(coIdle)
	}
}

// begin runs work on the coroutine, which leads, and reports whether it has returned.
// A coroutine that leads still counts as running until it leads no more.
func (co *coroutine) begin(work Job) (returned bool) {
	l := co.loop
	co.take(work, l.newTask())
	l.current = co.task
	l.share.tasks++
	if returned = co.contained(); !returned {
		l.coroutines.exiting = false
	}
	co.task.over()
	if l.coroutines.leader != co {
		co.state.Store(coIdle)
	}
	return returned
}

// ended follows the end of a task on a coroutine that leads still.
func (co *coroutine) ended() {
	co.loop.current = nil
	co.strike()
	co.restore()
}

// goOn runs the rest of a callback, if one is due.
func (l *Loop) goOn() {
	if rest := l.rest; rest != nil {
		l.rest = nil
		l.turnUsedUp() // counts the callback, which was interrupted before that
		l.call(rest)
	}
}
