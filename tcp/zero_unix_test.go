//go:build unix

package tcp

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"testing"

	"github.com/eddyloop/eddy/internal/socket"
	"github.com/eddyloop/eddy/ioloop"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// putSocketAtZero makes a socket descriptor 0, as in a program without standard input,
// until the test is over.
func putSocketAtZero(t *testing.T) {
	t.Helper()
	input, err := unix.Dup(0)
	require.NoError(t, err)
	unix.CloseOnExec(input)
	fd, err := socket.New(&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	require.NoError(t, err)
	require.NoError(t, unix.Dup2(fd, 0))
	require.NoError(t, socket.Close(fd))
	t.Cleanup(func() {
		require.NoError(t, unix.Dup2(input, 0))
		require.NoError(t, unix.Close(input))
	})
}

// A socket with the number 0 is one like any other.
func TestDescriptorZero(t *testing.T) {
	newDialing := func(l *ioloop.Loop) *dialing {
		w := &dialing{fd: -1, race: race{loop: l}}
		require.NoError(t, w.waiter.Begin(context.Background()))
		return w
	}
	for name, test := range map[string]struct {
		do   func(l *ioloop.Loop)
		open bool // afterwards
	}{
		"an attempt that is cancelled": {func(l *ioloop.Loop) { (&connecting{loop: l}).cancel() }, false},
		"an attempt that succeeds": {func(l *ioloop.Loop) {
			(&connecting{loop: l, ended: func(fd int, _ error) { require.Zero(t, fd) }}).finish(nil)
		}, true},
		"the outcome of dialing": {func(l *ioloop.Loop) {
			w := newDialing(l)
			w.ended(0, fakeAddr(1))
			fd, addr, err := w.wait()
			require.NoError(t, err)
			require.Zero(t, fd)
			require.Equal(t, fakeAddr(1), addr)
		}, true},
		"an outcome that comes too late": {func(l *ioloop.Loop) {
			w := newDialing(l)
			w.abandon()
			w.ended(0, fakeAddr(1))
		}, false},
		"an outcome that nobody waits for any more": {func(l *ioloop.Loop) {
			w := newDialing(l)
			w.ended(0, fakeAddr(1))
			w.abandon()
		}, false},
		"a connection that is dropped": {func(l *ioloop.Loop) {
			srv := &Server{Logger: slog.New(slog.DiscardHandler)}
			c := srv.newConnLocked(&worker{loop: l})
			c.fd = 0
			c.drop(errors.New("no loop"))
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			l, err := ioloop.New(ioloop.Config{Logger: slog.New(slog.DiscardHandler)})
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, l.Close()) })
			putSocketAtZero(t)
			test.do(l)
			_, err = unix.FcntlInt(0, unix.F_GETFD, 0)
			require.Equal(t, test.open, err == nil)
		})
	}
}
