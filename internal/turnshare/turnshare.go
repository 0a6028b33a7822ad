//go:build !eddy_share1 && !eddy_share0

// Package turnshare holds how much a turn of a loop may do. Build tags make that as
// little as can be, for tests: what a turn does not come to, a later one must do.
package turnshare

import "time"

// Of each kind of work (events, queued work, timers, the end of the turn) a
// turn does until Time or Pieces is reached, but at least one piece. Events is how
// many events it fetches at most.
const (
	Time   = 500 * time.Microsecond
	Pieces = 16 << 10
	Events = 4096
)
