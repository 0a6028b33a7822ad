package iostream

import (
	"os"
	"syscall"
	"testing"

	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/poller"
	"github.com/stretchr/testify/require"
)

// unreadSource is a connection in the kernel of which unread bytes may be.
type unreadSource struct {
	source
	unread, reset bool
}

func (u *unreadSource) hasUnread() bool { return u.unread }
func (u *unreadSource) ResetOnClose()   { u.reset = true }

// Abort of a connection with unread bytes is a reset, on systems too where close is none.
func TestAbortWithUnreadBytesResets(t *testing.T) {
	for _, unread := range []bool{true, false} {
		l, err := ioloop.New(ioloop.Config{})
		require.NoError(t, err)
		transport := &unreadSource{unread: unread}
		s, err := New(l, transport, nil)
		require.NoError(t, err)
		s.Abort(nil)
		require.NoError(t, l.Close())
		require.Equal(t, unread, transport.reset)
	}
}

// rest runs a loop until it has nothing to do.
func rest(t *testing.T, l *ioloop.Loop) {
	t.Helper()
	for worked := true; worked; {
		var err error
		worked, err = l.RunOnce()
		require.NoError(t, err)
	}
}

// queuedSource is a connection in the kernel of which bytes for the peer may be.
type queuedSource struct {
	source
	queued int
	reset  bool
}

func (q *queuedSource) Queued() int   { return q.queued }
func (q *queuedSource) ResetOnClose() { q.reset = true }

// Abort is a reset where the peer has not got everything, to the byte. The end of this side,
// which the kernel counts as one, is nothing that the peer could lose.
func TestAbortResetsWhereThePeerLacksSomething(t *testing.T) {
	for _, test := range []struct {
		ended  bool
		queued int
		reset  bool
	}{{false, 0, false}, {false, 1, true}, {true, 0, false}, {true, 1, false}, {true, 2, true}} {
		l, err := ioloop.New(ioloop.Config{})
		require.NoError(t, err)
		transport := new(queuedSource)
		s, err := New(l, transport, nil)
		require.NoError(t, err)
		if test.ended {
			require.NoError(t, s.CloseWrite())
		}
		rest(t, l)
		transport.queued = test.queued
		s.Abort(nil)
		require.NoError(t, l.Close())
		require.Equal(t, test.reset, transport.reset, test)
	}
}

// So it is with TLS, but where an alert has told the peer that it lacks something.
func TestAbortOfTLSResets(t *testing.T) {
	for _, failed := range []bool{false, true} {
		for _, lower := range []Transport{&queuedSource{queued: 1}, &unreadSource{unread: true}, &unreadSource{}} {
			l, err := ioloop.New(ioloop.Config{})
			require.NoError(t, err)
			s, err := New(l, &tlsTransport{lower: lower, ready: true, failed: failed}, nil)
			require.NoError(t, err)
			rest(t, l)
			s.Abort(nil)
			require.NoError(t, l.Close())
			switch lower := lower.(type) {
			case *queuedSource:
				require.Equal(t, !failed, lower.reset)
			case *unreadSource:
				require.Equal(t, !failed && lower.unread, lower.reset)
			}
		}
	}
}

// brokenPipe is a pipe whose reader has gone.
type brokenPipe struct{ source }

func (brokenPipe) Probe() error { return syscall.EPIPE }

// A stream that only writes ends when its reader goes, on systems too where that is no failure
// of the descriptor.
func TestWriterEndsWithItsReader(t *testing.T) {
	l, err := ioloop.New(ioloop.Config{})
	require.NoError(t, err)
	defer l.Close()
	s := new(Stream)
	s.oneWay(os.O_WRONLY)
	require.NoError(t, s.open(l, brokenPipe{}, nil))
	rest(t, l)
	(*work)(s).HandleEvent(poller.PeerClosed, 0)
	require.ErrorIs(t, s.Err(), syscall.EPIPE)
}

// What a stream had for its output serves other streams once it is closed.
func TestOutputOfAClosedStreamServesOthers(t *testing.T) {
	l, err := ioloop.New(ioloop.Config{})
	require.NoError(t, err)
	defer l.Close()
	const streams = 200
	made, before := 0, outputs.New
	outputs.New = func() any { made++; return before() }
	defer func() { outputs.New = before }()
	for range streams {
		s, err := New(l, source{}, nil)
		require.NoError(t, err)
		_, err = s.Write([]byte("not yet attached"))
		require.NoError(t, err)
		s.Abort(nil)
		rest(t, l)
		require.Nil(t, s.out, "it is another's from now on")
	}
	require.Less(t, made, streams/2, "a pool drops some, under the race detector at least")
}
