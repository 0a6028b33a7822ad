//go:build aix || solaris

package poller

// New returns a Poller.
func New() (Poller, error) { return newPoll(pollRDHup != 0) }
