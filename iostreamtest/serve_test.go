package iostreamtest_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/eddyloop/eddy/internal/leaktest"
	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
	"github.com/eddyloop/eddy/iostreamtest"
	"github.com/eddyloop/eddy/tcp"
	"github.com/stretchr/testify/require"
)

func newWorld(t *testing.T) *iostreamtest.World {
	t.Helper()
	leaktest.Check(t)
	world := iostreamtest.NewWorld()
	t.Cleanup(func() { require.NoError(t, world.Close()) })
	return world
}

// TestServe: what ends a Handler and a message, and what a server makes of it, is the
// same for a wire as for a socket.
func TestServe(t *testing.T) {
	failure := errors.New("no more")
	for name, test := range map[string]struct {
		outcome func(s *iostream.Stream) error
		sent    string
		reason  error
	}{
		"returns": {func(s *iostream.Stream) error { _, _ = s.WriteString("bye"); return nil }, "bye", net.ErrClosed},
		"error":   {func(s *iostream.Stream) error { _, _ = s.WriteString("bye"); return failure }, "bye", failure},
		"panic":   {func(s *iostream.Stream) error { _, _ = s.WriteString("bye"); panic("oops") }, "", tcp.ErrHandler},
	} {
		t.Run(name, func(t *testing.T) {
			world, wire := newWorld(t), iostreamtest.NewWire(iostreamtest.Options{})
			var failed, ended []error
			srv := &tcp.Server{
				Handler: func(t *ioloop.Task, s *iostream.Stream) error {
					_, err := s.Read(t, iostream.Until("\n"))
					return errors.Join(err, test.outcome(s))
				},
				Hooks:  tcp.Hooks{Failed: func(_ *iostream.Stream, err error) { failed = append(failed, err) }},
				Stream: iostream.Config{OnClosed: func(_ *iostream.Stream, err error) { ended = append(ended, err) }},
			}
			stream, err := world.Serve(srv, wire)
			require.NoError(t, err)
			require.NoError(t, world.Settle())
			require.Equal(t, 1, srv.Stats().Handlers)
			require.Equal(t, 1, srv.Stats().Conns)
			wire.Arrive([]byte("go\n"))
			require.NoError(t, world.Settle())
			wire.FIN()
			require.NoError(t, world.Settle())
			require.Equal(t, test.sent, wire.Sent())
			require.ErrorIs(t, stream.Err(), test.reason)
			require.Len(t, ended, 1)
			require.Equal(t, test.reason != net.ErrClosed, len(failed) == 1)
			require.Zero(t, srv.Stats().Conns)
			require.Equal(t, uint64(1), srv.Stats().Accepted)
		})
	}
}

func echo(t *ioloop.Task, s *iostream.Stream, msg []byte) error {
	_, err := s.Write(msg)
	return err
}

// TestServeRefuses: what makes no sense and what is full is told at once.
func TestServeRefuses(t *testing.T) {
	world := newWorld(t)
	wire := func() *iostreamtest.Wire { return iostreamtest.NewWire(iostreamtest.Options{}) }
	_, err := world.Serve(new(tcp.Server), wire())
	require.ErrorIs(t, err, tcp.ErrInvalid)
	_, err = world.Serve(&tcp.Server{Frame: line, Message: echo, Group: new(ioloop.Group)}, wire())
	require.ErrorIs(t, err, tcp.ErrInvalid)
	listens := &tcp.Server{Frame: line, Message: echo}
	_, err = listens.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	_, err = world.Serve(listens, wire())
	require.ErrorIs(t, err, tcp.ErrInvalid)
	require.NoError(t, listens.Close())

	var refused []error
	srv := &tcp.Server{Frame: line, Message: echo, MaxConns: 2}
	srv.Hooks.Refused = func(_ net.Addr, reason error) { refused = append(refused, reason) }
	_, err = world.Serve(srv, iostreamtest.NewWire(iostreamtest.Options{Handshake: true}))
	require.ErrorIs(t, err, iostreamtest.ErrInvalid)
	for range 2 {
		_, err = world.Serve(srv, wire())
		require.NoError(t, err)
	}
	_, err = world.Serve(srv, wire())
	require.ErrorIs(t, err, tcp.ErrMaxConns)
	require.Equal(t, []error{tcp.ErrMaxConns}, refused)
	_, err = iostreamtest.NewWorld().Serve(srv, wire())
	require.ErrorIs(t, err, tcp.ErrInvalid)
	require.ErrorIs(t, srv.ListenAndServe(context.Background(), "tcp", "127.0.0.1:0"), tcp.ErrInvalid)

	require.NoError(t, srv.Close())
	require.NoError(t, world.Settle())
	require.Zero(t, srv.Stats().Conns)
	_, err = world.Serve(srv, wire())
	require.ErrorIs(t, err, tcp.ErrServerClosed)
}

