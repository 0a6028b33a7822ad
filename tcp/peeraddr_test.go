//go:build unix || windows

package tcp_test

import (
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"github.com/eddyloop/eddy/internal/wine"
	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
	"github.com/eddyloop/eddy/tcp"
	"github.com/stretchr/testify/require"
)

// addressed are servers that tell all addresses that they see.
var addressed = map[string]func(srv *tcp.Server, saw func(string, net.Addr)){
	"callback": func(srv *tcp.Server, saw func(string, net.Addr)) {
		srv.Callback = func(s *iostream.Stream) {
			saw("callback", s.RemoteAddr())
			_ = s.ReadFunc(line, func([]byte, error) {
				saw("read", s.RemoteAddr())
				saw("net.Conn", s.NetConn().RemoteAddr())
				s.Abort(nil)
			})
		}
	},
	"handler": func(srv *tcp.Server, saw func(string, net.Addr)) {
		srv.Handler = func(t *ioloop.Task, s *iostream.Stream) error {
			saw("handler", s.RemoteAddr())
			_, err := s.Read(t, line)
			saw("read", s.RemoteAddr())
			return err
		}
	},
	"message": func(srv *tcp.Server, _ func(string, net.Addr)) {
		srv.Frame, srv.Message = line, lineMessage
	},
	"PROXY": func(srv *tcp.Server, saw func(string, net.Addr)) {
		srv.Frame, srv.Message = line, lineMessage
		srv.ProxyProtocol = &tcp.ProxyProtocol{Trusted: func(peer net.Addr) bool {
			saw("trusted", peer)
			return true
		}}
	},
	"TLS": func(srv *tcp.Server, _ func(string, net.Addr)) {
		srv.Handler, srv.TLS = lines, testTLS().server
	},
}

// arrivals are the ways in which connections come. The client is bound to local, if
// that is not empty.
var arrivals = []struct{ name, network, listen, local string }{
	{"IPv4", "tcp4", "127.0.0.1:0", ""},
	{"IPv6", "tcp6", "[::1]:0", ""},
	{"dual stack", "tcp", ":0", ""},
	{"adopted IPv4", "tcp4", "127.0.0.1:0", ""},
	{"adopted IPv6", "tcp6", "[::1]:0", ""},
	{"unix", "unix", "s", ""},
	{"unix, named", "unix", "s", "c"},
}

// TestAddressOfPeersThatAreGone: the address is the peer's, whoever asks and whenever,
// though the peer has reset the connection before anybody could.
func TestAddressOfPeersThatAreGone(t *testing.T) {
	for _, a := range arrivals {
		for style, setUp := range addressed {
			t.Run(a.name+"/"+style, func(t *testing.T) {
				group := newGroup(t, 1, ioloop.Config{})
				var log logBuffer
				srv := &tcp.Server{Group: group, Logger: log.logger()}
				seen := make(chan string, 100)
				saw := func(where string, addr net.Addr) { seen <- fmt.Sprintf("%s: %T %v", where, addr, addr) }
				srv.Hooks.Accepted = func(s *iostream.Stream) { saw("accepted", s.RemoteAddr()) }
				srv.Stream.OnClosed = func(s *iostream.Stream, _ error) {
					saw("closed", s.RemoteAddr())
					close(seen)
				}
				setUp(srv, saw)
				dialer, addr := arrive(t, srv, a.network, a.listen, a.local, strings.HasPrefix(a.name, "adopted"))
				release := hold(t, group.Loops()[0])
				defer release()
				conn, err := dialer.Dial(addr.Network(), addr.String())
				require.NoError(t, err)
				want := fmt.Sprintf("%T %v", conn.LocalAddr(), conn.LocalAddr())
				if tcp, ok := conn.(*net.TCPConn); ok {
					wine.SkipResets(t)
					require.NoError(t, tcp.SetLinger(0))
				}
				require.NoError(t, conn.Close())
				release()
				n := 0
				for line := range seen {
					_, got, _ := strings.Cut(line, ": ")
					require.Equal(t, want, got, line)
					n++
				}
				require.GreaterOrEqual(t, n, 2)
				require.NotContains(t, log.String(), "unknown")
			})
		}
	}
}

// arrive listens, and returns how to connect.
func arrive(t *testing.T, srv *tcp.Server, network, address, local string, adopt bool) (net.Dialer, net.Addr) {
	t.Helper()
	var dialer net.Dialer
	if network == "unix" {
		address = socketPath(t)
		if local != "" {
			dialer.LocalAddr = &net.UnixAddr{Name: filepath.Join(filepath.Dir(address), local), Net: "unix"}
		}
	}
	if network == "tcp6" {
		probe, err := net.Listen(network, address)
		if err != nil {
			t.Skip("there is no IPv6")
		}
		require.NoError(t, probe.Close())
	}
	if adopt {
		listener, err := net.Listen(network, address)
		require.NoError(t, err)
		addr, err := srv.Adopt(listener.(*net.TCPListener))
		require.NoError(t, err)
		serve(t, srv)
		return dialer, addr
	}
	addr, _ := listenOn(t, srv, network, address)
	if network == "tcp" { // both families: this one is IPv4 in disguise
		return dialer, tcpAddr("127.0.0.1", addr.(*net.TCPAddr).Port)
	}
	return dialer, addr
}
