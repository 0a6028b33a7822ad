// Package turnshare holds how much a turn of a loop may do, for tests that
// make it small. Loops take the values when they are made.
package turnshare

import "time"

// Of each kind of work (events, queued work, timers, the end of the turn) a
// turn does until one of these is reached, but at least one piece.
var (
	Time   = 500 * time.Microsecond
	Pieces = 16 << 10
)
