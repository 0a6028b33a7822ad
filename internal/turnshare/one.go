//go:build eddy_share1

package turnshare

import "time"

// One piece of each kind, and one event.
const (
	Time   = time.Hour
	Pieces = 1
	Events = 1
)
