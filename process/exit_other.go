//go:build !linux

package process

// watch waits on a goroutine.
func (p *Process) watch() { p.reap() }
