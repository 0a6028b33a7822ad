//go:build unix || windows

package iostream_test

import (
	"net"
	"runtime"
	"syscall"
	"testing"

	"github.com/eddyloop/eddy/internal/socket"
	"github.com/eddyloop/eddy/internal/streamhook"
	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
	"github.com/eddyloop/eddy/iostreamtest"
	"github.com/stretchr/testify/require"
)

func TestAddresses(t *testing.T) {
	s, peer := pair(t, startLoop(t, ioloop.Config{}), "tcp", nil)
	require.Equal(t, peer.LocalAddr().String(), s.RemoteAddr().String())
	require.Equal(t, peer.RemoteAddr().String(), s.LocalAddr().String())
	require.Contains(t, s.String(), "open")
	s.Abort(nil)
	require.NoError(t, s.WaitClosed(patient(t)))
	require.NotNil(t, s.RemoteAddr(), "it was asked for before")
	require.Nil(t, s.LocalAddr())
	require.Contains(t, s.String(), "closed")
}

// The address of a peer is known though it is gone and nobody has asked before.
func TestAddressOfAPeerThatIsGone(t *testing.T) {
	eachNetwork(t, func(t *testing.T, network string) {
		s, peer := pair(t, startLoop(t, ioloop.Config{}), network, nil)
		want := peer.LocalAddr()
		if network == "unix" {
			require.NoError(t, peer.Close())
		} else {
			reset(t, peer)
		}
		_, err := s.Read(patient(t), iostream.Some(0))
		require.Error(t, err)
		require.NoError(t, s.Close())
		require.NoError(t, s.WaitClosed(patient(t)))
		require.Equal(t, want.String(), s.RemoteAddr().String())
		require.Equal(t, want, s.NetConn().RemoteAddr())
		_, err = s.NetConn().Read(make([]byte, 1))
		require.Contains(t, err.Error(), want.String())

		streamhook.SetRemoteAddr(s, &net.UnixAddr{Name: "other", Net: "unix"})
		require.Equal(t, "other", s.RemoteAddr().String())
		streamhook.SetRemoteAddr(s, nil)
		require.Equal(t, want, s.RemoteAddr())
	})
}

// Nobody knows the address of a peer that was gone before there was a stream.
func TestUnknownAddress(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the system remembers it")
	}
	fd, peer := rawPair(t, "tcp")
	reset(t, peer)
	eventually(t, func() bool {
		addr := socket.PeerAddress(fd)
		return addr.Addr() == nil
	})
	s, err := iostream.NewSocket(startLoop(t, ioloop.Config{}), fd, nil)
	require.NoError(t, err)
	require.Equal(t, "unknown", s.RemoteAddr().String())
	require.Equal(t, "unknown", s.RemoteAddr().Network())
	require.NoError(t, s.Close())
}

// A stream says what has become of it, and what is waited for.
func TestStringTellsTheState(t *testing.T) {
	p := newPuppet(t, iostreamtest.Options{Window: iostreamtest.NoWindow}, nil)
	write(t, p.Stream, "abc")
	require.NoError(t, p.ReadFunc(iostream.Until("\n"), p.tell))
	p.wire.Arrive([]byte("four"))
	require.NoError(t, p.world.Settle())
	require.Equal(t, "stream open, read until pending, 4 bytes to read, 3 to send", p.String())
	release := p.Hold()
	p.wire.FIN()
	p.expect(", EOF")
	require.Equal(t, "stream read side closed (EOF), 4 bytes to read, 3 to send", p.String())
	release()
	p.Abort(errPlayed)
	require.Contains(t, p.String(), "stream closed ("+errPlayed.Error()+")")
}

// Addresses that are too long to be kept in short have their place, too. The loop forgets a
// socket that is closed, by whatever call.
func TestAddressOfAUnixSocketWithAName(t *testing.T) {
	for name, open := range map[string]func(l *ioloop.Loop, fd int) (any, error){
		"prepared": func(l *ioloop.Loop, fd int) (any, error) {
			return streamhook.NewPrepared(l, fd, socket.PeerAddress(fd), new(iostream.Config))
		},
		"any": func(l *ioloop.Loop, fd int) (any, error) { return iostream.NewSocket(l, fd, nil) },
	} {
		t.Run(name, func(t *testing.T) {
			accepted, dialled := rawPair(t, "unix")
			defer socket.Close(accepted)
			raw, err := dialled.(syscall.Conn).SyscallConn()
			require.NoError(t, err)
			fd := -1
			require.NoError(t, raw.Control(func(n uintptr) { fd, err = socket.Duplicate(int(n)) }))
			require.NoError(t, err)
			l := startLoop(t, ioloop.Config{})
			opened, err := open(l, fd)
			require.NoError(t, err)
			s := opened.(*iostream.Stream)
			require.Equal(t, dialled.RemoteAddr().String(), s.RemoteAddr().String())
			quiet(t, l)
			require.Equal(t, 1, l.Stats().Handlers)
			s.Abort(nil)
			require.NoError(t, s.WaitClosed(patient(t)))
			require.Zero(t, l.Stats().Handlers)
		})
	}
}
