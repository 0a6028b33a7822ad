//go:build unix

package poller

import (
	"math"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// playedBackend does what a test says.
type playedBackend struct {
	onSet   func(i uint32) error
	removed []uint32
	wakes   int
}

func (b *playedBackend) set(i uint32) error { return b.onSet(i) }

func (b *playedBackend) remove(i uint32) error {
	b.removed = append(b.removed, i)
	return nil
}

func (b *playedBackend) wake() error {
	b.wakes++
	return nil
}

func (b *playedBackend) add(uint32) error                 { return nil }
func (b *playedBackend) begin(int) bool                   { return false }
func (b *playedBackend) wait(time.Duration) (bool, error) { return false, nil }
func (b *playedBackend) harvest([]Event) (int, bool)      { return 0, true }
func (b *playedBackend) fd() int                          { return 1000 }
func (b *playedBackend) owns(fd int) bool                 { return fd == 1000 }
func (b *playedBackend) close() error                     { return nil }

func newPlayed() (*front, *playedBackend) {
	b := new(playedBackend)
	return newFront(newTable(), b), b
}

// A change that fails leaves what was, or takes all of it away.
func TestFrontRestores(t *testing.T) {
	const first, second = syscall.ENOMEM, syscall.ENOSPC
	for name, c := range map[string]struct {
		armed   []uint8 // by each try; 1 is what it was
		results []error
		gone    bool
	}{
		"nothing was done":         {[]uint8{1}, []error{first}, false},
		"it was undone":            {[]uint8{0, 1}, []error{first, nil}, false},
		"it could not be undone":   {[]uint8{0, 0}, []error{first, second}, true},
		"a half could be, at most": {[]uint8{3, 2}, []error{first, second}, true},
	} {
		t.Run(name, func(t *testing.T) {
			p, b := newPlayed()
			tries := 0
			b.onSet = func(i uint32) error {
				p.table.slots[i].armed = c.armed[tries]
				tries++
				return c.results[tries-1]
			}
			require.NoError(t, p.Add(5, 1, Readable, OneShot))
			s := &p.table.slots[0]
			s.armed, s.state = 1, fired
			was := *s
			err := p.Modify(5, 2, Writable, Level)
			require.ErrorIs(t, err, first)
			require.NotErrorIs(t, err, second)
			require.Len(t, c.results, tries)
			if c.gone {
				require.ErrorIs(t, err, ErrNotExist)
				require.Equal(t, []uint32{0}, b.removed, "what is left of it")
				require.ErrorIs(t, p.Remove(5), ErrNotExist)
				return
			}
			require.NotErrorIs(t, err, ErrNotExist)
			was.gen = s.gen // a new one does no harm
			require.Equal(t, was, *s)
			require.Empty(t, b.removed)
		})
	}
}

// The kernel is told once of all wake-ups until the waiter hears of them.
func TestFrontWakesOnce(t *testing.T) {
	p, b := newPlayed()
	for round := range 3 {
		require.NoError(t, p.Wake())
		require.Equal(t, wakePending, p.wakeUp.Load(), "the next one need not wait for a lock")
		require.NoError(t, p.Wake())
		require.Equal(t, round+1, b.wakes)
		n, err := p.Wait(make([]Event, 1), -1)
		require.NoError(t, err)
		require.Zero(t, n)
		require.Equal(t, wakeNone, p.wakeUp.Load())
	}
	p.wakeUp.Store(wakeBegun) // by another goroutine, which has the lock no more
	require.NoError(t, p.Wake())
	require.Equal(t, 3, b.wakes)
	require.NoError(t, p.Close())
	require.ErrorIs(t, p.Wake(), ErrClosed)
	p.woken()
	require.ErrorIs(t, p.Wake(), ErrClosed)
	require.True(t, p.wakeMu.TryLock(), "one that is late would wait for ever")
	require.Equal(t, 3, b.wakes)
}

// What no registration can be made of is refused before the kernel is asked.
func TestFrontRefuses(t *testing.T) {
	p, b := newPlayed()
	b.onSet = func(uint32) error { return nil }
	const all = Readable | Writable | PeerClosed
	beyond := math.MaxInt32
	beyond++ // negative where an int has no room for it
	for _, fd := range []int{-1, beyond} {
		require.ErrorIs(t, p.Add(fd, 1, all, Level), syscall.EBADF)
		require.ErrorIs(t, p.Modify(fd, 1, all, Level), ErrNotExist)
		require.ErrorIs(t, p.Remove(fd), ErrNotExist)
	}
	require.NoError(t, p.Add(math.MaxInt32, 1, all, OneShot))
	require.NoError(t, p.Add(0, 1, 0, Edge))
	require.ErrorIs(t, p.Add(0, 1, all, Level), ErrExists)
	require.ErrorIs(t, p.Add(1000, 1, all, Level), ErrInvalid, "its own")
	for _, call := range []func(Interest, Mode) error{
		func(i Interest, m Mode) error { return p.Add(7, 1, i, m) },
		func(i Interest, m Mode) error { return p.Modify(0, 1, i, m) },
	} {
		require.ErrorIs(t, call(all+1, Level), ErrInvalid)
		require.ErrorIs(t, call(all, OneShot+1), ErrInvalid)
		p.edges = false
		require.ErrorIs(t, call(all, Edge), ErrNoEdges)
		require.NoError(t, call(all, OneShot))
		p.edges = true
	}
	_, err := p.Wait(nil, 0)
	require.ErrorIs(t, err, ErrInvalid)
	p.waiting = true
	_, err = p.Wait(make([]Event, 1), 0)
	require.ErrorIs(t, err, ErrBusy)
	p.waiting = false
	require.NoError(t, p.Close())
	require.Equal(t, -1, p.FD())
	for _, err := range []error{p.Add(8, 1, all, Level), p.Modify(0, 1, all, Level), p.Remove(0), p.Close()} {
		require.ErrorIs(t, err, ErrClosed)
	}
	_, err = p.Wait(make([]Event, 1), 0)
	require.ErrorIs(t, err, ErrClosed)
}
