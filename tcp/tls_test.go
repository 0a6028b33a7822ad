//go:build unix || windows

package tcp_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log/slog"
	"math/big"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
	"github.com/eddyloop/eddy/tcp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// selfSigned returns a certificate for names and addresses, and who trusts it.
func selfSigned(names ...string) (tls.Certificate, *x509.CertPool) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: names, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		panic(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: cert}, pool
}

var testTLS = sync.OnceValue(func() struct{ server, client *tls.Config } {
	cert, pool := selfSigned("localhost")
	return struct{ server, client *tls.Config }{
		&tls.Config{Certificates: []tls.Certificate{cert}}, &tls.Config{RootCAs: pool, ServerName: "localhost"}}
})

// overTLS is dial, with TLS.
func overTLS(t *testing.T, addr net.Addr, config *tls.Config) *client {
	c := dial(t, addr)
	return &client{tls.Client(c.Conn, config), t}
}

// secure goes on with TLS.
func secure(t *testing.T, c *client) *client {
	return &client{tls.Client(c.Conn, testTLS().client), t}
}

var tlsServers = map[string]func() *tcp.Server{
	"handler":  func() *tcp.Server { return &tcp.Server{TLS: testTLS().server, Handler: lines} },
	"callback": func() *tcp.Server { return &tcp.Server{TLS: testTLS().server, Callback: lineCallback} },
	"message": func() *tcp.Server {
		return &tcp.Server{TLS: testTLS().server, Frame: line, Message: lineMessage}
	},
	"off loop": func() *tcp.Server {
		return &tcp.Server{TLS: testTLS().server, Handler: lines, Stream: iostream.Config{HandshakeOffLoop: true}}
	},
}

func eachTLSServer(t *testing.T, run func(t *testing.T, srv *tcp.Server)) {
	for name, srv := range tlsServers {
		t.Run(name, func(t *testing.T) { run(t, srv()) })
	}
}

func TestServeTLS(t *testing.T) {
	eachTLSServer(t, func(t *testing.T, srv *tcp.Server) {
		addr, _ := local(t, srv)
		for range 5 {
			c := overTLS(t, addr, testTLS().client)
			c.echo("hello\n")
			c.echo(strings.Repeat("x", 100_000) + "\n")
			c.send("last\nbye\n")
			c.expect("last\n")
			c.expectEOF()
		}
		require.Zero(t, srv.Stats().HandshakeErrors)
	})
}

// What is no handshake is counted, told at the debug level, and closed; others
// are served.
func TestHandshakeErrors(t *testing.T) {
	eachTLSServer(t, func(t *testing.T, srv *tcp.Server) {
		var log logBuffer
		srv.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		addr, _ := local(t, srv)
		silent := dial(t, addr)
		plain := dial(t, addr)
		plain.send("GET / HTTP/1.1\r\n\r\n")
		plain.expectEnd()
		half := dial(t, addr)
		half.send("\x16\x03\x01\x02\x00half a hello")
		require.NoError(t, half.Close())
		require.Error(t, overTLS(t, addr, &tls.Config{ServerName: "localhost"}).Conn.(*tls.Conn).Handshake())
		eventually(t, func() bool { return srv.Stats().HandshakeErrors == 3 && srv.Stats().Conns == 1 })
		overTLS(t, addr, testTLS().client).echo("hello\n")
		eventually(t, func() bool { return strings.Count(log.String(), "TLS handshake failed") == 3 })
		require.Contains(t, log.String(), plain.LocalAddr().String())
		require.NotContains(t, log.String(), "level=WARN")
		require.NotContains(t, log.String(), "level=ERROR")
		require.NoError(t, silent.Close())
	})
}

// Who connects and says nothing is closed by the loop's clock.
func TestHandshakeTimeout(t *testing.T) {
	eachTLSServer(t, func(t *testing.T, srv *tcp.Server) {
		clock := new(ioloop.ManualClock)
		srv.Group = newGroup(t, 1, ioloop.Config{Clock: clock})
		srv.Stream.HandshakeTimeout = time.Minute
		addr, _ := local(t, srv)
		good := overTLS(t, addr, testTLS().client)
		good.echo("hello\n")
		slow := dial(t, addr)
		slow.send("\x16\x03")
		eventually(t, func() bool { return srv.Stats().Conns == 2 })
		eventually(t, func() bool { // its two bytes may come when the clock has moved on
			clock.Advance(time.Minute)
			on(t, srv.Group.Loops()[0], func() {})
			return srv.Stats().HandshakeErrors == 1
		})
		slow.expectEnd()
		good.echo("still here\n")
	})
}

