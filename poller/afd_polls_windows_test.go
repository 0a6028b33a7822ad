package poller

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/eddyloop/eddy/internal/posix"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/windows"
)

// afdPair returns a backend and two connected sockets.
func afdPair(t *testing.T) (p *front, a *afd, x, y int) {
	made, err := New()
	require.NoError(t, err)
	pair, err := posix.Socketpair(posix.AF_UNIX, posix.SOCK_STREAM, 0)
	require.NoError(t, err)
	t.Cleanup(func() {
		_ = made.Close()
		_ = posix.Close(pair[0])
		_ = posix.Close(pair[1])
	})
	p = made.(*front)
	return p, p.backend.(*afd), pair[0], pair[1]
}

func (a *afd) watch(fd int) *afdWatch {
	i, _ := a.table.lookup(fd)
	return &a.watches[i]
}

// failing has the socket's poll come back with status, and nothing found.
func (a *afd) failing(t *testing.T, fd int, status windows.NTStatus) {
	r := a.watch(fd).poll
	r.cancel()
	list := make([]completion, 4)
	n, err := completions(a.port, list, 20*time.Second)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	r.status.Status, r.info.handles = status, 0
	a.found = list[:n]
}

// A poll that fails is told: the next would fail too, and nobody would hear why the
// processor is busy.
func TestAfdFailedPollIsTold(t *testing.T) {
	p, a, x, _ := afdPair(t)
	require.NoError(t, p.Add(x, 7, Readable, Level))
	events := make([]Event, 4)
	for status, told := range map[windows.NTStatus]bool{
		windows.STATUS_CANCELLED:              false, // by the system
		windows.STATUS_TIMEOUT:                false,
		windows.STATUS_INSUFFICIENT_RESOURCES: true,
		windows.STATUS_INVALID_HANDLE:         true,
	} {
		n, err := p.Wait(events, 0) // hands the poll over
		require.NoError(t, err)
		require.Zero(t, n)
		a.failing(t, x, status)
		n, woken := a.harvest(events)
		require.False(t, woken)
		require.Equal(t, told, n == 1, status)
		if told {
			require.Equal(t, Event{Token: 7, Ready: Readable, Hints: Failed | Hangup}, events[0])
		}
	}
}

// What is to be polled waits for the poll that was taken back, and not for another Wait.
func TestAfdPollsOfASocketDoNotOverlap(t *testing.T) {
	p, a, x, y := afdPair(t)
	events := make([]Event, 4)
	require.NoError(t, p.Add(x, 1, Readable, Level))
	n, err := p.Wait(events, 0)
	require.NoError(t, err)
	require.Zero(t, n)
	for token, change := range map[Token]func() error{
		2: func() error { return p.Modify(x, 2, Readable, Level) },
		3: func() error {
			require.NoError(t, p.Remove(x))
			return p.Add(x, 3, Readable, Level)
		},
	} {
		require.NotNil(t, a.watch(x).poll)
		require.NoError(t, change())
		require.Nil(t, a.watch(x).poll)
		a.begin(1)
		require.Nil(t, a.watch(x).poll, "the old one is still away")
		a.waiting = false
		_, err = posix.Write(y, []byte("x"))
		require.NoError(t, err)
		n, err = p.Wait(events, 20*time.Second)
		require.NoError(t, err)
		require.Equal(t, 1, n)
		require.Equal(t, token, events[0].Token)
		_, err = posix.Read(x, make([]byte, 1))
		require.NoError(t, err)
		for range 2 { // what has passed may be told once
			_, err = p.Wait(events, 0)
			require.NoError(t, err)
		}
	}
}

