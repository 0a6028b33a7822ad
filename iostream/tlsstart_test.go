//go:build unix || windows

package iostream_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"io/fs"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/eddyloop/eddy/internal/streamhook"
	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
	"github.com/eddyloop/eddy/iostreamtest"
	"github.com/stretchr/testify/require"
)

// A conversation begins in plaintext and goes on with TLS, in every style.
func TestStartTLSOnALiveStream(t *testing.T) {
	dialogue := func(start func() error, read func() ([]byte, error), s *iostream.Stream) error {
		line, err := read()
		if err != nil || string(line) != "STARTTLS\n" {
			return errors.Join(err, errPlayed)
		}
		_, _ = s.Write([]byte("go ahead\n")) // still in plaintext
		if err := start(); err != nil {
			return err
		}
		if line, err = read(); err != nil {
			return err
		}
		_, err = s.Write(append([]byte("you said "), line...))
		return err
	}
	styles := map[string]func(s *iostream.Stream, config *tls.Config, done chan<- error){
		"task": func(s *iostream.Stream, config *tls.Config, done chan<- error) {
			_ = s.Loop().Go(func(task *ioloop.Task) {
				done <- dialogue(func() error { return s.StartTLS(task, iostream.TLSServer(config)) },
					func() ([]byte, error) { return s.Read(task, iostream.Until("\n")) }, s)
			})
		},
		"goroutine": func(s *iostream.Stream, config *tls.Config, done chan<- error) {
			ctx := context.Background()
			go func() {
				done <- dialogue(func() error { return s.StartTLS(ctx, iostream.TLSServer(config)) },
					func() ([]byte, error) { return s.Read(ctx, iostream.Until("\n")) }, s)
			}()
		},
		"handle": func(s *iostream.Stream, config *tls.Config, done chan<- error) {
			var command func(line []byte, err error) bool
			command = func(line []byte, err error) bool {
				if string(line) == "STARTTLS\n" {
					_, _ = s.Write([]byte("go ahead\n"))
					done <- s.StartTLSFunc(iostream.TLSServer(config), func(error) { _ = s.Handle(iostream.Until("\n"), command) })
					return true
				}
				_, _ = s.Write(append([]byte("you said "), line...))
				return err == nil
			}
			_ = s.Handle(iostream.Until("\n"), command)
		},
	}
	for name, serve := range styles {
		eachVersion(t, func(t *testing.T, version uint16) {
			t.Run(name, func(t *testing.T) {
				s, peer := pair(t, startLoop(t, ioloop.Config{}), "tcp", nil)
				done := make(chan error, 1)
				serve(s, serverConfig(version), done)
				send(t, peer, "STARTTLS\n")
				expect(t, peer, "go ahead\n")
				secured := tls.Client(peer, clientConfig(version))
				send(t, secured, "hello\n")
				expect(t, secured, "you said hello\n")
				require.NoError(t, receive(t, done))
				state, ok := s.ConnectionState()
				require.True(t, ok)
				require.Equal(t, version, state.Version)
			})
		})
	}
}

