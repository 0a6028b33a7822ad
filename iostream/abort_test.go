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
