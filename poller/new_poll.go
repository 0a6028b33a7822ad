//go:build aix || solaris

package poller

// New returns a Poller of the system. Its error is an *os.SyscallError.
func New() (Poller, error) { return newPoll(pollRDHup != 0) }
