package tcp

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"

	"github.com/eddyloop/eddy/internal/streamhook"
	"github.com/eddyloop/eddy/iostream"
)

func checkServerTLS(config *tls.Config) error {
	if config != nil && len(config.Certificates) == 0 && config.GetCertificate == nil && config.GetConfigForClient == nil {
		return fmt.Errorf("%w: TLS has no certificate", ErrInvalid)
	}
	return nil
}

// tlsFor returns the config for an address, whose host the certificate has to
// be for unless the Dialer's TLS names another.
func (d *Dialer) tlsFor(network, address string) *tls.Config {
	if d.TLS == nil || d.TLS.ServerName != "" || network == "unix" {
		return d.TLS
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil || host == "" {
		host = "localhost" // what an empty host is dialed as
	}
	config := d.TLS.Clone()
	config.ServerName = host
	return config
}

// secure shakes hands over a stream that was dialed.
func (d *Dialer) secure(ctx context.Context, s *iostream.Stream, network, address string) error {
	config := d.tlsFor(network, address)
	if config == nil {
		return nil
	}
	err := s.StartTLS(ctx, iostream.TLSClient(config))
	if err != nil {
		streamhook.Close(s, err) // an alert shall arrive
	}
	return err
}
