//go:build unix || windows

package poller

import (
	"fmt"
	"math"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/eddyloop/eddy/internal/realtime"
)

// backend is what differs between kernels. The front calls its methods with
// its mutex held, so that kernel and table agree, except wait, which runs
// without it and only on one goroutine at a time, and wake.
type backend interface {
	// add begins to watch a new slot. It finds out, for interest 0 too,
	// whether the descriptor can be watched.
	add(i uint32) error

	// set makes the kernel watch what the changed slot wants, and re-arms. If it
	// fails half-way, the slot's armed field differs from what it was.
	set(i uint32) error

	// remove makes the kernel forget the slot's descriptor.
	remove(i uint32) error

	// begin prepares to wait for at most n events. It returns true if there
	// is something to report already, so that wait must not block.
	begin(n int) bool

	// wait asks the kernel. It returns true if a signal arrived instead.
	wait(timeout time.Duration) (interrupted bool, err error)

	// harvest translates what wait has found, and says whether a wake-up was
	// among it. It may find nothing worth telling.
	harvest(out []Event) (n int, woken bool)

	// wake makes the wait in progress, or else the next one, return.
	wake() error

	// fd is the kernel object's descriptor.
	fd() int

	// owns tells whether fd is one of the backend's own descriptors.
	owns(fd int) bool

	close() error
}

// Values of front.wakeUp.
const (
	wakeNone    int32 = iota
	wakeBegun         // somebody is telling the kernel
	wakePending       // the kernel knows, and the waiter has not heard of it
	wakeClosed
)

// front is the Poller over every backend.
type front struct {
	wakeUp atomic.Int32 // coalesces wake-ups: only the first one reaches the kernel

	mu       sync.Mutex
	left     sync.Cond // the waiter has left
	waiting  bool
	closed   bool
	deserted bool // Close could not wake the waiter, who releases everything then
	edges    bool // the kernel has them
	table    *table
	backend  backend

	// wakeMu keeps the descriptors open under a wake-up. It is not mu: the
	// waiter that has been woken needs that one at once.
	wakeMu sync.Mutex
}

var _ Poller = (*front)(nil)

func newFront(t *table, b backend) *front {
	p := &front{table: t, backend: b, edges: true}
	p.left.L = &p.mu
	return p
}

func (p *front) Add(fd int, token Token, interest Interest, mode Mode) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.check(interest, mode); err != nil {
		return err
	}
	if fd < 0 || fd > math.MaxInt32 {
		return &os.SyscallError{Syscall: "poller: add", Err: syscall.EBADF}
	}
	if p.backend.owns(fd) {
		return ErrInvalid
	}
	if _, ok := p.table.lookup(fd); ok {
		return ErrExists
	}
	i := p.table.take(fd)
	s := &p.table.slots[i]
	s.token, s.interest, s.mode = token, interest, mode
	if err := p.backend.add(i); err != nil {
		p.table.release(i)
		return err
	}
	return nil
}

func (p *front) Modify(fd int, token Token, interest Interest, mode Mode) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.check(interest, mode); err != nil {
		return err
	}
	i, ok := p.table.lookup(fd)
	if !ok {
		return ErrNotExist
	}
	s := &p.table.slots[i]
	old := *s
	s.token, s.interest, s.mode = token, interest, mode
	s.gen = p.table.nextGen() // what was found before must not use up the new arming
	s.state &= lasting
	if err := p.backend.set(i); err != nil {
		return p.restore(i, old, err)
	}
	return nil
}

// restore makes slot i again what it was before a change that has failed. If the
// kernel has lost that, and refuses it too, the registration is gone.
func (p *front) restore(i uint32, old slot, cause error) error {
	s := &p.table.slots[i]
	if s.armed == old.armed {
		old.state |= s.state & changed
		*s = old
		return cause
	}
	s.token, s.interest, s.mode, s.state = old.token, old.interest, old.mode, old.state|s.state&changed
	if p.backend.set(i) == nil {
		return cause
	}
	_ = p.backend.remove(i)
	p.table.release(i)
	return fmt.Errorf("%w any more: %w", ErrNotExist, cause)
}

