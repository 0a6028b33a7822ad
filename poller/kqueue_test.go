//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package poller

import (
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestKqueueSendsDifferences(t *testing.T) {
	p, k := newScripted(t)
	require.NoError(t, p.Add(sock, 1, Readable, Level))
	require.Equal(t, []string{"+read 5"}, k.says())
	for _, c := range []struct {
		interest Interest
		mode     Mode
		want     []string
	}{
		{Readable, Level, []string{"+read 5"}}, // another file may have the number
		{Readable | Writable, Level, []string{"+read 5", "+write 5"}},
		{Writable, Level, []string{"-read 5", "+write 5"}},
		{Readable | Writable, Edge, []string{"+read 5 clear", "-write 5", "+write 5 clear"}},
		{Readable | Writable, Edge, []string{"+read 5 clear", "+write 5 clear"}}, // re-arms
		{Readable, OneShot, []string{"-read 5", "+read 5 oneshot", "-write 5"}},
		{PeerClosed, Level, []string{"-read 5", "+read 5 clear"}},
		{PeerClosed, OneShot, []string{"+read 5 clear"}},
		{PeerClosed | Writable, Level, []string{"+read 5 clear", "+write 5"}},
		{PeerClosed | Readable, Level, []string{"-read 5", "+read 5", "-write 5"}},
		{0, Level, []string{"-read 5"}},
		{0, OneShot, nil},
		{Readable, Level, []string{"+read 5"}},
	} {
		require.NoError(t, p.Modify(sock, 1, c.interest, c.mode))
		require.Equal(t, c.want, k.says(), "%03b %d", c.interest, c.mode)
	}
	require.NoError(t, p.Remove(sock))
	require.Equal(t, []string{"-read 5"}, k.says())
	require.Len(t, k.armed, 1) // the waker's
}

func TestKqueueJoinsFilters(t *testing.T) {
	p, k := newScripted(t)
	require.NoError(t, p.Add(sock, 1, Readable|Writable, Level))
	require.NoError(t, p.Add(pipe, 2, Readable, Level))
	k.push(sock, filterWrite, 0, 0)
	k.push(pipe, filterRead, 0, 0)
	k.push(sock, filterRead, 0, 0)
	require.Equal(t, []Event{{Token: 1, Ready: Readable | Writable}, {Token: 2, Ready: Readable}}, harvest(t, p))
	k.push(sock, filterRead, 0, 0)
	require.Equal(t, []Event{{Token: 1, Ready: Readable}}, harvest(t, p))
}

func TestKqueueHints(t *testing.T) {
	reset := uint32(syscall.ECONNRESET)
	for _, c := range []struct {
		name   string
		want   Interest
		events []kevent
		expect Event
	}{
		{"end with data left", Readable, []kevent{{filter: filterRead, flags: evEOF, data: 100}}, Event{1, Readable, 0}},
		{"end, watched for", Readable | PeerClosed, []kevent{{filter: filterRead, flags: evEOF}}, Event{1, Readable | PeerClosed, 0}},
		{"reset", Readable, []kevent{{filter: filterRead, flags: evEOF, fflags: reset}}, Event{1, Readable, Failed | Hangup}},
		{"reset, watched for", PeerClosed, []kevent{{filter: filterRead, flags: evEOF, fflags: reset}}, Event{1, PeerClosed, Failed | Hangup}},
		{"reset, met by one filter", Readable | Writable | PeerClosed, []kevent{{filter: filterRead, flags: evEOF, fflags: reset}}, Event{1, Readable | Writable | PeerClosed, Failed | Hangup}},
		{"refused, met by one filter", Readable | Writable, []kevent{{filter: filterWrite, flags: evEOF, fflags: reset}}, Event{1, Readable | Writable, Failed | Hangup}},
		{"input, and then a reset", Readable | Writable, []kevent{{filter: filterRead}, {filter: filterWrite, flags: evEOF, fflags: reset}}, Event{1, Readable | Writable, Failed | Hangup}},
		{"own end of writing", Writable | PeerClosed, []kevent{{filter: filterWrite, flags: evEOF}}, Event{1, Writable, 0}},
		{"refused", Writable, []kevent{{filter: filterWrite, flags: evEOF, fflags: uint32(syscall.ECONNREFUSED)}}, Event{1, Writable, Failed | Hangup}},
		{"both ends", Readable | Writable, []kevent{{filter: filterRead, flags: evEOF}, {filter: filterWrite, flags: evEOF}}, Event{1, Readable | Writable, Hangup}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, k := newScripted(t)
			require.NoError(t, p.Add(sock, 1, c.want, Level))
			for _, ev := range c.events {
				ev.ident = sock
				k.events = append(k.events, ev)
			}
			require.Equal(t, []Event{c.expect}, harvest(t, p))
		})
	}
}

