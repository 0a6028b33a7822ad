//go:build unix || windows

package iostream_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
	"github.com/eddyloop/eddy/iostreamtest"
	"github.com/stretchr/testify/require"
)

// While the handshake waits, nothing of the stream blocks or spins.
func TestUseDuringHandshake(t *testing.T) {
	m := iostreamtest.NewWire(iostreamtest.Options{})
	l := startLoop(t, ioloop.Config{})
	s, err := iostream.New(l, m.Transport(), nil)
	require.NoError(t, err)
	outcome := make(chan error, 1)
	require.NoError(t, s.StartTLSFunc(iostream.TLSServer(serverConfig(tls.VersionTLS13)), func(err error) { outcome <- err }))
	n, err := s.Write([]byte("early"))
	require.NoError(t, err)
	require.Equal(t, 5, n)
	pending := faces[2].read(t, s, exactly(5))
	require.ErrorIs(t, s.StartTLS(patient(t), iostream.TLSServer(serverConfig(0))), iostream.ErrInvalid)
	_, ok := s.ConnectionState()
	require.False(t, ok)
	require.NotEmpty(t, s.String())
	require.NoError(t, s.CloseWrite())
	quiet(t, l)
	require.NoError(t, s.Err())
	require.Empty(t, m.Sent())
	reads, writes := m.State().Reads, m.State().Writes
	quiet(t, l)
	require.Equal(t, reads, m.State().Reads, "a silent client costs nothing")
	require.Equal(t, writes, m.State().Writes)

	secured := tls.Client(&simPeer{sim: m}, clientConfig(tls.VersionTLS13))
	send(t, secured, "hello")
	require.NoError(t, receive(t, outcome))
	require.Equal(t, "hello", receive(t, pending).data)
	expect(t, secured, "early")
	_, err = secured.Read(make([]byte, 1))
	require.Equal(t, io.EOF, err, "close_notify comes behind what was written")
	require.Equal(t, 1, m.State().FINs)
}

// The end of a direction in which nothing was written waits for the handshake
// as well.
func TestCloseWriteDuringHandshake(t *testing.T) {
	m := iostreamtest.NewWire(iostreamtest.Options{})
	s, err := iostream.New(startLoop(t, ioloop.Config{}), m.Transport(), nil)
	require.NoError(t, err)
	outcome := make(chan error, 1)
	require.NoError(t, s.StartTLSFunc(iostream.TLSServer(serverConfig(0)), func(err error) { outcome <- err }))
	require.NoError(t, s.CloseWrite())
	quiet(t, s.Loop())
	require.Zero(t, m.State().FINs)
	secured := tls.Client(&simPeer{sim: m}, clientConfig(0))
	_, err = secured.Read(make([]byte, 1))
	require.Equal(t, io.EOF, err)
	require.NoError(t, receive(t, outcome))
	require.NoError(t, s.Close())
}

