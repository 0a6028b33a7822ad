//go:build unix

package tcp_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
	"github.com/eddyloop/eddy/tcp"
	"github.com/stretchr/testify/require"
)

// TestDialContextForHTTP has net/http's client use connections on a loop.
func TestDialContextForHTTP(t *testing.T) {
	for name, secure := range map[string]bool{"http": false, "https": true} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(w, r.Body)
			}))
			if secure {
				server.StartTLS()
			} else {
				server.Start()
			}
			defer server.Close()
			transport := server.Client().Transport.(*http.Transport)
			dialed := make(chan net.Conn, 1)
			dialer := &tcp.Dialer{Loop: newLoop(t)}
			transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
				c, err := dialer.DialContext(ctx, network, address)
				dialed <- c
				return c, err
			}
			answer, err := server.Client().Post(server.URL, "text/plain", http.NoBody)
			require.NoError(t, err)
			require.NoError(t, answer.Body.Close())
			require.IsType(t, (*iostream.Conn)(nil), <-dialed)
			server.Client().CloseIdleConnections()
		})
	}
}

func TestDialContextNeedsALoop(t *testing.T) {
	_, err := new(tcp.Dialer).DialContext(context.Background(), "tcp", "127.0.0.1:1")
	require.ErrorIs(t, err, tcp.ErrInvalid)
	require.ErrorContains(t, err, "Dialer.Loop")
}

func TestDialFunc(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	l := newLoop(t)
	done := make(chan error, 1)
	require.NoError(t, tcp.DialFunc(l, "tcp", listener.Addr().String(), func(s *iostream.Stream, err error) {
		require.ErrorIs(t, ioloop.MayBlock(), ioloop.ErrOnLoop)
		if err == nil {
			err = s.Close()
		}
		done <- err
	}))
	require.NoError(t, <-done)
	require.NoError(t, tcp.DialFunc(l, "tcp", "127.0.0.1:0", func(s *iostream.Stream, err error) { done <- err }))
	require.Error(t, <-done)
	require.ErrorIs(t, tcp.DialFunc(nil, "tcp", "127.0.0.1:1", func(*iostream.Stream, error) {}), tcp.ErrInvalid)
	require.ErrorIs(t, tcp.DialFunc(l, "tcp", "127.0.0.1:1", nil), tcp.ErrInvalid)
}
