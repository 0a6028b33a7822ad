package iostream

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"github.com/eddyloop/eddy/ioloop"
)

// DefaultHandshakeTimeout is what a Config.HandshakeTimeout of 0 stands for.
const DefaultHandshakeTimeout = 10 * time.Second

// Causes that StartTLS fails with, besides those of
// crypto/tls and crypto/x509, which errors.As finds.
var (
	// ErrEarlyPlaintext: before TLS was started, bytes were received that
	// cannot be part of it. An attacker may have inserted them so that they
	// would be taken for encrypted ones. Nothing has changed: the bytes can
	// still be read.
	ErrEarlyPlaintext = errors.New("plaintext was received ahead of TLS")

	// ErrHandshakeTimeout: the handshake took longer than
	// Config.HandshakeTimeout. It is os.ErrDeadlineExceeded too.
	ErrHandshakeTimeout = fmt.Errorf("TLS handshake took too long: %w", os.ErrDeadlineExceeded)
)

// TLS is one side of a TLS handshake, for StartTLS: TLSServer or TLSClient.
type TLS struct {
	config *tls.Config
	client bool
}

// TLSServer is the side that was connected to. The config needs a certificate,
// or a function that has one.
func TLSServer(config *tls.Config) TLS { return TLS{config: config} }

// TLSClient is the side that has connected. The config needs a ServerName (or
// InsecureSkipVerify), and must not allow renegotiation.
func TLSClient(config *tls.Config) TLS { return TLS{config: config, client: true} }

// StartTLS changes the stream to TLS and waits until the handshake is over. It
// may be called on a new stream, and on a live one as protocols with STARTTLS
// do. What was written before is sent in plaintext, ahead of the handshake.
// What is written or read after the call, also during the handshake, is
// encrypted. TLS cannot be ended again.
//
// Before the handshake begins, StartTLS returns ErrReadPending if a read is
// pending (the function of a Handle may start TLS, which ends that Handle),
// ErrEarlyPlaintext if received bytes cannot be the client's first TLS message
// (a server speaks second, so a client has received none), and ErrInvalid if
// the stream has TLS already, bytes of a file or a relay are being sent, or the
// config does not do. Then nothing has changed.
//
// If the handshake fails, takes longer than Config.HandshakeTimeout, or ctx is
// done first, the stream is closed with the error: in good order if an alert has
// to reach the peer.
//
// The functions in the config are called on the loop and must not block, unless
// Config.HandshakeOffLoop is set. It must not be changed after the call.
//
// With TLS, reads return io.EOF only if the peer has announced the end
// (close_notify). If the connection ends without it, data may be missing, and
// the error is io.ErrUnexpectedEOF.
func (s *Stream) StartTLS(ctx context.Context, side TLS) error {
	if err := checkContext(ctx); err != nil {
		return opError("start tls", err)
	}
	w := waitOps.Get().(*waitOp)
	if err := w.Begin(ctx); err != nil {
		return opError("start tls", err)
	}
	s.mu.Lock()
	hs, err := s.beginTLS(side)
	if err != nil {
		s.mu.Unlock()
		w.release()
		return opError("start tls", err)
	}
	hs.wait = w
	s.mu.Unlock()
	return s.awaitTLS(hs, w)
}