// However a handshake is given up, its coroutine goes and the waiter is told.
// startLoop checks for leaks.
func TestHandshakeGivenUp(t *testing.T) {
	ends := map[string]struct {
		end  func(t *testing.T, s *iostream.Stream, clock *ioloop.ManualClock, m *iostreamtest.Wire)
		want error
	}{
		"close": {func(t *testing.T, s *iostream.Stream, _ *ioloop.ManualClock, _ *iostreamtest.Wire) { _ = s.Close() }, net.ErrClosed},
		"close after flush": {func(t *testing.T, s *iostream.Stream, clock *ioloop.ManualClock, _ *iostreamtest.Wire) {
			_ = s.Close()
			clock.Advance(1)
		}, net.ErrClosed},
		"too slow": {func(t *testing.T, s *iostream.Stream, clock *ioloop.ManualClock, _ *iostreamtest.Wire) {
			clock.Advance(time.Minute - 1)
			quiet(t, s.Loop())
			require.NoError(t, s.Err())
			clock.Advance(1)
		}, os.ErrDeadlineExceeded},
		"end": {func(t *testing.T, s *iostream.Stream, _ *ioloop.ManualClock, m *iostreamtest.Wire) { m.FIN() }, io.ErrUnexpectedEOF},
		"failed": {func(t *testing.T, s *iostream.Stream, _ *ioloop.ManualClock, m *iostreamtest.Wire) {
			m.FailReads(errPlayed)
		}, errPlayed},
	}
	for name, c := range ends {
		for _, hello := range []string{"", "\x16", "\x16\x03\x01\x00\x40half of it"} {
			for _, offLoop := range []bool{false, true} {
				t.Run(name, func(t *testing.T) {
					clock := new(ioloop.ManualClock)
					m := iostreamtest.NewWire(iostreamtest.Options{})
					s, err := iostream.New(startPlayedLoop(t, clock), m.Transport(), &iostream.Config{HandshakeTimeout: time.Minute, HandshakeOffLoop: offLoop})
					require.NoError(t, err)
					outcome, closed := make(chan error, 1), make(chan error, 1)
					_ = s.WaitClosedFunc(func(err error) { closed <- err })
					require.NoError(t, s.StartTLSFunc(iostream.TLSServer(serverConfig(0)), func(err error) { outcome <- err }))
					m.Arrive([]byte(hello))
					quiet(t, s.Loop())
					c.end(t, s, clock, m)
					requireIs(t, receive(t, outcome), c.want)
					require.ErrorIs(t, receive(t, closed), c.want)
					require.Equal(t, 1, m.State().Closes)
				})
			}
		}
	}
}

// startPlayedLoop is startLoop with a clock; the test may close the loop.
func startPlayedLoop(t testing.TB, clock ioloop.Clock) *ioloop.Loop {
	t.Helper()
	l := newLoop(t, ioloop.Config{Clock: clock})
	ended := make(chan error, 1)
	go func() { ended <- l.Run(context.Background()) }()
	t.Cleanup(func() {
		_ = l.Close()
		require.NoError(t, <-ended)
	})
	onLoop(t, l, func() {})
	return l
}

// A loop that closes takes handshakes with it: those that wait for the peer, and
// those that it has not come to.
func TestLoopClosesDuringHandshake(t *testing.T) {
	for _, offLoop := range []bool{false, true} {
		for _, hello := range []string{"", "\x16\x03\x01\x00\x40half of it"} {
			l := startPlayedLoop(t, nil)
			s, peer := pair(t, l, "tcp", &iostream.Config{HandshakeOffLoop: offLoop})
			outcome := make(chan error, 1)
			require.NoError(t, s.StartTLSFunc(iostream.TLSServer(serverConfig(0)), func(err error) { outcome <- err }))
			send(t, peer, hello)
			quiet(t, l)
			require.NoError(t, l.Close())
			requireIs(t, receive(t, outcome), ioloop.ErrClosed)
		}
	}
	t.Run("before it has run", func(t *testing.T) {
		l := newLoop(t, ioloop.Config{})
		s, _ := pair(t, l, "tcp", nil)
		outcome := make(chan error, 1)
		require.NoError(t, s.StartTLSFunc(iostream.TLSClient(clientConfig(0)), func(err error) { outcome <- err }))
		require.NoError(t, l.Close())
		requireIs(t, receive(t, outcome), ioloop.ErrClosed)
	})
}

