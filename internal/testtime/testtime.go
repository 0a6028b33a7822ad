// Package testtime is what tests have to know of time: how much slower the machine
// is than others, such as one in software emulation, and whether turns are small.
package testtime

import (
	"os"
	"strconv"
	"time"

	"github.com/eddyloop/eddy/internal/turnshare"
)

// name is the environment variable that holds the factor: 50 for a machine 50
// times slower than a workstation.
const name = "EDDY_TEST_PATIENCE"

var factor = parse(os.Getenv(name))

func parse(value string) float64 {
	if f, err := strconv.ParseFloat(value, 64); err == nil && f >= 1 {
		return f
	}
	return 1
}

// Patience returns how long to wait for what must happen, given how long that may
// take on a common machine under load.
func Patience(d time.Duration) time.Duration { return time.Duration(float64(d) * factor) }

// WholeTurns skips a test of what is in one turn, where turns are made small by the
// tags of package turnshare.
func WholeTurns(t interface{ Skip(reason ...any) }) {
	if turnshare.Pieces == 1 || turnshare.Time == 0 {
		t.Skip("turns are made small")
	}
}