func (p *front) Remove(fd int) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return ErrClosed
	}
	i, ok := p.table.lookup(fd)
	if !ok {
		return ErrNotExist
	}
	err := p.backend.remove(i)
	p.table.release(i)
	return err
}

// check refuses what no registration can be made of.
func (p *front) check(interest Interest, mode Mode) error {
	if p.closed {
		return ErrClosed
	}
	if interest&^(Readable|Writable|PeerClosed) != 0 || mode > OneShot {
		return ErrInvalid
	}
	if mode == Edge && !p.edges {
		return ErrNoEdges
	}
	return nil
}

func (p *front) SupportsEdge() bool { return p.edges }
func (p *front) grows()             {}

func (p *front) Wait(events []Event, timeout time.Duration) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.closed:
		return 0, ErrClosed
	case p.waiting:
		return 0, ErrBusy
	case len(events) == 0:
		return 0, ErrInvalid
	}
	p.waiting = true
	n, err := p.wait(events, clamp(timeout))
	p.waiting = false
	if p.closed {
		if p.deserted {
			_ = p.release()
		}
		p.left.Broadcast()
		return 0, ErrClosed
	}
	return n, err
}

// wait asks the backend until there is something to tell. It is called with
// the mutex held and gives it up while the backend waits.
func (p *front) wait(events []Event, timeout time.Duration) (int, error) {
	var deadline time.Duration
	if timeout > 0 {
		deadline = realtime.Now() + timeout
	}
	for {
		block := timeout
		if p.backend.begin(len(events)) {
			block = 0
		}
		p.mu.Unlock()
		interrupted, err := p.backend.wait(block)
		p.mu.Lock()
		if err != nil || interrupted {
			return 0, err
		}
		n, woken := p.backend.harvest(events)
		if woken {
			// Cleared after the wake-up has been consumed, so that the next
			// one reaches the kernel, and before Wait returns, so that the
			// caller sees what was done before any call that was left out.
			p.woken()
		}
		if n > 0 || woken || timeout == 0 || p.closed {
			return n, nil
		}
		if timeout > 0 {
			if timeout = deadline - realtime.Now(); timeout <= 0 {
				return 0, nil
			}
		}
	}
}

// woken notes that the waiter has heard of a wake-up. Who has told the kernel may
// still be about to say so.
func (p *front) woken() {
	for {
		now := p.wakeUp.Load()
		if now == wakeClosed || p.wakeUp.CompareAndSwap(now, wakeNone) {
			return
		}
	}
}

func (p *front) Wake() error {
	switch p.wakeUp.Load() {
	case wakePending:
		return nil
	case wakeClosed:
		return ErrClosed
	}
	p.wakeMu.Lock()
	defer p.wakeMu.Unlock()
	if !p.wakeUp.CompareAndSwap(wakeNone, wakeBegun) {
		if p.wakeUp.Load() == wakeClosed {
			return ErrClosed
		}
		return nil // whoever had the mutex has told the kernel
	}
	// Pending only when the kernel knows: who finds it pending relies on that.
	if err := p.backend.wake(); err != nil {
		p.wakeUp.CompareAndSwap(wakeBegun, wakeNone)
		return err
	}
	p.wakeUp.CompareAndSwap(wakeBegun, wakePending)
	return nil
}

func (p *front) FD() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return -1
	}
	return p.backend.fd()
}

func (p *front) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return ErrClosed
	}
	p.closed = true
	p.wakeUp.Store(wakeClosed)
	// Closing the kernel's object would not wake the waiter.
	for p.waiting {
		if err := p.backend.wake(); err != nil {
			p.deserted = true
			return err
		}
		p.left.Wait()
	}
	return p.release()
}

// release is the end. It is called with the mutex held.
func (p *front) release() error {
	p.wakeMu.Lock() // a wake-up may be in progress
	defer p.wakeMu.Unlock()
	return p.backend.close()
}
