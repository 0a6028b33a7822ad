//go:build unix || windows

package tcp_test

import (
	"testing"

	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
	"github.com/eddyloop/eddy/tcp"
	"github.com/stretchr/testify/require"
)

// A connection begins as a task where something has to be read before it is served, or
// its Handler comes first, and nowhere else. When it is over, the server has nothing of it.
func TestConnLife(t *testing.T) {
	proxy := &tcp.ProxyProtocol{Trusted: everybody}
	message := func(_ *ioloop.Task, s *iostream.Stream, msg []byte) error {
		_, err := s.Write(msg)
		return err
	}
	for name, c := range map[string]struct {
		srv    *tcp.Server
		asTask bool
	}{
		"Handler":            {&tcp.Server{Handler: lines}, true},
		"Callback":           {&tcp.Server{Callback: lineCallback}, false},
		"Message":            {&tcp.Server{Message: message, Frame: iostream.Until("\n")}, false},
		"Handler, TLS":       {&tcp.Server{Handler: lines, TLS: testTLS().server}, false},
		"Callback, TLS":      {&tcp.Server{Callback: lineCallback, TLS: testTLS().server}, false},
		"Handler, PROXY":     {&tcp.Server{Handler: lines, ProxyProtocol: proxy}, true},
		"Callback, PROXY":    {&tcp.Server{Callback: lineCallback, ProxyProtocol: proxy}, true},
		"Message, PROXY":     {&tcp.Server{Message: message, Frame: iostream.Until("\n"), ProxyProtocol: proxy}, true},
		"Handler, PROXY+TLS": {&tcp.Server{Handler: lines, ProxyProtocol: proxy, TLS: testTLS().server}, true},
	} {
		t.Run(name, func(t *testing.T) {
			accepted := make(chan bool, 1)
			loops := make(chan *ioloop.Loop, 1)
			srv := c.srv
			srv.Loops = 1
			srv.Hooks.Accepted = func(s *iostream.Stream) {
				task, _ := ioloop.CurrentTask()
				accepted <- task != nil
				loops <- s.Loop()
			}
			addr, _ := local(t, srv)
			var conn *client
			switch {
			case srv.TLS == nil:
				conn = dial(t, addr)
				if srv.ProxyProtocol != nil {
					conn.send("PROXY UNKNOWN\r\n")
				}
				conn.echo("hello\n")
			case srv.ProxyProtocol == nil:
				conn = overTLS(t, addr, testTLS().client)
				conn.echo("hello\n")
			default:
				conn = dial(t, addr)
				conn.send("PROXY UNKNOWN\r\n")
			}
			require.Equal(t, c.asTask, receive(t, accepted))
			l := receive(t, loops)
			require.NoError(t, conn.Close())
			eventually(t, func() bool { return srv.Stats().Conns == 0 })
			on(t, l, func() {
				if n := tcp.MoreThanStreams(srv); n != 0 {
					t.Errorf("%d connections are left", n)
				}
			})
		})
	}
}