// What stands in the way of TLS is told before anything has changed.
func TestStartTLSRefused(t *testing.T) {
	good, goodClient := serverConfig(tls.VersionTLS13), clientConfig(tls.VersionTLS13)
	cases := []struct {
		name   string
		client bool
		config *tls.Config
		before func(t *testing.T, s *iostream.Stream, peer net.Conn)
		want   error
	}{
		{"no config", false, nil, nil, iostream.ErrInvalid},
		{"no certificate", false, &tls.Config{}, nil, fs.ErrInvalid},
		{"no server name", true, &tls.Config{}, nil, iostream.ErrInvalid},
		{"renegotiation", true, &tls.Config{ServerName: "localhost", Renegotiation: tls.RenegotiateFreelyAsClient}, nil, iostream.ErrInvalid},
		{"read pending", false, good, func(t *testing.T, s *iostream.Stream, _ net.Conn) {
			require.NoError(t, s.ReadFunc(iostream.Bytes(1), func([]byte, error) {}))
		}, iostream.ErrReadPending},
		{"injected command", false, good, bufferPlaintext("RCPT TO:<x>\r\n"), iostream.ErrEarlyPlaintext},
		{"nearly a hello", false, good, bufferPlaintext("\x16\x02"), iostream.ErrEarlyPlaintext},
		{"injected answer", true, goodClient, bufferPlaintext("\x16\x03\x03"), iostream.ErrEarlyPlaintext},
		{"write side ended", false, good, func(t *testing.T, s *iostream.Stream, _ net.Conn) {
			require.NoError(t, s.CloseWrite())
		}, net.ErrClosed},
		{"peer has finished", false, good, func(t *testing.T, s *iostream.Stream, peer net.Conn) {
			closeWrite(t, peer)
			_, err := s.Read(patient(t), iostream.Some(1))
			require.ErrorIs(t, err, io.EOF)
		}, io.EOF},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s, peer := pair(t, startLoop(t, ioloop.Config{}), "tcp", nil)
			if c.before != nil {
				c.before(t, s, peer)
			}
			buffered := s.Buffered()
			side := iostream.TLSServer(c.config)
			if c.client {
				side = iostream.TLSClient(c.config)
			}
			requireIs(t, s.StartTLS(patient(t), side), c.want)
			requireIs(t, s.StartTLSFunc(side, func(error) { t.Error("called") }), c.want)
			require.NoError(t, s.Err())
			require.Equal(t, buffered, s.Buffered())
			if !errors.Is(c.want, net.ErrClosed) {
				_, err := s.Write([]byte("plain"))
				require.NoError(t, err)
				expect(t, peer, "plain")
			}
		})
	}
	t.Run("no function", func(t *testing.T) {
		s, _ := pair(t, startLoop(t, ioloop.Config{}), "tcp", nil)
		requireIs(t, s.StartTLSFunc(iostream.TLSServer(good), nil), iostream.ErrInvalid)
	})
	t.Run("twice, and never back", func(t *testing.T) {
		s, peer := pair(t, startLoop(t, ioloop.Config{}), "tls1.3", nil)
		requireIs(t, s.StartTLS(patient(t), iostream.TLSServer(good)), iostream.ErrInvalid)
		_, _ = s.Write([]byte("still fine"))
		expect(t, peer, "still fine")
	})
	t.Run("closed", func(t *testing.T) {
		s, _ := pair(t, startLoop(t, ioloop.Config{}), "tcp", nil)
		s.Abort(errPlayed)
		requireIs(t, s.StartTLS(patient(t), iostream.TLSServer(good)), errPlayed)
	})
}

// bufferPlaintext has the stream hold bytes that nobody has read.
func bufferPlaintext(early string) func(t *testing.T, s *iostream.Stream, peer net.Conn) {
	return func(t *testing.T, s *iostream.Stream, peer net.Conn) {
		send(t, peer, "STARTTLS\n"+early)
		_, err := s.Read(patient(t), iostream.Until("\n"))
		require.NoError(t, err)
		require.Equal(t, len(early), s.Buffered())
	}
}

// A client that does not wait for the go-ahead: what the stream has already is
// its hello, whole or in part, and goes to TLS.
func TestStartTLSWithBufferedHello(t *testing.T) {
	eachVersion(t, func(t *testing.T, version uint16) {
		for _, cut := range []int{1, 2, 5, 100, 1 << 20} {
			m := iostreamtest.NewWire(iostreamtest.Options{})
			s, err := iostream.New(startLoop(t, ioloop.Config{}), m.Transport(), nil)
			require.NoError(t, err)
			peer := &simPeer{sim: m, hold: true}
			secured := tls.Client(peer, clientConfig(version))
			done := make(chan error, 1)
			go func() { done <- secured.Handshake() }()
			hello := peer.await(t)
			peer.setHold(false) // from now on it is heard at once
			cut := min(cut, len(hello))
			line := faces[2].read(t, s, until("\n", 0))
			m.Arrive([]byte("STARTTLS\n" + hello[:cut]))
			require.NoError(t, receive(t, line).err)
			require.Equal(t, cut, s.Buffered())
			outcome := make(chan error, 1)
			require.NoError(t, s.StartTLSFunc(iostream.TLSServer(serverConfig(version)), func(err error) { outcome <- err }))
			require.Zero(t, s.Buffered(), "nothing may be left to be taken for plaintext")
			m.Arrive([]byte(hello[cut:]))
			require.NoError(t, receive(t, outcome))
			require.NoError(t, receive(t, done))
			require.NoError(t, s.Close())
		}
	})
}

