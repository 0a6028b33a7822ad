// Package testtime gives the tests more time where the machine is slow, such as
// one in software emulation.
package testtime

import (
	"os"
	"strconv"
	"time"
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
