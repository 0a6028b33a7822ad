package iostream_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/eddyloop/eddy/iostream"
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
		require.NoError(t, s.StartTLSClient(patient(t), clientConfig(version)))
	} else {
		require.NoError(t, s.StartTLSServer(patient(t), serverConfig(version)))
	}
	require.NoError(t, receive(t, done))
	return tlsPeer{secured, peer}
}