// A program may have locked the thread that it runs a loop on. The runtime ends
// it if a coroutine is resumed with the thread locked otherwise than when it was
// made.
func TestHandshakeOnALockedThread(t *testing.T) {
	for _, offLoop := range []bool{false, true} {
		l := newLoop(t, ioloop.Config{})
		ended := make(chan error, 1)
		go func() {
			runtime.LockOSThread()
			ended <- l.Run(context.Background())
		}()
		onLoop(t, l, func() {})
		config := &iostream.Config{HandshakeOffLoop: offLoop}
		good, peer := pair(t, l, "tcp", config)
		secure(t, good, peer, false, tls.VersionTLS13)
		outcome := make(chan error, 1)
		suspend := func() *iostream.Stream {
			s, peer := pair(t, l, "tcp", config)
			require.NoError(t, s.StartTLSFunc(iostream.TLSServer(serverConfig(0)), func(err error) { outcome <- err }))
			send(t, peer, "\x16\x03\x01\x00\x40half of it")
			quiet(t, l)
			return s
		}
		require.NoError(t, suspend().Close())
		requireIs(t, receive(t, outcome), net.ErrClosed)
		suspend()
		l.Stop()
		require.NoError(t, receive(t, ended))
		require.NoError(t, l.Close()) // by a goroutine whose thread is not locked
		requireIs(t, receive(t, outcome), ioloop.ErrClosed)
	}
}

// When the wait ends before the handshake does, the stream is closed.
func TestHandshakeCancelled(t *testing.T) {
	for name, start := range map[string]func(t *testing.T, s *iostream.Stream) <-chan error{
		"goroutine": func(t *testing.T, s *iostream.Stream) <-chan error {
			parent, cancel := context.WithCancel(context.Background())
			ctx := awaitedContext{parent, new(sync.Once), make(chan struct{})}
			done := make(chan error, 1)
			go func() { done <- s.StartTLS(ctx, iostream.TLSServer(serverConfig(0))) }()
			receive(t, ctx.awaited)
			quiet(t, s.Loop())
			cancel()
			return done
		},
		"task": func(t *testing.T, s *iostream.Stream) <-chan error {
			done := make(chan error, 1)
			require.NoError(t, s.Loop().Go(func(task *ioloop.Task) {
				limited, cancel := task.WithTimeout(time.Millisecond)
				defer cancel()
				done <- s.StartTLS(limited, iostream.TLSServer(serverConfig(0)))
			}))
			return done
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, _ := pair(t, startLoop(t, ioloop.Config{}), "tcp", nil)
			err := receive(t, start(t, s))
			var e *iostream.Error
			require.ErrorAs(t, err, &e)
			require.True(t, errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded), err)
			require.NoError(t, s.WaitClosed(patient(t)))
			require.ErrorIs(t, s.Err(), e.Err)
		})
	}
	t.Run("unwound", func(t *testing.T) {
		l := newLoop(t, ioloop.Config{})
		fd, _ := rawPair(t, "tcp")
		s, err := iostream.NewSocket(l, fd, nil)
		require.NoError(t, err)
		require.NoError(t, l.Go(func(task *ioloop.Task) {
			_ = s.StartTLS(task, iostream.TLSServer(serverConfig(0)))
			_ = s.StartTLS(task, iostream.TLSServer(serverConfig(0)))
			_ = s.WaitClosed(task)
			l.Stop()
		}))
		require.NoError(t, l.Close())
		require.Error(t, s.Err())
	})
}

// Certificates, names and protocols are crypto/tls's business; the stream is in
// nobody's way.
func TestTLSNegotiation(t *testing.T) {
	other := testAuthority().issue("other.example")
	server := func(version uint16) *tls.Config {
		c := serverConfig(version)
		c.Certificates = append(c.Certificates, other)
		c.NextProtos = []string{"h9", "echo"}
		c.ClientAuth, c.ClientCAs = tls.VerifyClientCertIfGiven, testAuthority().pool
		return c
	}
	eachVersion(t, func(t *testing.T, version uint16) {
		for _, offLoop := range []bool{false, true} {
			l := startLoop(t, ioloop.Config{})
			client := clientConfig(version)
			client.ServerName, client.NextProtos = "other.example", []string{"echo"}
			client.Certificates = []tls.Certificate{testAuthority().issue("client")}
			a, b := streamPair(t, l, &iostream.Config{HandshakeOffLoop: offLoop})
			done := make(chan error, 1)
			go func() { done <- a.StartTLS(context.Background(), iostream.TLSServer(server(version))) }()
			require.NoError(t, b.StartTLS(patient(t), iostream.TLSClient(client)))
			require.NoError(t, receive(t, done))
			state, _ := a.ConnectionState()
			require.Equal(t, "other.example", state.ServerName)
			require.Equal(t, "echo", state.NegotiatedProtocol)
			require.Equal(t, "client", state.PeerCertificates[0].Subject.CommonName)
			require.NoError(t, b.Close())
			state, ok := b.ConnectionState()
			require.True(t, ok, "also of a closed stream")
			require.Equal(t, version, state.Version)
			require.Equal(t, "other.example", state.PeerCertificates[0].DNSNames[0])
		}
	})
}

