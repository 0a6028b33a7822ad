package tcp

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"

	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
)

// secure has the handshake precede the handler.
func (c *accepted) secure() {
	if err := c.stream.StartTLSServerFunc(c.srv.TLS, c.secured); err != nil {
		c.handshakeFailed(err)
	}
}

// secured is called on the loop when the handshake is over.
func (c *accepted) secured(err error) {
	if err == nil && c.srv.Callback != nil {
		c.srv.Callback(c.stream)
		return
	}
	if err == nil {
		err = c.worker.loop.Go(func(t *ioloop.Task) { c.attend(t, c.converse) })
	}
	if err != nil {
		c.handshakeFailed(err)
	}
}

// handshakeFailed counts what anybody can cause who connects, so it is not worth
// more than a debug message.
func (c *accepted) handshakeFailed(err error) {
	c.srv.countHandshakeError()
	if log := c.srv.logger(); log.Enabled(context.Background(), slog.LevelDebug) {
		log.Debug("TLS handshake failed", slog.Any("err", err),
			slog.String("client", fmt.Sprint(c.stream.RemoteAddr())))
	}
	_ = c.stream.CloseWithError(err)
}

func (srv *Server) countHandshakeError() {
	srv.mu.Lock()
	srv.stats.HandshakeErrors++
	srv.mu.Unlock()
}

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
	err := s.StartTLSClient(ctx, config)
	if err != nil {
		_ = s.CloseWithError(err)
	}
	return err
}
