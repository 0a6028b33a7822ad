//go:build linux && eddy_kqueue

package poller_test

import (
	"os"
	"strings"

	"github.com/eddyloop/eddy/internal/pollertest"
)

var newLimits = func() pollertest.Limits {
	limits := pollertest.NullPolls
	switch system := os.Getenv("EDDY_KQUEUE"); {
	case system == "darwin":
		limits |= pollertest.NoFIFOs
	case strings.HasPrefix(system, "netbsd"):
		limits |= pollertest.NoFIFOWriters
	}
	return limits
}()
