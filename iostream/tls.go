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

// DefaultHandshakeTimeout is what a zero Config.HandshakeTimeout stands for.
const DefaultHandshakeTimeout = 10 * time.Second

// Causes that StartTLSServer and its like fail with, besides those of
// crypto/tls and crypto/x509, which errors.As finds.
var (
	// ErrEarlyPlaintext: bytes have been received before TLS was started that
	// cannot belong to it. Who injects a command behind the request for TLS
	// hopes to have it taken for an encrypted one. Nothing has changed: the
	// bytes can still be read.
	ErrEarlyPlaintext = errors.New("plaintext was received ahead of TLS")

	// ErrHandshakeTimeout: the handshake took longer than
	// Config.HandshakeTimeout. It is os.ErrDeadlineExceeded too.
	ErrHandshakeTimeout = fmt.Errorf("TLS handshake took too long: %w", os.ErrDeadlineExceeded)
)

// StartTLSServer changes the stream to TLS, as the server, and waits until the
// handshake is over. It is used on a new stream, and on a live one by protocols
// that upgrade. What was written before goes out in plaintext, ahead of the
// handshake; what is written and read from now on, also while the handshake
// goes on, is encrypted. There is no way back.
//
// The client's first message may have been received already; bytes that are no
// such message are refused with ErrEarlyPlaintext. With a read pending the
// error is ErrReadPending, but a Handle function that runs may start TLS, which
// ends the repeating read. ErrInvalid is the error if the stream has TLS already, and for a
// config without certificates. After these errors nothing has changed. If the
// handshake fails, takes longer than Config.HandshakeTimeout, or ctx is done
// first, the stream is closed with the error: in good order like a Close, if the
// peer has to get an alert that says why.
//
// The functions in config are called on the loop and must not block, unless
// Config.HandshakeOffLoop is set. config must not be changed any more.
//
// A stream with TLS reports io.EOF only for an end that the peer has announced
// (close_notify). If the connection ends without, something may be missing: the
// error is io.ErrUnexpectedEOF.
func (s *Stream) StartTLSServer(ctx context.Context, config *tls.Config) error {
	return s.waitTLS(ctx, tlsServer, config)
}

// StartTLSClient is StartTLSServer as the client. Since a server does not speak
// first, any unread byte is ErrEarlyPlaintext. ErrInvalid is returned for a
// config with neither ServerName nor InsecureSkipVerify, and for one that
// allows renegotiation.
func (s *Stream) StartTLSClient(ctx context.Context, config *tls.Config) error {
	return s.waitTLS(ctx, tlsClient, config)
}

// StartTLSServerFunc is StartTLSServer with a function that is called on the
// loop with the outcome. It returns an error, and fn is not called, where
// nothing has changed.
func (s *Stream) StartTLSServerFunc(config *tls.Config, fn func(error)) error {
	return s.callTLS(tlsServer, config, fn)
}

// StartTLSClientFunc is StartTLSClient with a function, as StartTLSServerFunc.
func (s *Stream) StartTLSClientFunc(config *tls.Config, fn func(error)) error {
	return s.callTLS(tlsClient, config, fn)
}

// ConnectionState tells what the handshake has come to; false if there has been
// none, or it is not over. It is still there when the stream has closed.
func (s *Stream) ConnectionState() (tls.ConnectionState, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, ok := s.transport.(*tlsTransport)
	if !ok || !t.ready {
		return tls.ConnectionState{}, false
	}
	return t.conn.ConnectionState(), true
}

// tlsRole is the side of the handshake that a stream takes.
type tlsRole bool

const (
	tlsServer tlsRole = false
	tlsClient tlsRole = true
)

func (role tlsRole) conn(c net.Conn, config *tls.Config) *tls.Conn {
	if role == tlsClient {
		return tls.Client(c, config)
	}
	return tls.Server(c, config)
}

func (s *Stream) waitTLS(ctx context.Context, role tlsRole, config *tls.Config) error {
	if err := checkContext(ctx); err != nil {
		return opError("start tls", err)
	}
	w := waitOps.Get().(*waitOp)
	if err := w.Begin(ctx); err != nil {
		return opError("start tls", err)
	}
	s.mu.Lock()
	hs, err := s.beginTLS(role, config)
	if err != nil {
		s.mu.Unlock()
		w.release()
		return opError("start tls", err)
	}
	hs.wait = w
	s.mu.Unlock()
	return s.awaitTLS(hs, w)
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

func (s *Stream) callTLS(role tlsRole, config *tls.Config, fn func(error)) error {
	if fn == nil {
		return opError("start tls", ErrInvalid)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	hs, err := s.beginTLS(role, config)
	if err == nil {
		hs.fn = fn
	}
	return opError("start tls", err)
}

// beginTLS puts TLS between the stream and its transport. Errors come before
// anything has changed.
func (s *Stream) beginTLS(role tlsRole, config *tls.Config) (*handshake, error) {
	if err := role.check(config); err != nil {
		return nil, err
	}
	if err := s.mayStartTLS(role); err != nil {
		return nil, err
	}
	s.flush() // plaintext, still
	if err := s.sendEnd(); err != nil {
		return nil, err
	}
	t := &tlsTransport{lower: s.transport, peer: s.peer}
	t.conn = role.conn((*wire)(t), config)
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

func (role tlsRole) check(config *tls.Config) error {
	client := role == tlsClient
	switch {
	case config == nil:
		return fmt.Errorf("%w: no TLS config", ErrInvalid)
	case client && config.ServerName == "" && !config.InsecureSkipVerify:
		return fmt.Errorf("%w: TLS config has neither ServerName nor InsecureSkipVerify", ErrInvalid)
	case client && config.Renegotiation != tls.RenegotiateNever:
		return fmt.Errorf("%w: TLS renegotiation is not supported", ErrInvalid)
	case !client && len(config.Certificates) == 0 && config.GetCertificate == nil && config.GetConfigForClient == nil:
		return fmt.Errorf("%w: TLS config has no certificate", ErrInvalid)
	}
	return nil
}

// mayStartTLS returns why TLS cannot be started, nil if it can.
func (s *Stream) mayStartTLS(role tlsRole) error {
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
	if early := s.in.bytes(); len(early) > 0 && (role == tlsClient || !looksLikeHello(early)) {
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
