package ioloop

import (
	"log/slog"
	"slices"
)

// Close ends and releases the loop. Handlers that are Failers are told
// ErrClosed. Functions posted before are still called; tasks started before are
// begun and told to stop at once. Timers are dropped, and timers set later
// never fire. While Run is in progress, Close returns at once and Run releases
// the loop before it returns, so a callback may call Close. A second Close
// returns ErrClosed.
func (l *Loop) Close() error {
	l.mu.Lock()
	if l.closing {
		l.mu.Unlock()
		return ErrClosed
	}
	l.closing = true
	running := l.running
	l.mu.Unlock()
	if running {
		l.Stop()
		return nil
	}
	return l.release()
}

// release lets go of all that the loop holds. Nobody runs it any more.
func (l *Loop) release() error {
	l.mu.Lock()
	l.awake, l.releasing = true, true // work is queued without waking the poller
	l.mu.Unlock()
	l.timers.clear()
	l.onGoroutine(func() {
		l.failHandlers()
		l.tellTasks()
		for rounds := 0; l.step() || l.tasks.first != nil || !l.shut(false); {
			if l.tasks.first == nil {
				rounds++
			}
			if rounds > maxCloseRounds && l.shut(true) {
				break
			}
		}
		l.failQueue()
	})
	l.burials.Wait()
	loopNumbers.remove(l.number)
	l.forgetClock()
	l.scratch = scratch{}
	err := l.poller.Close()
	close(l.done)
	return err
}

// Done returns a channel that is closed when the loop is closed and has
// released everything.
func (l *Loop) Done() <-chan struct{} { return l.done }

// maxCloseRounds is how many steps of the queue Close runs when no task is left:
// enough for all that lets go of something, and not for ever for a Runner that
// always schedules itself again.
const maxCloseRounds = 10_000

// shut closes the queue for good, unless something has come into it. With force it
// does so in any case, unless that is a task.
func (l *Loop) shut(force bool) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = len(l.queue) == 0 || force && !slices.ContainsFunc(l.queue, isTask)
	return l.closed
}

func isTask(r Runner) bool {
	switch r.(type) {
	case *starting, *coroutine:
		return true
	}
	return false
}

// failQueue tells what is left in the queue that it will not run.
func (l *Loop) failQueue() {
	l.mu.Lock()
	dropped := l.queue
	l.queue = nil
	l.mu.Unlock()
	if len(dropped) == 0 {
		return
	}
	l.report(slog.LevelError, "work that always queues itself again was dropped at Close",
		slog.Int("count", len(dropped)))
	for _, r := range dropped {
		l.fail(r, ErrClosed)
	}
}
