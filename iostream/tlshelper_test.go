//go:build unix || windows

package iostream_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"log/slog"
	"math/big"
	"net"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/eddyloop/eddy/internal/leaktest"
	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
	"github.com/eddyloop/eddy/iostreamtest"
	"github.com/stretchr/testify/require"
)

// authority signs the certificates of the tests.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pool *x509.CertPool
}

var testAuthority = sync.OnceValue(func() *authority {
	a := &authority{pool: x509.NewCertPool()}
	leaf := a.issue("authority")
	a.cert, a.key = leaf.Leaf, leaf.PrivateKey.(*ecdsa.PrivateKey)
	a.pool.AddCert(a.cert)
	return a
})

// issue returns a certificate for names, signed by a, or by itself as long as a
// has no key.
func (a *authority) issue(names ...string) tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	serial, _ := rand.Int(rand.Reader, big.NewInt(1<<62))
	template := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: names[0]},
		DNSNames:              names,
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(time.Hour),
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		BasicConstraintsValid: true,
	}
	parent, signer := a.cert, a.key
	if a.key == nil {
		template.IsCA, template.KeyUsage = true, x509.KeyUsageCertSign|x509.KeyUsageDigitalSignature
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		panic(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

var hostCertificate = sync.OnceValue(func() tls.Certificate { return testAuthority().issue("localhost") })

// tlsVersions are what the tests of TLS run with.
var tlsVersions = map[string]uint16{"tls1.2": tls.VersionTLS12, "tls1.3": tls.VersionTLS13}

func eachVersion(t *testing.T, run func(t *testing.T, version uint16)) {
	for name, version := range tlsVersions {
		t.Run(name, func(t *testing.T) { run(t, version) })
	}
}

func serverConfig(version uint16) *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{hostCertificate()}, MinVersion: version, MaxVersion: version}
}

func clientConfig(version uint16) *tls.Config {
	return &tls.Config{ServerName: "localhost", RootCAs: testAuthority().pool, MinVersion: version, MaxVersion: version}
}

// tlsPeer is the test's side of a connection; it ends its direction as streams
// do, with close_notify and FIN.
type tlsPeer struct {
	*tls.Conn
	raw net.Conn
}

func (p tlsPeer) CloseWrite() error {
	if err := p.Conn.CloseWrite(); err != nil {
		return err
	}
	return p.raw.(*net.TCPConn).CloseWrite()
}

// secure has the stream and its peer shake hands.
func secure(t testing.TB, s *iostream.Stream, peer net.Conn, client bool, version uint16) tlsPeer {
	t.Helper()
	secured := tls.Client(peer, clientConfig(version))
	if client {
		secured = tls.Server(peer, serverConfig(version))
	}
	done := make(chan error, 1)
	go func() { done <- secured.Handshake() }()
	if client {
		require.NoError(t, s.StartTLS(patient(t), iostream.TLSClient(clientConfig(version))))
	} else {
		require.NoError(t, s.StartTLS(patient(t), iostream.TLSServer(serverConfig(version))))
	}
	require.NoError(t, receive(t, done))
	return tlsPeer{secured, peer}
}

// newLoop is a loop that the test runs and closes.
func newLoop(t testing.TB, config ioloop.Config) *ioloop.Loop {
	t.Helper()
	leaktest.Check(t)
	config.Logger = slog.New(slog.DiscardHandler)
	l, err := ioloop.New(config)
	require.NoError(t, err)
	return l
}

// simPeer is the other side of a sim, for crypto/tls to talk through. With hold
// set, what it writes arrives only when the test says so.
type simPeer struct {
	sim  *iostreamtest.Wire
	read int // bytes of sim.out that were read

	ended bool // Read has told so

	mu      sync.Mutex
	hold    bool
	held    string
	reading bool
}

func (p *simPeer) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.hold {
		p.held += string(b)
		return len(b), nil
	}
	p.sim.Arrive(b)
	return len(b), nil
}

func (p *simPeer) Read(b []byte) (int, error) {
	p.mu.Lock()
	p.reading = true
	p.mu.Unlock()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(50 * time.Microsecond) {
		state := p.sim.State() // before Sent, so that nothing comes behind the end
		n := copy(b, p.sim.Sent()[p.read:])
		over := state.Closes > 0 || state.FINs > 0
		p.read += n
		if n > 0 {
			return n, nil
		}
		if over {
			p.ended = true
			return 0, io.EOF
		}
	}
	return 0, os.ErrDeadlineExceeded
}

// await returns what the peer has written, once it waits for an answer.
func (p *simPeer) await(t testing.TB) string {
	for end := time.Now().Add(patience); ; runtime.Gosched() {
		p.mu.Lock()
		held, reading := p.held, p.reading
		p.mu.Unlock()
		if held != "" && reading {
			return held
		}
		require.True(t, time.Now().Before(end), "the peer has written nothing")
	}
}

// take returns what the peer has written since, and forgets it.
func (p *simPeer) take() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	held := p.held
	p.held = ""
	return held
}

func (p *simPeer) setHold(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hold = on
}

func (p *simPeer) Close() error                     { return nil }
func (p *simPeer) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (p *simPeer) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (p *simPeer) SetDeadline(time.Time) error      { return nil }
func (p *simPeer) SetReadDeadline(time.Time) error  { return nil }
func (p *simPeer) SetWriteDeadline(time.Time) error { return nil }

// awaitedContext tells when somebody waits for it.
type awaitedContext struct {
	context.Context
	once    *sync.Once
	awaited chan struct{}
}

func (c awaitedContext) Done() <-chan struct{} {
	c.once.Do(func() { close(c.awaited) })
	return c.Context.Done()
}