func TestKqueueCloseWatch(t *testing.T) {
	for _, mode := range []Mode{Level, Edge, OneShot} {
		p, k := newScripted(t)
		require.NoError(t, p.Add(sock, 1, PeerClosed, mode))
		for range 3 {
			k.push(sock, filterRead, 0, 0)
			require.Empty(t, harvest(t, p))
		}
		k.push(sock, filterRead, evEOF, 0)
		require.Equal(t, []Event{{Token: 1, Ready: PeerClosed}}, harvest(t, p))
		if mode == OneShot {
			require.Len(t, k.armed, 1)
			continue
		}
		k.push(sock, filterRead, evEOF, 0)
		require.Empty(t, harvest(t, p))
		k.push(sock, filterRead, evEOF, uint32(syscall.ECONNRESET))
		require.Equal(t, []Event{{1, PeerClosed, Failed | Hangup}}, harvest(t, p))
		k.push(sock, filterRead, evEOF, uint32(syscall.ECONNRESET))
		require.Empty(t, harvest(t, p))
	}
}

func TestKqueueWaitsOnAfterNothingWorthTelling(t *testing.T) {
	p, k := newScripted(t)
	require.NoError(t, p.Add(sock, 1, PeerClosed, Level))
	for _, timeout := range []time.Duration{-1, time.Hour} {
		require.NoError(t, p.Modify(sock, 1, PeerClosed, Level))
		k.push(sock, filterRead, 0, 0)
		k.during = func() { k.push(sock, filterRead, evEOF, 0) }
		n, err := p.Wait(make([]Event, 4), timeout)
		require.NoError(t, err)
		require.Equal(t, 1, n)
	}
}

func TestKqueueOneShotIsPerDescriptor(t *testing.T) {
	p, k := newScripted(t)
	require.NoError(t, p.Add(sock, 1, Readable|Writable, OneShot))
	k.says()
	k.push(sock, filterWrite, 0, 0)
	require.Equal(t, []Event{{Token: 1, Ready: Writable}}, harvest(t, p))
	require.Equal(t, []string{"-read 5"}, k.says())
	require.NoError(t, p.Modify(sock, 2, Readable|Writable, OneShot))
	require.Equal(t, []string{"+read 5 oneshot", "+write 5 oneshot"}, k.says())
	k.push(sock, filterWrite, 0, 0)
	k.push(sock, filterRead, 0, 0)
	require.Equal(t, []Event{{Token: 2, Ready: Readable | Writable}}, harvest(t, p))
	require.Empty(t, k.says(), "both have fired")
	require.NoError(t, p.Modify(sock, 3, Readable|Writable, OneShot))
	k.says()
	k.push(sock, filterRead, 0, 0)
	require.Equal(t, []Event{{Token: 3, Ready: Readable}}, harvest(t, p))
	require.Equal(t, []string{"-write 5"}, k.says())
	require.NoError(t, p.Remove(sock))
	require.Empty(t, k.says())
}

// A one-shot is over for both filters also where the other cannot be disarmed: what that
// reports is told to nobody.
func TestKqueueOneShotThatStaysArmed(t *testing.T) {
	for _, first := range []filter{filterRead, filterWrite} {
		p, k := newScripted(t)
		require.NoError(t, p.Add(sock, 1, Readable|Writable, OneShot))
		k.fail = func(ev kevent) error {
			if ev.flags&evDelete != 0 {
				return syscall.ENOMEM
			}
			return nil
		}
		k.push(sock, first, 0, 0)
		require.Len(t, harvest(t, p), 1)
		k.push(sock, filterRead+filterWrite-first, 0, 0)
		require.Empty(t, harvest(t, p))
	}
}

// A wait for as many events as the last one takes no new room.
func TestKqueueKeepsItsRoom(t *testing.T) {
	p, _ := newScripted(t)
	q := p.backend.(*kqueue)
	q.begin(4)
	ready, batch := &q.ready[0], &q.batch[0]
	for _, n := range []int{4, 1, 4} {
		q.begin(n)
		require.Same(t, ready, &q.ready[0])
		require.Same(t, batch, &q.batch[0])
		require.Len(t, q.batch, n)
	}
	q.begin(5)
	require.Len(t, q.ready, 5)
	require.Len(t, q.batch, 5)
}
