//go:build eddy_poll

package poller

import "os"

// New returns a Poller over poll(2), if the environment says so without
// POLLRDHUP, which other systems do not have. It is for tests.
func New() (Poller, error) { return newPoll(os.Getenv("EDDY_POLL") != "late") }
