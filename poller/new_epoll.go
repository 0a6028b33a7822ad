//go:build linux && !eddy_kqueue && !eddy_poll

package poller

// New returns a Poller of the system. Its error is an *os.SyscallError.
func New() (Poller, error) {
	p, err := newEpoll(pwait2Missing.Load())
	if err != nil {
		return nil, err // and not a Poller that holds a nil
	}
	return p, nil
}
