package iostream_test

import (
	"io"
	"sync"

	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
	"github.com/eddyloop/eddy/poller"
)

// sim is a transport in memory that a test plays by hand. With pulse set it
// behaves as TLS can: a read must first write, plaintext is held back that no
// readiness announces, and what was written counts as sent only when a record
// of it is out.
type sim struct {
	mu      sync.Mutex
	loop    *ioloop.Loop
	handler ioloop.Handler
	armed   poller.Interest
	queued  bool

	in     []byte // has arrived
	inErr  error  // comes behind in
	chunk  int    // most bytes of one Read, 0: no limit
	out    []byte // has left
	window int    // how many more bytes fit
	outErr error  // the next Write fails so

	pulse   bool
	owed    int    // bytes that must be written before a Read succeeds
	hidden  []byte // decoded plaintext
	records []byte // encoded, not out yet

	reads, writes, arms int
	finSent, closed     int
}

func (m *sim) Attach(l *ioloop.Loop, h ioloop.Handler, interest poller.Interest) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.loop, m.handler, m.armed = l, h, interest
	m.announce()
	return nil
}

func (m *sim) Arm(_ *ioloop.Loop, interest poller.Interest) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.armed = interest
	m.arms++
	m.announce()
	return nil
}

// announce has the loop look whether something that is armed is ready.
func (m *sim) announce() {
	if m.handler != nil && !m.queued {
		m.queued = true
		_ = m.loop.Schedule(m)
	}
}

// Run reports readiness, level-triggered but for the close watch.
func (m *sim) Run() {
	m.mu.Lock()
	m.queued = false
	ready := m.ready() & m.armed
	if ready&^poller.PeerClosed != 0 {
		m.announce()
	}
	handler, closed := m.handler, m.closed > 0
	m.mu.Unlock()
	if ready != 0 && !closed {
		handler.HandleEvent(ready, 0)
	}
}

func (m *sim) ready() (ready poller.Interest) {
	if len(m.in) > 0 || m.inErr != nil {
		ready |= poller.Readable
	}
	if m.inErr != nil {
		ready |= poller.PeerClosed
	}
	if m.window > 0 || m.outErr != nil {
		ready |= poller.Writable
	}
	return ready
}

func (m *sim) Read(p []byte) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.reads++
	if m.pulse && len(m.hidden) == 0 {
		if m.owed > 0 {
			return 0, iostream.ErrWouldBlock
		}
		m.hidden, m.in = m.in, nil // one record
		if len(m.hidden) > 0 {
			m.owed = 1
			m.records = append(m.records, '!') // an answer of the protocol's own
		}
	}
	source := &m.in
	if m.pulse {
		source = &m.hidden
	}
	if len(*source) == 0 {
		if m.inErr != nil {
			return 0, m.inErr
		}
		return 0, iostream.ErrWouldBlock
	}
	n := len(p)
	if m.chunk > 0 {
		n = min(n, m.chunk)
	}
	n = copy(p[:n], *source)
	*source = (*source)[n:]
	return n, nil
}

func (m *sim) Write(bufs [][]byte) (n int, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.writes++
	if m.outErr != nil {
		return 0, m.outErr
	}
	for _, b := range bufs {
		if m.pulse {
			m.records = append(m.records, b...)
			n += len(b)
			continue
		}
		k := min(len(b), m.window)
		m.out = append(m.out, b[:k]...)
		m.window -= k
		n += k
		if k < len(b) {
			return n, iostream.ErrWouldBlock
		}
	}
	return n, nil
}

func (m *sim) Flush() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	k := min(len(m.records), m.window)
	m.window -= k
	m.owed = max(0, m.owed-k)
	m.out = append(m.out, m.records[:k]...)
	m.records = m.records[k:]
	if len(m.records) > 0 {
		return iostream.ErrWouldBlock
	}
	return nil
}

func (m *sim) Unsent() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.records) - min(len(m.records), m.owed)
}

func (m *sim) Buffered() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.hidden) > 0
}

func (m *sim) Want() (read, write poller.Interest) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.pulse && m.owed > 0 {
		return poller.Writable, poller.Writable
	}
	return poller.Readable, poller.Writable
}

func (m *sim) Probe() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.in)+len(m.hidden) > 0 {
		return nil
	}
	return m.inErr
}

func (m *sim) CloseWrite() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.finSent++
	return nil
}

func (m *sim) Close(*ioloop.Loop) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed++
	m.armed = 0
	return nil
}

// play changes the simulation as the outside would.
func (m *sim) play(change func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	change()
	m.announce()
}

// arrive has bytes come in, one arrival for each piece.
func (m *sim) arrive(piece string) { m.play(func() { m.in = append(m.in, piece...) }) }

func (m *sim) eof() { m.play(func() { m.inErr = io.EOF }) }

func (m *sim) open(n int) { m.play(func() { m.window += n }) }

// look reads the simulation's state.
func look[T any](m *sim, get func() T) T {
	m.mu.Lock()
	defer m.mu.Unlock()
	return get()
}

func (m *sim) sent() string { return look(m, func() string { return string(m.out) }) }