// An injected command that looks like the beginning of a hello fails the
// handshake; none of it is ever read as plaintext.
func TestInjectionThatLooksLikeAHello(t *testing.T) {
	m := iostreamtest.NewWire(iostreamtest.Options{})
	s, err := iostream.New(startLoop(t, ioloop.Config{}), m.Transport(), nil)
	require.NoError(t, err)
	line := faces[2].read(t, s, until("\n", 0))
	m.Arrive([]byte("STARTTLS\n\x16\x03\x01\x00\x05RCPT TO\r\n"))
	require.NoError(t, receive(t, line).err)
	require.Error(t, s.StartTLS(patient(t), iostream.TLSServer(serverConfig(0))))
	require.Zero(t, s.Buffered())
	require.NoError(t, s.WaitClosed(patient(t)))
}

// What was written before goes out in plaintext, also if the transport takes it
// only later, and who waits for it is told.
func TestStartTLSBehindABacklog(t *testing.T) {
	m := iostreamtest.NewWire(iostreamtest.Options{Window: 3})
	s, err := iostream.New(startLoop(t, ioloop.Config{}), m.Transport(), nil)
	require.NoError(t, err)
	_, _ = s.Write([]byte("go ahead\n"))
	mark := s.Mark()
	outcome := make(chan error, 1)
	sent := make(chan error, 2)
	require.NoError(t, s.StartTLSFunc(iostream.TLSServer(serverConfig(tls.VersionTLS13)), func(err error) { outcome <- err }))
	_, _ = s.Write([]byte("secret"))
	require.NoError(t, s.WaitSentFunc(mark, func(err error) { sent <- err }))
	quiet(t, s.Loop())
	require.Equal(t, "go ", m.Sent())
	require.Equal(t, len("ahead\nsecret"), s.Backlog())
	require.Empty(t, sent)
	m.AddWindow(1 << 20)
	require.NoError(t, receive(t, sent))
	require.Equal(t, "go ahead\n", m.Sent())
	require.Equal(t, len("secret"), s.Backlog())
	secured := tls.Client(&simPeer{sim: m, read: len("go ahead\n")}, clientConfig(tls.VersionTLS13))
	require.NoError(t, secured.Handshake())
	require.NoError(t, receive(t, outcome))
	expect(t, secured, "secret")
	require.NotContains(t, m.Sent(), "secret")
	require.NoError(t, s.Flush(patient(t)))
}

// A function of the tls.Config runs without the stream's lock; if it panics or
// ends its goroutine, that ends the stream alone.
func TestTLSCallbacks(t *testing.T) {
	for _, offLoop := range []bool{false, true} {
		config := &iostream.Config{HandshakeOffLoop: offLoop}
		t.Run("use the stream", func(t *testing.T) {
			s, peer := pair(t, startLoop(t, ioloop.Config{}), "tcp", config)
			server := serverConfig(0)
			var conn net.Conn
			server.GetCertificate = func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
				cert := hostCertificate()
				conn = hello.Conn
				if conn.RemoteAddr().String() != s.RemoteAddr().String() {
					return nil, errPlayed
				}
				_, err := s.Write([]byte("welcome"))
				return &cert, err
			}
			server.Certificates = nil
			outcome := make(chan error, 1)
			require.NoError(t, s.StartTLSFunc(iostream.TLSServer(server), func(err error) { outcome <- err }))
			expect(t, tls.Client(peer, clientConfig(0)), "welcome")
			require.NoError(t, receive(t, outcome))
			onLoop(t, s.Loop(), func() { // who has kept it may ask on
				require.Equal(t, peer.LocalAddr(), conn.RemoteAddr())
				require.Equal(t, peer.RemoteAddr(), conn.LocalAddr())
			})
		})
		for name, c := range map[string]struct {
			do   func(s *iostream.Stream)
			want func(t *testing.T, err error)
		}{
			"panic": {func(*iostream.Stream) { panic(errPlayed) }, func(t *testing.T, err error) {
				require.ErrorIs(t, err, errPlayed)
				var p *ioloop.PanicError
				require.ErrorAs(t, err, &p)
			}},
			"goexit": {func(*iostream.Stream) { runtime.Goexit() }, func(t *testing.T, err error) { require.ErrorIs(t, err, ioloop.ErrGoexit) }},
			"close":  {func(s *iostream.Stream) { _ = s.Close() }, func(t *testing.T, err error) { require.ErrorIs(t, err, net.ErrClosed) }},
		} {
			t.Run(name, func(t *testing.T) {
				l := startLoop(t, ioloop.Config{})
				s, peer := pair(t, l, "tcp", config)
				other, otherPeer := pair(t, l, "tls1.3", nil)
				server := serverConfig(0)
				server.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
					c.do(s)
					return nil, nil
				}
				outcome := make(chan error, 1)
				go func() { outcome <- s.StartTLS(context.Background(), iostream.TLSServer(server)) }()
				require.Error(t, tls.Client(peer, clientConfig(0)).Handshake())
				err := receive(t, outcome)
				requireIs(t, err, errors.Unwrap(err))
				c.want(t, err)
				require.Error(t, s.Err())
				_, _ = other.Write([]byte("alive"))
				expect(t, otherPeer, "alive")
			})
		}
	}
	t.Run("closed while it blocks", func(t *testing.T) {
		s, peer := pair(t, startLoop(t, ioloop.Config{}), "tcp", &iostream.Config{HandshakeOffLoop: true})
		called, release := make(chan struct{}), make(chan struct{})
		server := serverConfig(0)
		server.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
			close(called)
			<-release
			return nil, nil
		}
		outcome := make(chan error, 1)
		require.NoError(t, s.StartTLSFunc(iostream.TLSServer(server), func(err error) { outcome <- err }))
		go func() { _ = tls.Client(peer, clientConfig(0)).Handshake() }()
		receive(t, called)
		require.NoError(t, s.Close())
		requireIs(t, receive(t, outcome), net.ErrClosed)
		require.NoError(t, s.WaitClosed(patient(t)))
		close(release)
	})
}

