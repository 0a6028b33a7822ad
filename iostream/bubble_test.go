//go:build unix

package iostream_test

import (
	"context"
	"io"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// converse uses a stream as a goroutine and as a net.Conn, deadlines included.
func converse(t *testing.T, s *iostream.Stream, peer net.Conn) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() { _, _ = peer.Write([]byte("one\n")) }()
	msg, err := s.Read(ctx, iostream.Until("\n"))
	require.NoError(t, err)
	require.Equal(t, "one\n", string(msg))
	c := s.NetConn()
	require.NoError(t, c.SetReadDeadline(time.Now().Add(5*time.Millisecond)))
	_, err = c.Read(make([]byte, 1))
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	require.NoError(t, c.SetReadDeadline(time.Time{}))
	go func() { _, _ = peer.Write([]byte("x")) }()
	n, err := c.Read(make([]byte, 1))
	require.NoError(t, err)
	require.Equal(t, 1, n)
	_, err = c.Write([]byte("y"))
	require.NoError(t, err)
}

// A stream's loop is outside of the bubble in which a goroutine waits on it.
func TestStreamInBubbleLoopOutside(t *testing.T) {
	l := startLoop(t, ioloop.Config{})
	for range 2 {
		s, peer := pair(t, l, "tcp", nil)
		synctest.Test(t, func(t *testing.T) { converse(t, s, peer) })
	}
}

// The streams of loops outside are summed up in a bubble.
func TestTotalInBubbleLoopOutside(t *testing.T) {
	l := startLoop(t, ioloop.Config{})
	pair(t, l, "tcp", nil)
	synctest.Test(t, func(t *testing.T) {
		sum, err := iostream.Total(context.Background(), l)
		require.NoError(t, err)
		require.Equal(t, 1, sum.Streams)
	})
}

// Tests that keep everything in a bubble each do not meet.
func TestEverythingInBubble(t *testing.T) {
	for range 2 {
		synctest.Test(t, func(t *testing.T) {
			l := startLoop(t, ioloop.Config{})
			s, peer := pair(t, l, "tcp", nil)
			converse(t, s, peer)
		})
	}
}

// What is done before a Write is seen behind the peer's Read, for the race detector too.
func TestWriteHappensBeforeRead(t *testing.T) {
	l := startLoop(t, ioloop.Config{})
	fd, peerFD := socketPair(t)
	s, err := iostream.NewSocket(l, fd, nil)
	require.NoError(t, err)
	other := startLoop(t, ioloop.Config{})
	peer, err := iostream.NewSocket(other, peerFD, nil)
	require.NoError(t, err)
	said := 0
	done := make(chan struct{})
	go func() {
		said = 1
		_, _ = s.Write([]byte("x"))
		close(done)
	}()
	_, err = peer.ReadAtLeast(context.Background(), make([]byte, 1), 1)
	require.NoError(t, err)
	require.Equal(t, 1, said)
	<-done
}

// A wait that would block the loop is refused in each of its forms.
func TestWaitOnLoopIsRefused(t *testing.T) {
	l := startLoop(t, ioloop.Config{})
	s, _ := pair(t, l, "tcp", nil)
	c := s.NetConn()
	bg := context.Background()
	for name, wait := range map[string]func() error{
		"read":        func() error { _, err := s.Read(bg, iostream.Until("\n")); return err },
		"read full":   func() error { _, err := s.ReadAtLeast(bg, make([]byte, 1), 1); return err },
		"wait closed": func() error { return s.WaitClosed(bg) },
		"conn":        func() error { _, err := c.Read(make([]byte, 1)); return err },
	} {
		for _, in := range []string{"callback", "task"} {
			t.Run(name+"/"+in, func(t *testing.T) {
				got := make(chan error, 1)
				if in == "task" {
					require.NoError(t, l.Go(func(*ioloop.Task) { got <- wait() }))
				} else {
					require.NoError(t, l.Post(func() { got <- wait() }))
				}
				require.ErrorIs(t, receive(t, got), ioloop.ErrOnLoop)
			})
		}
	}
}

func socketPair(t *testing.T) (a, b int) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	require.NoError(t, err)
	for _, fd := range fds {
		require.NoError(t, unix.SetNonblock(fd, true))
	}
	return fds[0], fds[1]
}

// A producer to a peer that keeps up never has to wait, and leaves a timer its ticks.
func TestProducingTaskLeavesTheLoop(t *testing.T) {
	l := startLoop(t, ioloop.Config{})
	s, peer := pair(t, l, "tcp", nil)
	go func() { _, _ = io.Copy(io.Discard, peer) }()
	ticks := 0
	timer, err := l.Every(time.Millisecond, func() { ticks++ })
	require.NoError(t, err)
	defer timer.Stop()
	done := make(chan error, 1)
	require.NoError(t, l.Go(func(task *ioloop.Task) {
		for ticks < 10 {
			_, err := s.Write([]byte("small"))
			if err == nil {
				err = s.Room(task)
			}
			if err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}))
	require.NoError(t, receive(t, done))
}
