package iostream

import (
	"testing"

	"github.com/eddyloop/eddy/ioloop"
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
		for worked := true; worked; {
			worked, err = l.RunOnce()
			require.NoError(t, err)
		}
		transport.queued = test.queued
		s.Abort(nil)
		require.NoError(t, l.Close())
		require.Equal(t, test.reset, transport.reset, test)
	}
}
