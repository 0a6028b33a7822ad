//go:build unix || windows

package iostream_test

import (
	"io"
	"net"
	"strings"
	"testing"

	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
	"github.com/stretchr/testify/require"
)

// TestCloseEndsWaitingWrites: a Write that waits in another goroutine fails at once, as
// package net's does, and the peer gets what it counts, and then the end in good order.
func TestCloseEndsWaitingWrites(t *testing.T) {
	text := strings.Repeat("0123456789abcdef", 1<<20)
	writers := map[string]func(s *iostream.Stream) (int64, error){
		"NetConn": func(s *iostream.Stream) (int64, error) {
			n, err := io.WriteString(s.NetConn(), text)
			requireOp(t, err, "write", net.ErrClosed)
			return int64(n), err
		},
		"NetConn/ReadFrom": func(s *iostream.Stream) (int64, error) {
			return s.NetConn().ReadFrom(strings.NewReader(text))
		},
		"IO": func(s *iostream.Stream) (int64, error) {
			n, err := io.WriteString(s.IO(patient(t)), text)
			return int64(n), err
		},
		"ReadFrom": func(s *iostream.Stream) (int64, error) { return s.ReadFrom(strings.NewReader(text)) },
	}
	for name, write := range writers {
		t.Run(name, func(t *testing.T) {
			eachNetwork(t, func(t *testing.T, network string) {
				s, peer := pair(t, startLoop(t, ioloop.Config{}), network, nil)
				type outcome struct {
					n   int64
					err error
				}
				done := make(chan outcome, 1)
				go func() {
					n, err := write(s)
					done <- outcome{n, err}
				}()
				eventually(t, func() bool { return s.Backlog() > 64<<10 })
				mark := s.Mark()
				require.NoError(t, s.Close())
				got := receive(t, done) // the peer has read nothing
				require.ErrorIs(t, got.err, net.ErrClosed)
				require.Less(t, got.n, int64(len(text)))
				arrived, err := io.ReadAll(peer)
				require.NoError(t, err)
				require.True(t, strings.HasPrefix(text, string(arrived)))
				require.Equal(t, got.n, int64(len(arrived)))
				require.LessOrEqual(t, int64(len(arrived)), mark)
				require.NoError(t, peer.Close())
				require.NoError(t, s.WaitClosed(patient(t)))
				require.ErrorIs(t, s.Err(), net.ErrClosed)
			})
		})
	}
}

// A Close that comes between a Write and its waiting ends that too.
func TestCloseAheadOfTheWait(t *testing.T) {
	l := startLoop(t, ioloop.Config{})
	s, err := iostream.New(l, fullWire().Transport(), nil)
	require.NoError(t, err)
	quiet(t, l)
	mark, err := iostream.WriteNow(s, make([]byte, 100))
	require.NoError(t, err)
	require.NoError(t, s.Close())
	require.ErrorIs(t, iostream.WaitWritten(patient(t), s, mark), net.ErrClosed)
	s.Abort(nil)
}

// Room and RoomFunc have nothing to wait for behind a Close; Flush has.
func TestCloseEndsWaitingForRoom(t *testing.T) {
	w := fullWire()
	l := startLoop(t, ioloop.Config{})
	s, err := iostream.New(l, w.Transport(), &iostream.Config{HighWaterMark: 10})
	require.NoError(t, err)
	_, err = s.Write(make([]byte, 100))
	require.NoError(t, err)
	flushed, room, told := make(chan error, 1), make(chan error, 1), make(chan error, 3)
	go func() { flushed <- s.Flush(patient(t)) }()
	go func() { room <- s.Room(patient(t)) }()
	require.NoError(t, s.RoomFunc(func(err error) { told <- err }))
	require.NoError(t, s.WaitSentFunc(50, func(err error) { told <- err }))
	require.NoError(t, s.RoomFunc(func(err error) { told <- err }))
	quiet(t, l)
	require.NoError(t, s.Close())
	require.ErrorIs(t, receive(t, room), net.ErrClosed)
	require.ErrorIs(t, receive(t, told), net.ErrClosed)
	require.ErrorIs(t, receive(t, told), net.ErrClosed)
	require.Empty(t, told)
	require.Empty(t, flushed)
	w.AddWindow(100)
	require.NoError(t, receive(t, flushed))
	require.NoError(t, receive(t, told))
}
