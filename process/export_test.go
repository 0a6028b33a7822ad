package process

// Waiters returns how many wait for the process.
func (p *Process) Waiters() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.waiters)
}
