//go:build unix || windows

package iostream_test

import (
	"crypto/tls"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
	"github.com/eddyloop/eddy/iostreamtest"
	"github.com/stretchr/testify/require"
)

// shaking is a stream, the server of TLS 1.3, whose client waits to be heard.
type shaking struct {
	*played
	peer    *simPeer
	client  *tls.Conn
	outcome ends
	done    chan error // the client's
	events  int        // how often the stream was told that something is ready
}

// playHandshake returns one with the client's hello, which has not arrived. start begins TLS.
func playHandshake(t *testing.T, config *iostream.Config, o iostreamtest.Options) (h *shaking, hello []byte) {
	h = &shaking{done: make(chan error, 1)}
	o.Trace = func(event string) {
		if strings.HasPrefix(event, "ready") {
			h.events++
		}
	}
	h.played = playWire(t, config, o)
	h.peer = &simPeer{sim: h.wire, hold: true}
	h.client = tls.Client(h.peer, clientConfig(tls.VersionTLS13))
	go func() { h.done <- h.client.Handshake() }()
	h.peer.await(t)
	return h, []byte(h.peer.take())
}

func (h *shaking) start() {
	config := serverConfig(tls.VersionTLS13)
	config.SessionTicketsDisabled = true
	require.NoError(h.t, h.StartTLSFunc(iostream.TLSServer(config), h.outcome.take))
}

// answer has the hello arrive, and returns what the client answers to the answer.
func (h *shaking) answer(hello []byte) []byte {
	h.wire.Arrive(hello)
	h.settle()
	require.NoError(h.t, receive(h.t, h.done))
	return []byte(h.peer.take())
}

// garbage is the beginning of a message that no handshake has.
const garbage = "\x16\x03\x01\x00\x05RCPT TO\r\n"

// The message that ends a handshake is read by one call, and what was written meanwhile leaves
// at once.
func TestHandshakeEndsWithOneRead(t *testing.T) {
	h, hello := playHandshake(t, nil, iostreamtest.Options{})
	h.start()
	require.NoError(t, h.Stream.Handle(iostream.Until("\n"), func([]byte, error) bool { return true }))
	write(t, h.Stream, "welcome\n")
	finish := h.answer(hello)
	before := h.wire.State()
	h.wire.Arrive(finish)
	_, err := h.RunOnce()
	require.NoError(t, err)
	require.Equal(t, ends{nil, 1}, h.outcome)
	after := h.wire.State()
	require.Equal(t, before.Reads+1, after.Reads)
	require.Greater(t, after.Sent, before.Sent)
	require.Zero(t, h.Backlog())
}

// A handshake begins with the hello that is there, without an event that tells of it.
func TestHandshakeBeginsWithWhatIsThere(t *testing.T) {
	h, hello := playHandshake(t, nil, iostreamtest.Options{})
	h.wire.Arrive(hello)
	h.settle()
	h.start()
	_, err := h.RunOnce()
	require.NoError(t, err)
	require.NotEmpty(t, h.wire.Sent())
	require.Zero(t, h.events)
}

// Bytes of a handshake are no silence.
func TestIdleHearsTheHandshake(t *testing.T) {
	const limit = 8 * time.Second
	h, hello := playHandshake(t, nil, iostreamtest.Options{})
	require.NoError(t, h.Stream.SetIdleTimeout(limit))
	h.start()
	require.NoError(t, h.Advance(limit-time.Second))
	h.wire.Arrive(h.answer(hello))
	require.NoError(t, h.Stream.Handle(iostream.Until("\n"), func([]byte, error) bool { return true }))
	require.NoError(t, h.Advance(limit-time.Second))
	require.NoError(t, h.Stream.Err())
	require.NoError(t, h.Advance(limit))
	require.Equal(t, 1, h.wire.State().FINs)
}

// A handshake that is over has no timer left, whatever it has come to.
func TestHandshakeLeavesNoTimer(t *testing.T) {
	for name, end := range map[string]func(h *shaking, hello []byte){
		"good":    func(h *shaking, hello []byte) { h.wire.Arrive(h.answer(hello)) },
		"aborted": func(h *shaking, _ []byte) { h.Stream.Abort(nil) },
		"failed":  func(h *shaking, _ []byte) { h.wire.Arrive([]byte(garbage)); h.wire.FIN() },
	} {
		h, hello := playHandshake(t, nil, iostreamtest.Options{})
		h.start()
		h.settle()
		require.Equal(t, 1, h.World.Loop.Stats().Timers, name)
		end(h, hello)
		h.settle()
		require.Equal(t, 1, h.outcome.times, name)
		require.Zero(t, h.World.Loop.Stats().Timers, name)
	}
}

// A handshake whose messages cannot be sent fails at once, and with the reason.
func TestHandshakeThatCannotBeSent(t *testing.T) {
	h, hello := playHandshake(t, nil, iostreamtest.Options{})
	h.start()
	h.settle()
	h.wire.FailWrites(syscall.EPIPE)
	h.wire.Arrive(hello)
	h.settle()
	requireIs(t, h.outcome.err, syscall.EPIPE)
	require.ErrorIs(t, h.Stream.Err(), syscall.EPIPE)
}

