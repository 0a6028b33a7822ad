package peer

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"time"
)

func newCertificate() tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	Check(err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		DNSNames:     []string{"localhost"},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	Check(err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// WriteCertificate writes one, with its key, for servers that are not in Go.
func WriteCertificate(name string) error {
	certificate := newCertificate()
	key, err := x509.MarshalPKCS8PrivateKey(certificate.PrivateKey)
	if err != nil {
		return err
	}
	out := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Certificate[0]})
	out = append(out, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})...)
	return os.WriteFile(name, out, 0o600)
}

// TLSConfig returns a configuration with a certificate made for the occasion.
// No session tickets: a record nobody asked for would be the peer's to count.
func TLSConfig() *tls.Config {
	return &tls.Config{
		Certificates:           []tls.Certificate{newCertificate()},
		SessionTicketsDisabled: true,
		MinVersion:             tls.VersionTLS13,
	}
}
