package ioloop

// A task that a callback begins by Kit.RunJob runs when the callback has returned, at the
// bottom of the stack, and so does the loop once the task has ended: on the same
// coroutine, without a switch. That coroutine leads. When a task waits, its coroutine
// has that task alone to carry, and switches to the loop's goroutine. This goes on
// with the turn, which stands in the loop's fields, until the next task is due: another
// coroutine leads then. So tasks that do not wait cost about what callbacks do, and
// those that do wait cost the switches which a coroutine for each would.
//
// Servers that share a socket among threads know this as leader and followers.

// turns runs the loop until it is told to stop; RunOnce, until the turn is over. Called
// again after a Goexit, it goes on with the turn that was interrupted.
func (l *Loop) turns() {
	for l.runUntilDue() {
		l.handOver()
	}
}

// runUntilDue runs the loop until a task is due, and returns true, or until it is told to
// stop. It runs on the loop's goroutine or on the coroutine that leads.
func (l *Loop) runUntilDue() bool {
	for {
		l.turn()
		switch {
		case l.due != nil:
			return true
		case l.once, l.stopped.Load(): // Close calls Stop too
			return false
		}
		l.wait()
	}
}

// handOver has a coroutine lead, beginning with the task that is due, until it leads
// no more.
func (l *Loop) handOver() {
	co := l.takeCoroutine()
	l.coroutines.leader = co
	co.takeDue()
	co.next()
	l.coroutines.leader, l.current = nil, nil
	began := co.task != nil // else Run is over, or a callback has exited
	switch {
	case l.coroutines.exited:
		l.bury(co)
	case began:
		co.parked()
	default:
		l.takeBack(co)
	}
	if began {
		l.goOn()
	}
}

// lead goes on when the task that has made the coroutine lead has ended. If the task
// has waited, it leads no more.
func (co *coroutine) lead() {
	l := co.loop
	for l.coroutines.leader == co {
		l.current = nil
		co.strike()
		co.restore()
		l.goOn()
		if !l.runUntilDue() {
			return
		}
		co.takeDue()
		co.carry()
	}
}

func (co *coroutine) takeDue() {
	l := co.loop
	co.take(l.due, l.newTask())
	l.due, l.current = nil, co.task
	l.share.tasks++
}

// goOn runs the rest of the callback that has begun a task.
func (l *Loop) goOn() {
	rest := l.afterDue
	l.afterDue = nil
	l.call(rest)
}