// StartTLSFunc is StartTLS with a callback: fn is called once on the loop with
// the result of the handshake. StartTLSFunc returns an error, and fn is not
// called, if the handshake could not begin: ErrInvalid (also for a nil fn),
// ErrReadPending or ErrEarlyPlaintext.
func (s *Stream) StartTLSFunc(side TLS, fn func(error)) error {
	if fn == nil {
		return opError("start tls", errNoFunction)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	hs, err := s.beginTLS(side)
	if err == nil {
		hs.fn = fn
	}
	return opError("start tls", err)
}

// ConnectionState returns the result of the TLS handshake. It returns false if
// there has been no handshake or it is not over. The result stays available
// after the stream has closed.
func (s *Stream) ConnectionState() (tls.ConnectionState, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, ok := s.transport.(*tlsTransport)
	if !ok || !t.ready {
		return tls.ConnectionState{}, false
	}
	return t.conn.ConnectionState(), true
}

// awaitTLS waits for the handshake. If the context comes first the stream is
// closed, for nobody could go on with half a handshake. That is deferred
// because a task whose loop stops may be unwound from inside of Wait.
func (s *Stream) awaitTLS(hs *handshake, w *waitOp) (err error) {
	err = ioloop.ErrTaskStopped
	defer func() {
		s.mu.Lock()
		if w.Woken() {
			err = w.err
		} else {
			hs.wait = nil
			s.closeLocked(err)
			s.schedule()
			err = opError("start tls", err)
		}
		s.mu.Unlock()
		w.release()
	}()
	err = w.Wait()
	return err
}

// beginTLS puts TLS between the stream and its transport. Errors come before
// anything has changed.
func (s *Stream) beginTLS(side TLS) (*handshake, error) {
	if err := side.check(); err != nil {
		return nil, err
	}
	if err := s.mayStartTLS(side); err != nil {
		return nil, err
	}
	s.flush() // plaintext, still
	if err := s.sendEnd(); err != nil {
		return nil, err
	}
	t := &tlsTransport{lower: s.transport, peer: s.peer}
	t.conn = side.conn((*wire)(t))
	early := t.takeEarly(&s.in)
	if s.out != nil {
		t.takeBacklog(s.out)
	}
	t.hs = &handshake{received: early, remote: s.remoteAddr()}
	if s.config.HandshakeOffLoop {
		t.hs.local = t.LocalAddr()
	}
	t.hs.timer = s.loop.AfterFunc(s.config.handshakeTimeout(), func() { s.handshakeLate(t) })
	s.takeOver()
	s.use(t)
	s.set(handshaking)
	s.schedule()
	return t.hs, nil
}

func (side TLS) conn(c net.Conn) *tls.Conn {
	if side.client {
		return tls.Client(c, side.config)
	}
	return tls.Server(c, side.config)
}

// check returns what is wrong with the config.
func (side TLS) check() error {
	config, client := side.config, side.client
	switch {
	case config == nil:
		return fmt.Errorf("%w: no TLS config: pass TLSServer(config) or TLSClient(config)", ErrInvalid)
	case client && config.ServerName == "" && !config.InsecureSkipVerify:
		return fmt.Errorf("%w: TLS config has neither ServerName nor InsecureSkipVerify: set ServerName to the host that was dialled", ErrInvalid)
	case client && config.Renegotiation != tls.RenegotiateNever:
		return fmt.Errorf("%w: TLS renegotiation is not supported: leave Config.Renegotiation as it is", ErrInvalid)
	case !client && len(config.Certificates) == 0 && config.GetCertificate == nil && config.GetConfigForClient == nil:
		return fmt.Errorf("%w: TLS config has no certificate: set Certificates or GetCertificate", ErrInvalid)
	}
	return nil
}

// mayStartTLS returns why TLS cannot be started, nil if it can.
func (s *Stream) mayStartTLS(side TLS) error {
	if err := s.writeEnd(); err != nil {
		return err
	}
	if err := s.readEnd(); err != nil {
		return err
	}
	if s.any(layered) {
		return fmt.Errorf("%w: the stream has TLS, or another layer, already", ErrInvalid)
	}
	if s.readPending() {
		return ErrReadPending
	}
	if s.out.elsewhere() > 0 {
		return fmt.Errorf("%w: bytes of a file or a relay are being sent", ErrInvalid)
	}
	if early := s.in.bytes(); len(early) > 0 && (side.client || !looksLikeHello(early)) {
		return ErrEarlyPlaintext
	}
	return nil
}

// looksLikeHello reports whether b can be the beginning of a handshake record
// (RFC 8446, section 5.1). What only looks like one fails in the handshake.
func looksLikeHello(b []byte) bool {
	const handshakeRecord, majorVersion = 22, 3
	return b[0] == handshakeRecord && (len(b) == 1 || b[1] == majorVersion)
}

// unexpected is the error for an end of the connection that was not announced.
func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
