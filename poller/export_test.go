//go:build linux

package poller

// NewWithMillis returns a Poller without epoll_pwait2.
func NewWithMillis() (Poller, error) { return newEpoll(true) }

// NewEmulated returns a Poller over an emulated kqueue.
var NewEmulated = newEmulated

// NewPoll returns a Poller over poll(2), with or without POLLRDHUP.
var NewPoll = newPoll