// A handshake that this side begins is begun also where a callback starts TLS for which
// the pump has looked before: nothing would come from the peer.
func TestStartTLSInACallback(t *testing.T) {
	p := playWire(t, nil, iostreamtest.Options{})
	require.NoError(t, p.Stream.ReadFunc(iostream.Until("\n"), func([]byte, error) {
		require.NoError(t, p.Stream.StartTLSFunc(iostream.TLSClient(clientConfig(0)), func(error) {}))
	}))
	p.settle()
	p.wire.Arrive([]byte("go ahead\n"))
	p.settle()
	const handshake = 22
	require.NotEmpty(t, p.wire.Sent(), "the hello")
	require.EqualValues(t, handshake, p.wire.Sent()[0])
}

// A stream that closes when idle does so if nothing of the handshake has come, before TLS was
// started or since.
func TestCloseWhenIdleDuringAHandshake(t *testing.T) {
	for name, test := range map[string]struct{ before, since string }{
		"nothing": {},
		"before":  {before: "\x16"},
		"since":   {since: "\x16"},
	} {
		p := newPuppet(t, iostreamtest.Options{}, nil)
		p.wire.Arrive([]byte(test.before))
		require.NoError(t, p.ReadFunc(iostream.Peek(len(test.before)), func([]byte, error) {
			require.NoError(t, p.StartTLSFunc(iostream.TLSServer(serverConfig(tls.VersionTLS13)), func(error) {}))
		}))
		require.NoError(t, p.world.Settle())
		p.wire.Arrive([]byte(test.since))
		require.NoError(t, p.world.Settle())
		streamhook.CloseWhenIdle(p.Stream)
		require.NoError(t, p.world.Settle())
		require.Equal(t, name == "nothing", p.Err() != nil, name)
	}
}

// Who waits for a handshake is told why it has failed, whatever happens to the stream before
// the waiting task goes on. Here the turn is over by then: the callbacks wait for the next.
func TestWhyAHandshakeFailedIsToldOnce(t *testing.T) {
	var p *played
	p = playWire(t, nil, iostreamtest.Options{Trace: func(event string) {
		if strings.HasPrefix(event, "Write") {
			p.Clock.Advance(time.Second)
			p.World.Loop.Kit().ChargeMoved(1 << 30)
		}
	}})
	var outcome error
	require.NoError(t, p.Stream.HandleTask(iostream.Until("\n"), func(task *ioloop.Task, s *iostream.Stream, _ []byte) error {
		write(t, s, "go ahead\n")
		require.NoError(t, s.Loop().Post(func() { s.Abort(errPlayed) }))
		outcome = s.StartTLS(task, iostream.TLSServer(serverConfig(0)))
		return outcome
	}))
	for _, part := range []string{"START", "TLS\n\x16\x03\x01\x00\x05RCPT TO\r\n"} {
		p.wire.Arrive([]byte(part))
		p.settle()
	}
	require.ErrorContains(t, outcome, "TLS handshake")
	require.ErrorContains(t, p.Stream.Err(), "played")
}