// A server that ends takes handshakes that hang with it.
func TestShutdownDuringHandshake(t *testing.T) {
	eachTLSServer(t, func(t *testing.T, srv *tcp.Server) {
		addr, result := local(t, srv)
		idle := overTLS(t, addr, testTLS().client)
		idle.echo("hello\n")
		hanging := dial(t, addr)
		hanging.send("\x16\x03\x01")
		eventually(t, func() bool { return srv.Stats().Conns == 2 })
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan tcp.DrainCounts, 1)
		go func() {
			drain, err := srv.Shutdown(ctx)
			assert.ErrorIs(t, err, context.Canceled)
			ended <- drain
		}()
		idle.expectEOF() // with close_notify
		eventually(t, func() bool { return srv.Stats().Conns == 1 })
		cancel()
		require.Equal(t, tcp.DrainCounts{Drained: 1, Forced: 1}, receive(t, ended))
		require.ErrorIs(t, receive(t, result), tcp.ErrServerClosed)
		hanging.expectEnd()
	})
}

func TestServerTLSWithoutCertificate(t *testing.T) {
	srv := &tcp.Server{Handler: lines, TLS: new(tls.Config), Logger: quiet()}
	require.ErrorIs(t, srv.Serve(context.Background()), tcp.ErrInvalid)
}

func TestDialTLS(t *testing.T) {
	addr, _ := local(t, &tcp.Server{Handler: lines, TLS: testTLS().server})
	l := newLoop(t)
	_, port, _ := net.SplitHostPort(addr.String())
	anonymous := testTLS().client.Clone()
	anonymous.ServerName = ""
	for _, address := range []string{"127.0.0.1:" + port, "localhost:" + port, ":" + port} {
		for _, config := range []*tls.Config{anonymous, testTLS().client} {
			d := &tcp.Dialer{TLS: config}
			s, err := d.Dial(t.Context(), l, "tcp", address)
			require.NoError(t, err)
			state, ok := s.ConnectionState()
			require.True(t, ok)
			require.NotEmpty(t, state.VerifiedChains)
			_, _ = io.WriteString(s, "bye\n")
			rest, err := s.Read(t.Context(), iostream.UntilClose())
			require.NoError(t, err)
			require.Empty(t, rest)
		}
	}
	require.Empty(t, anonymous.ServerName)
}

func TestDialTLSOverUnix(t *testing.T) {
	addr, _ := listenOn(t, &tcp.Server{Handler: lines, TLS: testTLS().server}, "unix", socketPath(t))
	d := &tcp.Dialer{TLS: testTLS().client}
	s, err := d.Dial(t.Context(), newLoop(t), "unix", addr.String())
	require.NoError(t, err)
	_, _ = io.WriteString(s, "hello\n")
	line, err := s.Read(t.Context(), iostream.Until("\n"))
	require.NoError(t, err)
	require.Equal(t, "hello\n", string(line))
	require.NoError(t, s.Close())
}

// Errors of the handshake look like those of connecting, and no socket is left.
func TestDialTLSFails(t *testing.T) {
	addr, _ := local(t, &tcp.Server{Handler: lines, TLS: testTLS().server})
	silent, _ := local(t, &tcp.Server{Handler: func(t *ioloop.Task, s *iostream.Stream) error { return s.WaitClosed(t) }})
	l := newLoop(t)
	t.Run("unknown authority", func(t *testing.T) {
		_, err := (&tcp.Dialer{TLS: new(tls.Config)}).Dial(t.Context(), l, "tcp", addr.String())
		requireOpError(t, err, "dial")
		var unknown *tls.CertificateVerificationError
		require.ErrorAs(t, err, &unknown)
	})
	t.Run("the server says nothing", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		_, err := (&tcp.Dialer{TLS: testTLS().client}).Dial(ctx, l, "tcp", silent.String())
		requireOpError(t, err, "dial")
		require.ErrorIs(t, err, context.DeadlineExceeded)
	})
	t.Run("in a task", func(t *testing.T) {
		done := make(chan error, 1)
		require.NoError(t, l.Go(func(task *ioloop.Task) {
			limited, cancel := task.WithTimeout(10 * time.Millisecond)
			defer cancel()
			_, err := (&tcp.Dialer{TLS: testTLS().client}).Dial(limited, l, "tcp", silent.String())
			done <- err
		}))
		err := receive(t, done)
		requireOpError(t, err, "dial")
		require.ErrorIs(t, err, context.DeadlineExceeded)
	})
	t.Run("renegotiation", func(t *testing.T) {
		_, err := (&tcp.Dialer{TLS: &tls.Config{Renegotiation: tls.RenegotiateOnceAsClient}}).Dial(t.Context(), l, "tcp", addr.String())
		requireOpError(t, err, "dial")
		require.ErrorIs(t, err, iostream.ErrInvalid)
	})
}
