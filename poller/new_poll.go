//go:build (linux && eddy_poll) || aix || solaris

package poller

// New returns a Poller.
func New() (Poller, error) { return newPoll(pollRDHup != 0) }
