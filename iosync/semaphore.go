package iosync

import (
	"context"
	"sync"

	"github.com/eddyloop/eddy/ioloop"
)

// Semaphore limits how many holders there are at a time. NewSemaphore makes
// one.
type Semaphore struct {
	mu    sync.Mutex
	free  int
	held  int
	line  line
	ended error // nobody waits any more
}

// NewSemaphore returns a Semaphore for n holders, or ErrInvalid if n is below 1.
func NewSemaphore(n int) (*Semaphore, error) {
	if n < 1 {
		return nil, ErrInvalid
	}
	return &Semaphore{free: n}, nil
}

// Acquire waits until there are fewer than n holders and makes the caller one,
// in order of arrival. After an error it is none.
func (s *Semaphore) Acquire(ctx context.Context) error {
	if err := ioloop.CheckContext(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	if s.take() {
		s.mu.Unlock()
		return nil
	}
	if s.ended != nil {
		defer s.mu.Unlock()
		return s.ended
	}
	return s.line.wait(ctx, &s.mu, s.give)
}

// TryAcquire is Acquire without waiting. It reports whether the caller is a
// holder now.
func (s *Semaphore) TryAcquire() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.take()
}

// Release ends one hold and admits the first waiter. Any goroutine or task may
// call it, not only the one that has acquired. It returns ErrNotHeld, and
// changes nothing, if there is no holder.
func (s *Semaphore) Release() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held == 0 {
		return ErrNotHeld
	}
	s.give()
	return nil
}

func (s *Semaphore) take() bool {
	if s.free == 0 {
		return false
	}
	s.free--
	s.held++
	return true
}

// give passes on what a holder had.
func (s *Semaphore) give() {
	if !s.line.serve(nil) {
		s.held--
		s.free++
	}
}

// add lets one more holder in.
func (s *Semaphore) add() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held++
	s.give()
}

// end has those who wait, and from now on those who would have to, told err.
func (s *Semaphore) end(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = err
	for s.line.serve(err) {
	}
}

// Mutex is a lock that a task may hold while it waits. The zero value is
// unlocked.
type Mutex struct {
	mu     sync.Mutex
	locked bool
	line   line
}

// Lock waits until the Mutex is unlocked and locks it, in order of arrival.
// After an error the caller does not hold it.
func (m *Mutex) Lock(ctx context.Context) error {
	if err := ioloop.CheckContext(ctx); err != nil {
		return err
	}
	m.mu.Lock()
	if !m.locked {
		m.locked = true
		m.mu.Unlock()
		return nil
	}
	return m.line.wait(ctx, &m.mu, m.give)
}

// TryLock locks the Mutex if it is unlocked, and reports whether it was.
func (m *Mutex) TryLock() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	was := m.locked
	m.locked = true
	return !was
}

// Unlock unlocks the Mutex, or passes it to the first waiter. Any goroutine or
// task may call it, not only the one that has locked. It returns ErrNotHeld if
// the Mutex is unlocked.
func (m *Mutex) Unlock() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.locked {
		return ErrNotHeld
	}
	m.give()
	return nil
}

func (m *Mutex) give() { m.locked = m.line.serve(nil) }