// streamPair returns two streams that are connected by TCP.
func streamPair(t testing.TB, l *ioloop.Loop, config *iostream.Config) (a, b *iostream.Stream) {
	t.Helper()
	a, peer := pair(t, l, "tcp", config)
	b, err := iostream.Adopt(l, peer, config)
	require.NoError(t, err)
	t.Cleanup(func() { _ = b.Close() })
	return a, b
}

func TestTLSResumption(t *testing.T) {
	eachVersion(t, func(t *testing.T, version uint16) {
		l := startLoop(t, ioloop.Config{})
		server, client := serverConfig(version), clientConfig(version)
		client.ClientSessionCache = tls.NewLRUClientSessionCache(4)
		for i := range 3 {
			a, b := streamPair(t, l, nil)
			done := make(chan error, 1)
			require.NoError(t, a.StartTLSFunc(iostream.TLSServer(server), func(err error) { done <- err }))
			require.NoError(t, b.StartTLS(patient(t), iostream.TLSClient(client)))
			require.NoError(t, receive(t, done))
			_, _ = a.Write([]byte("x")) // behind the tickets
			_, err := b.Read(patient(t), iostream.Bytes(1))
			require.NoError(t, err)
			for _, s := range []*iostream.Stream{a, b} {
				state, _ := s.ConnectionState()
				require.Equal(t, i > 0, state.DidResume)
			}
		}
	})
}

// What fails a handshake is told to both sides, by name.
func TestHandshakeFails(t *testing.T) {
	cases := map[string]struct {
		client, server func(*tls.Config)
		clientWant     func(t *testing.T, err error)
	}{
		"unknown authority": {func(c *tls.Config) { c.RootCAs = x509.NewCertPool() }, nil, func(t *testing.T, err error) {
			var unknown x509.UnknownAuthorityError
			require.ErrorAs(t, err, &unknown)
		}},
		"other name": {func(c *tls.Config) { c.ServerName = "elsewhere" }, nil, func(t *testing.T, err error) {
			var name x509.HostnameError
			require.ErrorAs(t, err, &name)
		}},
		"no protocol in common": {func(c *tls.Config) { c.NextProtos = []string{"a"} }, func(c *tls.Config) { c.NextProtos = []string{"b"} },
			func(t *testing.T, err error) { require.ErrorContains(t, err, "remote error") }},
		"no version in common": {func(c *tls.Config) { c.MinVersion = tls.VersionTLS13; c.MaxVersion = 0 },
			func(c *tls.Config) { c.MinVersion = 0; c.MaxVersion = tls.VersionTLS12 },
			func(t *testing.T, err error) { require.ErrorContains(t, err, "remote error") }},
	}
	for name, c := range cases {
		eachVersion(t, func(t *testing.T, version uint16) {
			t.Run(name, func(t *testing.T) {
				client, server := clientConfig(version), serverConfig(version)
				c.client(client)
				if c.server != nil {
					c.server(server)
				}
				a, b := streamPair(t, startLoop(t, ioloop.Config{}), nil)
				done := make(chan error, 1)
				go func() { done <- a.StartTLS(context.Background(), iostream.TLSServer(server)) }()
				err := b.StartTLS(patient(t), iostream.TLSClient(client))
				requireIs(t, err, errors.Unwrap(err))
				c.clientWant(t, err)
				require.NoError(t, b.WaitClosed(patient(t)))
				err = receive(t, done)
				if strings.HasPrefix(name, "unknown") || strings.HasPrefix(name, "other") {
					require.ErrorContains(t, err, "remote error: tls: bad certificate")
				}
				require.Error(t, err)
				require.NoError(t, a.WaitClosed(patient(t)))
			})
		})
	}
}

