package main

import (
	"time"

	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
)

// loopPatience is how long the admin page waits for a loop that is busy to list its
// connections.
const loopPatience = 50 * time.Millisecond

// backlog returns how many bytes the connections of all loops have yet to send. A loop that
// does not answer in time is left out. The loops only list their connections; the sum is
// made by the caller's goroutine.
func (d *echod) backlog() (bytes int) {
	loops := d.group.Loops()
	lists := make(chan []*iostream.Stream, len(loops))
	for _, l := range loops {
		if l.Post(func() { lists <- streamsOf(l) }) != nil {
			lists <- nil // the loop is closed
		}
	}
	timeout := time.After(loopPatience)
	for range loops {
		select {
		case list := <-lists:
			for _, s := range list {
				bytes += s.Backlog()
			}
		case <-timeout:
			return bytes
		}
	}
	return bytes
}

// streamsOf must be called on the loop.
func streamsOf(l *ioloop.Loop) []*iostream.Stream {
	list := make([]*iostream.Stream, 0, l.Stats().Handlers)
	for s := range iostream.Streams(l) {
		list = append(list, s)
	}
	return list
}