// Where a handshake has failed, and the alert is out, the peer's end is all that is waited for,
// and nobody waits to write any more.
func TestFailedHandshakeEndsWithThePeer(t *testing.T) {
	h, _ := playHandshake(t, nil, iostreamtest.Options{})
	h.start()
	write(t, h.Stream, "secret")
	var sent ends
	require.NoError(t, h.WaitSentFunc(h.Mark(), sent.take))
	h.wire.Arrive([]byte(garbage))
	h.settle()
	require.ErrorContains(t, h.outcome.err, "TLS handshake")
	require.NoError(t, h.Stream.Err())
	require.Equal(t, 1, sent.times)
	require.ErrorContains(t, sent.err, "TLS handshake")
	h.wire.FIN()
	h.settle()
	require.ErrorContains(t, h.Stream.Err(), "TLS handshake")
}

// An alert that does not leave at once is tried again before the connection is closed.
func TestAlertIsTriedAgain(t *testing.T) {
	p := playWire(t, nil, iostreamtest.Options{Window: iostreamtest.NoWindow})
	require.NoError(t, p.StartTLSFunc(iostream.TLSServer(serverConfig(0)), func(error) { p.wire.AddWindow(100) }))
	p.wire.Arrive([]byte(garbage))
	p.settle()
	require.Error(t, p.Stream.Err())
	const alert = 21
	require.NotEmpty(t, p.wire.Sent())
	require.EqualValues(t, alert, p.wire.Sent()[0])
}

// StartTLS that cannot send what was written before changes nothing: what has come can be read.
func TestStartTLSBehindAFailedWrite(t *testing.T) {
	p := playWire(t, nil, iostreamtest.Options{})
	require.NoError(t, p.Stream.ReadFunc(iostream.Until("\n"), func([]byte, error) {
		write(t, p.Stream, "go ahead\n")
		p.wire.FailWrites(syscall.EPIPE)
		requireIs(t, p.StartTLSFunc(iostream.TLSServer(serverConfig(0)), func(error) {}), syscall.EPIPE)
	}))
	p.wire.Arrive([]byte("STARTTLS\n\x16\x03rest"))
	p.settle()
	require.Equal(t, 6, p.Buffered())
}

// StartTLS by the function of a Handle ends that: messages behind the handshake are for whoever
// reads then.
func TestStartTLSEndsTheHandle(t *testing.T) {
	h, hello := playHandshake(t, nil, iostreamtest.Options{})
	messages := 0
	require.NoError(t, h.Stream.Handle(iostream.Until("\n"), func([]byte, error) bool {
		messages++
		h.start()
		return true
	}))
	h.wire.Arrive([]byte("STARTTLS\n"))
	h.settle()
	require.False(t, h.Stream.Reading())
	h.wire.Arrive(h.answer(hello))
	h.settle()
	require.Equal(t, ends{nil, 1}, h.outcome)
	require.NoError(t, h.Stream.ReadFunc(iostream.Until("\n"), func([]byte, error) {}))
	require.Equal(t, 1, messages)
}

// The functions of a tls.Config that run off the loop know the connection's addresses, though
// the stream may be closed by then, and its descriptor another's.
func TestAddressesOfAHandshakeOffTheLoop(t *testing.T) {
	s, peer := pair(t, startLoop(t, ioloop.Config{}), "tcp", &iostream.Config{HandshakeOffLoop: true})
	config, addresses := serverConfig(0), make(chan [2]net.Addr, 1)
	certificate := config.Certificates[0]
	config.Certificates = nil
	config.GetCertificate = func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		s.Abort(nil)
		_ = s.WaitClosed(patient(t))
		addresses <- [2]net.Addr{hello.Conn.LocalAddr(), hello.Conn.RemoteAddr()}
		return &certificate, nil
	}
	require.NoError(t, s.StartTLSFunc(iostream.TLSServer(config), func(error) {}))
	go func() { _ = tls.Client(peer, clientConfig(0)).Handshake() }()
	got := receive(t, addresses)
	require.Equal(t, peer.RemoteAddr().String(), got[0].String())
	require.Equal(t, peer.LocalAddr().String(), got[1].String())
}

// A record that comes in pieces costs one read for each, and a connection that has nothing to
// read holds no buffer: many are quiet.
func TestRecordsCostOneReadAndNoBuffer(t *testing.T) {
	h, hello := playHandshake(t, nil, iostreamtest.Options{})
	h.start()
	var lines []string
	require.NoError(t, h.Stream.Handle(iostream.Until("\n"), func(line []byte, err error) bool {
		lines = append(lines, string(line))
		return err == nil
	}))
	h.wire.Arrive(h.answer(hello))
	h.settle()
	require.False(t, iostream.KeepsHandshake(h.Stream))
	send(t, h.client, "line\n")
	record := []byte(h.peer.take())
	before := h.wire.State().Reads
	for i, piece := range [][]byte{record[:3], record[3:10], record[10:]} {
		h.wire.Arrive(piece)
		h.settle()
		require.Equal(t, before+i+1, h.wire.State().Reads)
		require.False(t, iostream.TLSHasBuffers(h.Stream))
	}
	require.Equal(t, []string{"line\n"}, lines)
}

// Nor is a handshake kept that a call has waited for.
func TestHandshakeThatWasWaitedForIsForgotten(t *testing.T) {
	s, _, _, _ := secureSim(t, tls.VersionTLS13, nil)
	require.False(t, iostream.KeepsHandshake(s))
}
