//go:build race

package socket

import "sync/atomic"

// sent orders what was done before a send before what is done behind a later receive,
// of any socket, as internal/poll has it: the race detector does not see the kernel.
var sent atomic.Int64

func beforeSend()   { sent.Add(1) }
func afterReceive() { sent.Load() }