// TestServeShutdown: a message under way is answered, and who is idle is let go.
func TestServeShutdown(t *testing.T) {
	world := newWorld(t)
	srv := &tcp.Server{Frame: line, Message: func(t *ioloop.Task, s *iostream.Stream, msg []byte) error {
		if err := t.Sleep(time.Second); err != nil {
			return err
		}
		return echo(t, s, msg)
	}}
	idle, busy := iostreamtest.NewWire(iostreamtest.Options{}), iostreamtest.NewWire(iostreamtest.Options{})
	for _, wire := range []*iostreamtest.Wire{idle, busy} {
		_, err := world.Serve(srv, wire)
		require.NoError(t, err)
	}
	busy.Arrive([]byte("hello\n"))
	require.NoError(t, world.Settle())
	var counts tcp.DrainCounts
	require.NoError(t, world.RunWhile(func() (err error) {
		go func() {
			for idle.State().FINs == 0 {
				time.Sleep(time.Millisecond)
			}
			world.Clock.Advance(time.Second)
			for busy.State().FINs == 0 {
				time.Sleep(time.Millisecond)
			}
			idle.FIN()
			busy.FIN()
		}()
		counts, err = srv.Shutdown(context.Background())
		return err
	}))
	require.Equal(t, tcp.DrainCounts{Drained: 2}, counts)
	require.Equal(t, "hello\n", busy.Sent())
}

// TestServeProxyProtocol: what precedes a protocol does so on a wire too.
func TestServeProxyProtocol(t *testing.T) {
	world := newWorld(t)
	wire := iostreamtest.NewWire(iostreamtest.Options{ReadSize: 1, RemoteAddr: &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 9}})
	var peer string
	srv := &tcp.Server{
		Frame: line, Message: echo,
		ProxyProtocol: &tcp.ProxyProtocol{Trusted: func(a net.Addr) bool { peer = a.String(); return true }},
	}
	stream, err := world.Serve(srv, wire)
	require.NoError(t, err)
	wire.Arrive([]byte("PROXY TCP4 1.2.3.4 5.6.7.8 90 80\r\nhello\n"))
	require.NoError(t, world.Settle())
	require.Equal(t, "hello\n", wire.Sent())
	require.Equal(t, "10.0.0.1:9", peer)
	require.Equal(t, "1.2.3.4:90", stream.RemoteAddr().String())

	wire = iostreamtest.NewWire(iostreamtest.Options{})
	_, err = world.Serve(srv, wire)
	require.NoError(t, err)
	require.NoError(t, world.Advance(tcp.DefaultProxyTimeout))
	require.Equal(t, 1, wire.State().FINs, "no header came")
}

// TestServeOnClosedLoop: a server does not count what it cannot serve.
func TestServeOnClosedLoop(t *testing.T) {
	world := iostreamtest.NewWorld()
	require.NoError(t, world.Close())
	srv := &tcp.Server{Frame: line, Message: echo}
	_, err := world.Serve(srv, iostreamtest.NewWire(iostreamtest.Options{}))
	require.ErrorIs(t, err, ioloop.ErrClosed)
	require.Zero(t, srv.Stats().Conns)
}

// TestRunWhileError: the function's error comes first.
func TestRunWhileError(t *testing.T) {
	world := newWorld(t)
	failure := errors.New("no more")
	require.Equal(t, failure, world.RunWhile(func() error { return failure }))
	require.NoError(t, world.RunWhile(func() error { return nil }))
}

// TestWorldCloseTellsStreams: what waits on a wire learns that its world is gone.
func TestWorldCloseTellsStreams(t *testing.T) {
	world := iostreamtest.NewWorld()
	s, err := iostream.New(world.Loop, iostreamtest.NewWire(iostreamtest.Options{}).Transport(), nil)
	require.NoError(t, err)
	var told error
	require.NoError(t, s.ReadFunc(line, func(_ []byte, err error) { told = err }))
	require.NoError(t, world.Settle())
	seen := 0
	for range iostream.Streams(world.Loop) {
		seen++
	}
	require.Equal(t, 1, seen)
	require.NoError(t, world.Close())
	require.ErrorIs(t, told, ioloop.ErrClosed)
	require.ErrorIs(t, s.Err(), ioloop.ErrClosed)
}

