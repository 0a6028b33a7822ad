//go:build unix || windows

package iostream_test

import (
	"crypto/tls"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
	"github.com/stretchr/testify/require"
)

// TestAlertReachesAPeerThatStillWrites: when TLS fails, the peer goes on sending for a
// while. It must meet no reset before it has read why.
func TestAlertReachesAPeerThatStillWrites(t *testing.T) {
	bad := "\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00" // a hello of one byte
	starts := map[string]func(s *iostream.Stream) error{
		"server": func(s *iostream.Stream) error {
			return s.StartTLS(patient(t), iostream.TLSServer(serverConfig(tls.VersionTLS13)))
		},
		"client": func(s *iostream.Stream) error {
			return s.StartTLS(patient(t), iostream.TLSClient(&tls.Config{ServerName: "localhost"}))
		},
		"server/func": func(s *iostream.Stream) error {
			told := make(chan error, 1)
			require.NoError(t, s.StartTLSFunc(iostream.TLSServer(serverConfig(tls.VersionTLS13)), func(err error) { told <- err }))
			return receive(t, told)
		},
	}
	for name, start := range starts {
		for _, offLoop := range []bool{false, true} {
			t.Run(name+map[bool]string{true: "/off loop"}[offLoop], func(t *testing.T) {
				config := &iostream.Config{HandshakeOffLoop: offLoop}
				s, peer := pair(t, startLoop(t, ioloop.Config{}), "tcp", config)
				send(t, peer, bad)
				err := start(s)
				require.ErrorContains(t, err, "TLS handshake: ")
				_, e := s.Write([]byte("more"))
				require.ErrorContains(t, e, "TLS handshake: ")
				_, e = s.Read(patient(t), iostream.Some(0))
				require.ErrorContains(t, e, "TLS handshake: ")
				goOnWriting(t, peer)
				rest := readToTheEnd(t, peer)
				at := strings.LastIndex(rest, "\x15\x03")
				require.GreaterOrEqual(t, at, 0, "%q", rest)
				require.Equal(t, "\x00\x02\x02", rest[at+3:at+6], "a fatal alert: %q", rest)
				require.NoError(t, peer.Close())
				require.NoError(t, s.WaitClosed(patient(t)))
				require.ErrorContains(t, s.Err(), "TLS handshake: ")
			})
		}
	}
}

// The same behind the handshake: a record that is not the peer's.
func TestAlertBehindTheHandshake(t *testing.T) {
	for _, network := range []string{"tls1.2", "tls1.3"} {
		t.Run(network, func(t *testing.T) {
			s, peer := pair(t, startLoop(t, ioloop.Config{}), network, nil)
			raw := peer.(tlsPeer).raw
			send(t, raw, "\x17\x03\x03\x00\x20"+strings.Repeat("x", 32))
			_, err := s.Read(patient(t), iostream.Some(0))
			require.ErrorContains(t, err, "bad record MAC")
			goOnWriting(t, raw)
			require.NotEmpty(t, readToTheEnd(t, raw))
			require.NoError(t, raw.Close())
			require.NoError(t, s.WaitClosed(patient(t)))
			require.ErrorContains(t, s.Err(), "bad record MAC")
		})
	}
}

// A peer that does not take its end is not waited for without end.
func TestAlertToASilentPeer(t *testing.T) {
	s, peer := pair(t, startLoop(t, ioloop.Config{}), "tcp", nil)
	send(t, peer, "GET / HTTP/1.1\r\n\r\n")
	require.Error(t, s.StartTLS(patient(t), iostream.TLSServer(serverConfig(tls.VersionTLS13))))
	require.NoError(t, s.WaitClosed(patient(t)))
}

// goOnWriting has the peer write more for a while, each time when the last has arrived.
func goOnWriting(t *testing.T, peer net.Conn) {
	t.Helper()
	for range 10 {
		send(t, peer, strings.Repeat("y", 10_000))
		time.Sleep(5 * time.Millisecond)
	}
}

func readToTheEnd(t *testing.T, peer net.Conn) string {
	t.Helper()
	require.NoError(t, peer.SetReadDeadline(time.Now().Add(patience)))
	b, err := io.ReadAll(peer)
	require.NoError(t, err)
	return string(b)
}
