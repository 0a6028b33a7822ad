package poller

import (
	"fmt"
	"testing"
	"time"

	"github.com/eddyloop/eddy/internal/kqueuesim"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// everyBackend makes a Poller over each.
func everyBackend() map[string]func() (Poller, error) {
	backends := map[string]func() (Poller, error){
		"epoll":     func() (Poller, error) { return newEpoll(false) },
		"poll":      func() (Poller, error) { return newPoll(true) },
		"poll-late": func() (Poller, error) { return newPoll(false) },
	}
	for _, system := range kqueuesim.Profiles {
		backends[system.Name] = func() (Poller, error) { return newEmulated(system, true) }
	}
	return backends
}

// age makes a Poller as old as after so many changes.
func age(p Poller, changes uint32) { p.(*front).table.changes = changes }

// A quiet registration lives through any number of changes of others, and one that
// is changed through any number of its own.
func TestChangesWrap(t *testing.T) {
	for name, open := range everyBackend() {
		for _, wrap := range []uint64{1 << 31, 1 << 32} {
			for _, mode := range []Mode{Level, Edge, OneShot} {
				t.Run(fmt.Sprint(name, "/", wrap, "/", mode), func(t *testing.T) {
					p, err := open()
					require.NoError(t, err)
					defer p.Close()
					if mode == Edge && !p.SupportsEdge() {
						t.Skip("no edges")
					}
					crossWrap(t, p, mode, uint32(wrap-6))
				})
			}
		}
	}
}

func crossWrap(t *testing.T, p Poller, mode Mode, from uint32) {
	quiet, tellQuiet := testPipe(t)
	busy, tellBusy := testPipe(t)
	come, _ := testPipe(t)
	require.NoError(t, p.Add(quiet, 1, Readable, mode))
	require.NoError(t, p.Add(busy, 0, 0, Level))
	require.NoError(t, p.Add(come, 0, 0, Level))
	age(p, from)
	events := make([]Event, 4)
	next := func() []Event {
		for range 100 {
			n, err := p.Wait(events, 100*time.Millisecond)
			require.NoError(t, err)
			if n > 0 {
				return events[:n]
			}
		}
		return nil
	}
	for round := range Token(12) {
		require.NoError(t, p.Modify(busy, 100+round, Readable, mode))
		require.NoError(t, p.Remove(come))
		require.NoError(t, p.Add(come, 2, Readable, mode))
		unix.Write(tellBusy, []byte("x"))
		require.Equal(t, []Event{{Token: 100 + round, Ready: Readable}}, next())
		unix.Read(busy, make([]byte, 8))
		unix.Write(tellQuiet, []byte("x"))
		require.Equal(t, []Event{{Token: 1, Ready: Readable}}, next())
		unix.Read(quiet, make([]byte, 8))
		n, err := p.Wait(events, 0)
		require.NoError(t, err)
		require.Zero(t, n)
		if mode == OneShot {
			require.NoError(t, p.Modify(quiet, 1, Readable, mode))
		}
	}
}
