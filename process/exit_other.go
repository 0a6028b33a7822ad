//go:build !linux

package process

// awaitExit leaves the waiting to reap.
func (p *Process) awaitExit() {}