// Whatever is done to registrations, what is ready is told, and each socket has one poll.
func TestAfdRandomChanges(t *testing.T) {
	seeds := uint64(30)
	if testing.Short() {
		seeds = 5
	}
	for seed := range seeds {
		random := rand.New(rand.NewPCG(seed, 1))
		p, a, x, y := afdPair(t)
		events := make([]Event, 1)
		interests := []Interest{0, Readable, Writable, PeerClosed, Readable | Writable | PeerClosed}
		added := false
		for range 200 {
			interest, mode := interests[random.IntN(len(interests))], []Mode{Level, OneShot}[random.IntN(2)]
			switch random.IntN(4) {
			case 0:
				if added {
					require.NoError(t, p.Remove(x))
				} else {
					require.NoError(t, p.Add(x, 1, interest, mode))
				}
				added = !added
			case 1:
				if added {
					require.NoError(t, p.Modify(x, 1, interest, mode))
				}
			default:
				_, err := p.Wait(events, time.Duration(random.IntN(2))*time.Millisecond)
				require.NoError(t, err)
			}
			require.LessOrEqual(t, a.pending, len(a.polls)-len(a.spare))
			require.LessOrEqual(t, a.pending, 1)
		}
		if added {
			require.NoError(t, p.Remove(x))
		}
		require.NoError(t, p.Add(x, 9, Readable, OneShot))
		_, err := posix.Write(y, []byte("x"))
		require.NoError(t, err)
		n, err := p.Wait(events, 20*time.Second)
		require.NoError(t, err)
		require.Equal(t, 1, n)
		require.Equal(t, Event{Token: 9, Ready: Readable}, events[0])
		n, err = p.Wait(events, time.Millisecond)
		require.NoError(t, err)
		require.Zero(t, n)
		require.Zero(t, a.pending)
		require.Empty(t, a.returning)
	}
}

// Duplicates of a socket, and the Pollers that watch it, have a poll each. The driver is
// said to confuse polls of one socket: if it does, this test is where it shows.
func TestAfdDuplicatesHaveAPollEach(t *testing.T) {
	p, a, x, y := afdPair(t)
	q, b, _, _ := afdPair(t)
	d, err := posix.Dup(x)
	require.NoError(t, err)
	defer posix.Close(d)
	require.NoError(t, p.Add(x, 1, Readable, Level))
	require.NoError(t, p.Add(d, 2, Readable|PeerClosed, Level))
	require.NoError(t, q.Add(x, 3, Readable, Level))
	hear := func(p *front, want ...Token) {
		told := map[Token]bool{}
		events := make([]Event, 4)
		for end := time.Now().Add(20 * time.Second); len(told) < len(want) && time.Now().Before(end); {
			n, err := p.Wait(events, time.Second)
			require.NoError(t, err)
			for _, ev := range events[:n] {
				require.Equal(t, Readable, ev.Ready)
				told[ev.Token] = true
			}
		}
		for _, token := range want {
			require.True(t, told[token], token)
		}
	}
	for range 50 {
		_, err = posix.Write(y, []byte("x"))
		require.NoError(t, err)
		hear(p, 1, 2)
		hear(q, 3)
		_, err = posix.Read(x, make([]byte, 1))
		require.NoError(t, err)
		require.Eventually(t, func() bool { // what has passed may be told once
			for _, p := range []*front{p, q} {
				_, err = p.Wait(make([]Event, 4), 0)
				require.NoError(t, err)
			}
			return a.pending == 2 && b.pending == 1
		}, 20*time.Second, time.Millisecond)
	}
	require.NoError(t, posix.Shutdown(y, posix.SHUT_WR))
	require.NoError(t, p.Modify(x, 4, Writable, OneShot))
	events := make([]Event, 4)
	told := map[Token]Interest{}
	for end := time.Now().Add(20 * time.Second); len(told) < 2 && time.Now().Before(end); {
		n, err := p.Wait(events, time.Second)
		require.NoError(t, err)
		for _, ev := range events[:n] {
			told[ev.Token] |= ev.Ready
		}
	}
	require.Equal(t, Writable, told[4])
	require.Equal(t, Readable|PeerClosed, told[2])
}
