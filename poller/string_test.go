package poller_test

import (
	"fmt"
	"testing"

	"github.com/eddyloop/eddy/poller"
	"github.com/stretchr/testify/require"
)

func TestStrings(t *testing.T) {
	for want, value := range map[string]fmt.Stringer{
		"0":                             poller.Interest(0),
		"Readable":                      poller.Readable,
		"Readable|Writable|PeerClosed":  poller.Readable | poller.Writable | poller.PeerClosed,
		"Writable|240":                  poller.Writable | 0xf0,
		"Level":                         poller.Level,
		"Edge":                          poller.Edge,
		"OneShot":                       poller.OneShot,
		"Mode(7)":                       poller.Mode(7),
		"Hangup|Failed":                 poller.Hangup | poller.Failed,
		"token 7: Readable":             poller.Event{Token: 7, Ready: poller.Readable},
		"token 8: PeerClosed, Failed":   poller.Event{Token: 8, Ready: poller.PeerClosed, Hints: poller.Failed},
		"token 18446744073709551615: 0": poller.Event{Token: 1<<64 - 1},
	} {
		require.Equal(t, want, value.String())
	}
}

// partial is a Poller that somebody writes with the methods that he needs.
type partial struct{ poller.Unimplemented }

func (partial) Remove(int) error { return nil }

func TestUnimplemented(t *testing.T) {
	var p poller.Poller = partial{}
	require.ErrorIs(t, p.Add(0, 1, poller.Readable, poller.Level), poller.ErrUnsupported)
	require.ErrorIs(t, p.Modify(0, 1, poller.Readable, poller.Level), poller.ErrNotExist)
	require.NoError(t, p.Remove(0))
	_, err := p.Wait(make([]poller.Event, 1), 0)
	require.ErrorIs(t, err, poller.ErrUnsupported)
	require.NoError(t, p.Wake())
	require.False(t, p.SupportsEdge())
	require.Equal(t, -1, p.FD())
	require.NoError(t, p.Close())
}