// TestOptionsThatMakeNoSense are told by the stream.
func TestOptionsThatMakeNoSense(t *testing.T) {
	for name, o := range map[string]iostreamtest.Options{
		"Handshake":  {Handshake: true},
		"ReadSize":   {ReadSize: -1},
		"WriteSize":  {WriteSize: -1},
		"RecordSize": {RecordSize: -1},
	} {
		t.Run(name, func(t *testing.T) {
			world := newWorld(t)
			s, err := iostream.New(world.Loop, iostreamtest.NewWire(o).Transport(), nil)
			require.NoError(t, err)
			require.NoError(t, world.Settle())
			require.ErrorIs(t, s.Err(), iostreamtest.ErrInvalid)
			require.ErrorIs(t, s.Err(), iostream.ErrInvalid)
		})
	}
}

// TestSetWindow: a Window means the same in Options and later.
func TestSetWindow(t *testing.T) {
	for name, test := range map[string]struct{ window, sent int }{
		"no limit": {0, 100},
		"none":     {iostreamtest.NoWindow, 0},
		"some":     {7, 7},
	} {
		t.Run(name, func(t *testing.T) {
			for _, later := range []bool{false, true} {
				o := iostreamtest.Options{Window: test.window}
				if later {
					o.Window = 50
				}
				world, wire, s := newPlayed(t, o, nil)
				if later {
					wire.SetWindow(test.window)
				}
				_, err := s.Write(bytes.Repeat([]byte("x"), 100))
				require.NoError(t, err)
				require.NoError(t, world.Settle())
				require.Len(t, wire.Sent(), test.sent)
				wire.AddWindow(3)
				require.NoError(t, world.Settle())
				require.Len(t, wire.Sent(), min(100, test.sent+3))
				s.Abort(nil)
			}
		})
	}
}

// TestArriveCopies: what has arrived does not change with the test's slice.
func TestArriveCopies(t *testing.T) {
	world, wire, s := newPlayed(t, iostreamtest.Options{}, nil)
	data := []byte("abc\n")
	wire.Arrive(data)
	clear(data)
	require.NoError(t, world.RunWhile(func() error {
		got := make([]byte, 4)
		if _, err := io.ReadFull(s.NetConn(), got); err != nil {
			return err
		}
		require.Equal(t, "abc\n", string(got))
		return nil
	}))
}

// A hook that has begun to read leaves no room for TLS: that has failed, and what the hook
// has written still goes out, in the time that closing may take.
func TestServeTLSBehindAReadingHook(t *testing.T) {
	world, wire := newWorld(t), iostreamtest.NewWire(iostreamtest.Options{Window: iostreamtest.NoWindow})
	srv := &tcp.Server{Frame: line, Message: echo, TLS: &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		return nil, errors.New("not to be asked for")
	}}}
	srv.Stream.HandshakeTimeout, srv.Stream.CloseTimeout = time.Second, time.Minute
	var read error
	srv.Hooks.Accepted = func(s *iostream.Stream) {
		_, _ = s.WriteString("wait")
		_ = s.ReadFunc(iostream.Bytes(1), func(_ []byte, err error) { read = err })
	}
	stream, err := world.Serve(srv, wire)
	require.NoError(t, err)
	require.NoError(t, world.Settle())
	stats := srv.Stats()
	require.Equal(t, uint64(1), stats.HandshakeErrors)
	require.Zero(t, stats.Handshakes)
	require.ErrorIs(t, read, iostream.ErrReadPending)
	require.NoError(t, world.Advance(2*time.Second))
	wire.AddWindow(100)
	wire.FIN()
	require.NoError(t, world.Settle())
	require.Equal(t, "wait", wire.Sent())
	require.ErrorIs(t, stream.Err(), iostream.ErrReadPending)
}

// Who says nothing to a server with TLS has as long as a handshake may take.
func TestServeTLSToASilentClient(t *testing.T) {
	world, wire := newWorld(t), iostreamtest.NewWire(iostreamtest.Options{})
	srv := &tcp.Server{Frame: line, Message: echo, TLS: &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		return nil, errors.New("not to be asked for")
	}}}
	stream, err := world.Serve(srv, wire)
	require.NoError(t, err)
	require.NoError(t, world.Advance(iostream.DefaultHandshakeTimeout-1))
	require.NoError(t, stream.Err())
	require.NoError(t, world.Advance(1))
	require.ErrorIs(t, stream.Err(), iostream.ErrHandshakeTimeout)
	require.Zero(t, srv.Stats().Conns)
}
