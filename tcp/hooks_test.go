//go:build unix || windows

package tcp_test

import (
	"net"
	"runtime"
	"testing"

	"github.com/eddyloop/eddy/iostream"
	"github.com/eddyloop/eddy/tcp"
)

// A hook that panics, or ends its goroutine, closes the connection that it was
// called for. That one is counted out, and the next is served.
func TestHooksPanic(t *testing.T) {
	servers := map[string]func() *tcp.Server{
		"handler":  func() *tcp.Server { return &tcp.Server{Handler: lines} },
		"callback": func() *tcp.Server { return &tcp.Server{Callback: lineCallback} },
		"message":  func() *tcp.Server { return &tcp.Server{Frame: line, Message: lineMessage} },
	}
	hooks := map[string]func(srv *tcp.Server, fail func()){
		"accepted": func(srv *tcp.Server, fail func()) {
			srv.Hooks.Accepted = func(*iostream.Stream) { fail() }
		},
		"accepted, with PROXY": func(srv *tcp.Server, fail func()) {
			srv.ProxyProtocol = &tcp.ProxyProtocol{Trusted: everybody}
			srv.Hooks.Accepted = func(*iostream.Stream) { fail() }
		},
		"trusted": func(srv *tcp.Server, fail func()) {
			srv.ProxyProtocol = &tcp.ProxyProtocol{Trusted: func(net.Addr) bool { fail(); return true }}
		},
		"header": func(srv *tcp.Server, fail func()) {
			srv.ProxyProtocol = &tcp.ProxyProtocol{Trusted: everybody, Header: func(*iostream.Stream, *tcp.ProxyHeader) error { fail(); return nil }}
		},
	}
	fails := map[string]func(){"panic": func() { panic("oops") }, "Goexit": runtime.Goexit}
	for style, server := range servers {
		for hook, set := range hooks {
			for how, fail := range fails {
				t.Run(style+"/"+hook+"/"+how, func(t *testing.T) {
					srv := server()
					srv.Loops = 1
					failed := false // on the only loop
					set(srv, func() {
						if !failed {
							failed = true
							fail()
						}
					})
					addr, _ := local(t, srv)
					greeting := ""
					if srv.ProxyProtocol != nil {
						greeting = "PROXY UNKNOWN\r\n"
					}
					c := dial(t, addr)
					c.send(greeting)
					c.expectEnd()
					eventually(t, func() bool { return srv.Stats().Conns == 0 })
					c = dial(t, addr)
					c.send(greeting)
					c.echo("hello\n")
				})
			}
		}
	}
}

// The hooks that are not called for a stream do not end the server either.
func TestHooksOfAcceptingPanic(t *testing.T) {
	for how, fail := range map[string]func(){"panic": func() { panic("oops") }, "Goexit": runtime.Goexit} {
		t.Run(how, func(t *testing.T) {
			srv := &tcp.Server{Handler: lines, MaxConns: 1, Overload: tcp.OverloadRefuse, Hooks: tcp.Hooks{
				Refused: func(net.Addr, error) { fail() },
			}}
			addr, _ := local(t, srv)
			c := dial(t, addr)
			c.echo("hello\n")
			for range 3 {
				dial(t, addr).expectEnd()
			}
			c.echo("still there\n")

			paused := make(chan struct{}, 100)
			addr, budget, _ := hoarding(t, 64<<10, &tcp.Server{Loops: 1, Hooks: tcp.Hooks{
				Paused: func(net.Addr, error) { paused <- struct{}{}; fail() },
			}})
			release := useUp(t, budget)
			waiting := dial(t, addr)
			waiting.send("hello\n")
			receive(t, paused)
			release()
			waiting.expect("hello\n")
		})
	}
}
