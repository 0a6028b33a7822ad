// Package iosync synchronizes tasks and goroutines: Group and Future start work
// and wait for its end; Event, Semaphore, Mutex and Queue coordinate it.
//
// Two tasks with a queue between them, in a task t:
//
//	queue, err := iosync.NewQueue[string](16)
//	if err != nil {
//		return err
//	}
//	var group iosync.Group
//	group.Go(t.Loop(), func(t *ioloop.Task) error {
//		defer queue.Close()
//		return queue.Put(t, "hello")
//	})
//	group.Go(t.Loop(), func(t *ioloop.Task) error {
//		word, err := queue.Get(t)
//		fmt.Println(word)
//		return err
//	})
//	return group.Wait(t)
//
// Every wait takes a context: a task passes itself and is suspended, a
// goroutine passes any other context and blocks. So tasks of several loops and
// goroutines may share one of these, where package sync would block a loop. For
// a time limit pass ioloop.Task.WithTimeout in a task and context.WithTimeout
// elsewhere. Waiters are served in order of arrival. A wait that returns an
// error has taken nothing.
//
// Methods without a context do not wait and may be called from any goroutine
// and in callbacks. Waiting methods return the error of the context, the other
// errors of ioloop.CheckContext, and ioloop.ErrOnLoop where they would block a
// loop. None of the types may be copied after first use.
//
// There is no select. To wait for several sources, start a task for each that
// puts its values into one Queue.
package iosync

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"

	"github.com/eddyloop/eddy/ioloop"
)

// Errors of this package. To errors.Is, ErrClosed is also fs.ErrClosed, and ErrInvalid
// fs.ErrInvalid.
var (
	// ErrClosed: the Queue was closed.
	ErrClosed = fmt.Errorf("iosync: queue %w", fs.ErrClosed)

	// ErrNotHeld: more was released than had been acquired.
	ErrNotHeld = errors.New("iosync: release of what nobody holds")

	// ErrNoReturn: a function that was started panicked or called runtime.Goexit.
	ErrNoReturn = errors.New("iosync: function did not return")

	// ErrInvalid: an argument makes no sense.
	ErrInvalid = fmt.Errorf("iosync: %w", fs.ErrInvalid)
)

// line is those who wait for something, in order of arrival.
type line struct {
	waiting list.List // of *waiter
}

type waiter struct {
	ioloop.Waiter
	served bool
	err    error // what the wait returns
}

// wait has the caller wait until it is served. The caller has locked mu, under which
// the line is used; wait unlocks it. A task whose loop stops may be unwound while it is
// served: giveBack, called with mu locked, then passes on what it was given.
func (q *line) wait(ctx context.Context, mu *sync.Mutex, giveBack func()) (err error) {
	w := new(waiter)
	if err := w.Begin(ctx); err != nil {
		mu.Unlock()
		return err
	}
	place := q.waiting.PushBack(w)
	mu.Unlock()
	returned := false
	defer func() {
		mu.Lock()
		defer mu.Unlock()
		switch {
		case !w.served:
			q.waiting.Remove(place)
		case returned:
			err = w.err // being served wins over the context's end
		case w.err == nil && giveBack != nil:
			giveBack()
		}
	}()
	err = w.Wait()
	returned = true
	return err
}

// serve ends the wait of the first in line with err, and reports whether there is one.
func (q *line) serve(err error) bool {
	first := q.waiting.Front()
	if first == nil {
		return false
	}
	w := q.waiting.Remove(first).(*waiter)
	w.served, w.err = true, err
	w.Wake()
	return true
}
