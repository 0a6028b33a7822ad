package poller

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// newPollSet returns a backend over poll(2) as systems without POLLRDHUP have it.
func newPollSet(t *testing.T) *pollSet {
	t.Helper()
	p, err := newPoll(false)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, p.Close()) })
	return p.(*front).backend.(*pollSet)
}

// ask has the backend wait, again after signals, and returns how long it did. blind is when
// the blind look again.
func ask(t *testing.T, p *pollSet, timeout time.Duration, blind time.Time) time.Duration {
	t.Helper()
	p.begin(1)
	for began := time.Now(); ; {
		p.blind = blind
		interrupted, err := p.wait(timeout)
		require.NoError(t, err)
		if !interrupted {
			return time.Since(began)
		}
	}
}

// The backend waits as long as it is told, but when the blind look again it does not sleep.
func TestPollWaits(t *testing.T) {
	p := newPollSet(t)
	require.GreaterOrEqual(t, ask(t, p, 20*time.Millisecond, time.Time{}), 20*time.Millisecond)

	later, before := time.Now().Add(time.Hour), time.Now().Add(-time.Hour)
	const halfAnHour = 30 * time.Minute // whoever takes the other time waits for more than that
	require.Less(t, ask(t, p, 0, later), halfAnHour)
	require.Less(t, ask(t, p, time.Millisecond, later), halfAnHour)
	require.Less(t, ask(t, p, -1, before), halfAnHour)
	require.Less(t, ask(t, p, time.Hour, before), halfAnHour)
}

// Without POLLRDHUP the end of a socket is seen where nothing is before it. Who does not
// want what is before it does not look for a while.
func TestPollWatchesEnds(t *testing.T) {
	p := newPollSet(t)
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	require.NoError(t, err)
	defer unix.Close(pair[0])
	fresh := func(kind fileKind, interest Interest) *slot {
		p.changed = false
		s := &slot{fd: int32(pair[0]), interest: interest}
		s.setKind(kind)
		return s
	}
	_, err = unix.Write(pair[1], []byte("x"))
	require.NoError(t, err)

	s := fresh(kindSocket, Readable|PeerClosed)
	require.Zero(t, p.watchEnd(s))
	require.Zero(t, s.state&blind, "it wants what is there")
	require.False(t, p.changed)
	require.True(t, p.blind.IsZero())

	s = fresh(kindSocket, PeerClosed)
	before := time.Now()
	require.Zero(t, p.watchEnd(s))
	require.NotZero(t, s.state&blind)
	require.True(t, p.changed)
	require.False(t, p.blind.Before(before.Add(blindFor)))

	until := time.Now().Add(time.Hour)
	p.blind = until
	s = fresh(kindSocket, PeerClosed)
	require.Zero(t, p.watchEnd(s))
	require.NotZero(t, s.state&blind)
	require.Equal(t, until, p.blind, "those before it are not kept from looking")

	_, err = unix.Read(pair[0], make([]byte, 2))
	require.NoError(t, err)
	require.NoError(t, unix.Close(pair[1]))
	s = fresh(kindSocket, PeerClosed)
	require.Equal(t, PeerClosed, p.watchEnd(s))
	require.Zero(t, s.state&blind)
	s = fresh(kindPipe, PeerClosed)
	require.Zero(t, p.watchEnd(s), "only sockets are looked at")
	require.Zero(t, s.state&blind)
}
