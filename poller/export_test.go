//go:build linux

package poller

// NewWithPipe returns a Poller that is woken through a pipe.
func NewWithPipe() (Poller, error) { return newEpoll(newPipeWaker, false) }

// NewWithMillis returns a Poller without epoll_pwait2.
func NewWithMillis() (Poller, error) { return newEpoll(newEventWaker, true) }

// NewEmulated returns a Poller over an emulated kqueue.
var NewEmulated = newEmulated

// NewPoll returns a Poller over poll(2), with or without POLLRDHUP.
var NewPoll = newPoll
