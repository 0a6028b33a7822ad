package poller

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/eddyloop/eddy/internal/testtime"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// A burst that comes and goes while the kernel is asked leaves a Poller that works, and
// little memory.
func TestBurst(t *testing.T) {
	const n = 3 * maxSpare / 2
	for name, open := range everyBackend() {
		t.Run(name, func(t *testing.T) {
			p, err := open()
			require.NoError(t, err)
			defer p.Close()
			fd, tell := testPipe(t)
			require.NoError(t, p.Add(fd, 7, Readable, Level))
			var fds []int
			for range n {
				fd, err := unix.Dup(fd)
				require.NoError(t, err)
				defer unix.Close(fd)
				fds = append(fds, fd)
			}
			waited := make(chan error)
			events := make([]Event, 4)
			for range 2 {
				var told atomic.Bool
				go func() {
					var err error
					for err == nil && !told.Load() { // signals
						_, err = p.Wait(events, -1)
					}
					waited <- err
				}()
				awaitWaiter(t, p)
				for _, fd := range fds {
					require.NoError(t, p.Add(fd, 8, Readable, Level))
				}
				for _, fd := range fds {
					require.NoError(t, p.Remove(fd))
				}
				told.Store(true)
				require.NoError(t, p.Wake())
				require.NoError(t, <-waited)
			}
			require.Equal(t, 1, len(p.(*front).table.byFD))
			require.Less(t, cap(p.(*front).table.slots), maxSpare)
			_, err = unix.Write(tell, []byte("x"))
			require.NoError(t, err)
			for range 100 {
				if k, err := p.Wait(events, time.Second); err != nil || k > 0 {
					require.NoError(t, err)
					require.Equal(t, Event{Token: 7, Ready: Readable}, events[0])
					require.Equal(t, 1, k)
					return
				}
			}
			require.Fail(t, "no event")
		})
	}
}

// awaitWaiter returns when a goroutine that waits again and again is seen inside Wait.
func awaitWaiter(t *testing.T, p Poller) {
	t.Helper()
	f := p.(*front)
	awaitLocked(t, f, func() bool { return f.waiting })
}

// awaitLocked returns when cond, called with f's mutex held, is seen to hold.
func awaitLocked(t *testing.T, f *front, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(testtime.Patience(30 * time.Second)); ; time.Sleep(time.Millisecond) {
		f.mu.Lock()
		holds := cond()
		f.mu.Unlock()
		if holds {
			return
		}
		require.True(t, time.Now().Before(end), "nobody waits")
	}
}
