//go:build linux && !eddy_kqueue && !eddy_poll

package poller

// New returns a Poller.
func New() (Poller, error) {
	return newEpoll(newEventWaker, pwait2Missing.Load())
}