// With TLS 1.3 the client is done before the server has looked at its
// certificate: it learns from its first read.
func TestClientCertificateMissing(t *testing.T) {
	eachVersion(t, func(t *testing.T, version uint16) {
		server := serverConfig(version)
		server.ClientAuth = tls.RequireAnyClientCert
		a, b := streamPair(t, startLoop(t, ioloop.Config{}), nil)
		done := make(chan error, 1)
		go func() { done <- a.StartTLS(context.Background(), iostream.TLSServer(server)) }()
		err := b.StartTLS(patient(t), iostream.TLSClient(clientConfig(version)))
		if version == tls.VersionTLS13 {
			require.NoError(t, err)
			_, err = b.Read(patient(t), iostream.Some(1))
		}
		require.ErrorContains(t, err, "remote error: tls:")
		require.Error(t, receive(t, done))
		require.NoError(t, b.WaitClosed(patient(t)))
	})
}

// A peer that does not speak TLS is refused; the error gives nobody a way
// around the stream.
func TestPlaintextPeer(t *testing.T) {
	for _, client := range []bool{false, true} {
		for _, garbage := range []string{"GET / HTTP/1.1\r\n\r\n", "\x16\x03\x01\xff\xffxxxxx", "\x16\x03\x01\x00\x04\x63\x00\x00\x00", "\x00\x00\x00\x00\x00"} {
			s, peer := pair(t, startLoop(t, ioloop.Config{}), "tcp", nil)
			send(t, peer, garbage)
			side := iostream.TLSServer(serverConfig(0))
			if client {
				side = iostream.TLSClient(clientConfig(0))
			}
			err := s.StartTLS(patient(t), side)
			requireIs(t, err, errors.Unwrap(err))
			var header tls.RecordHeaderError
			if errors.As(err, &header) {
				require.Nil(t, header.Conn)
			}
			require.NoError(t, peer.Close())
			require.NoError(t, s.WaitClosed(patient(t)))
		}
	}
}

// The peer ends at any byte of its first flight.
func TestEndWithinHandshake(t *testing.T) {
	eachVersion(t, func(t *testing.T, version uint16) {
		for _, client := range []bool{false, true} {
			for _, cut := range []int{0, 3, 5, 50, 1 << 20} {
				m := iostreamtest.NewWire(iostreamtest.Options{})
				s, err := iostream.New(startLoop(t, ioloop.Config{}), m.Transport(), nil)
				require.NoError(t, err)
				peer := &simPeer{sim: m, hold: true}
				secured := tls.Client(peer, clientConfig(version))
				side := iostream.TLSServer(serverConfig(version))
				if client {
					secured = tls.Server(peer, serverConfig(version))
					side = iostream.TLSClient(clientConfig(version))
				}
				outcome := make(chan error, 1)
				require.NoError(t, s.StartTLSFunc(side, func(err error) { outcome <- err }))
				done := make(chan struct{})
				go func() { _ = secured.Handshake(); close(done) }()
				flight := peer.await(t)
				cut := min(cut, len(flight))
				if client && version == tls.VersionTLS13 {
					cut = min(cut, 50) // with all of it the client would be done
				}
				m.Arrive([]byte(flight[:cut]))
				m.FIN()
				requireIs(t, receive(t, outcome), io.ErrUnexpectedEOF)
				require.NoError(t, s.WaitClosed(patient(t)))
				receive(t, done)
			}
		}
	})
}

// TLS that nobody reads yet keeps no buffer of the handshake's.
func TestHandshakeLeavesNoBuffer(t *testing.T) {
	for network := range tlsVersions {
		s, _ := pair(t, startLoop(t, ioloop.Config{}), network, nil)
		require.False(t, iostream.TLSHasBuffers(s), network)
	}
}
