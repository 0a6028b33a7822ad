//go:build unix || windows

package tcp_test

import (
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/eddyloop/eddy/internal/wine"
	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
	"github.com/eddyloop/eddy/tcp"
	"github.com/stretchr/testify/require"
)

func TestMaxConns(t *testing.T) {
	srv := &tcp.Server{Handler: lines, MaxConns: 2}
	addr, _ := local(t, srv)
	a, b := dial(t, addr), dial(t, addr)
	a.echo("a\n")
	b.echo("b\n")
	waiting := dial(t, addr) // in the backlog
	waiting.send("c\n")
	a.echo("a again\n")
	require.Equal(t, tcp.Stats{Conns: 2, Handlers: 2, Accepted: 2}, srv.Stats())
	require.NoError(t, b.Close())
	waiting.expect("c\n")
	require.Equal(t, tcp.Stats{Conns: 2, Handlers: 2, Accepted: 3}, srv.Stats())
}

// The limit holds with several listeners on several loops.
func TestMaxConnsIsNeverExceeded(t *testing.T) {
	const limit, clients = 3, 200
	var open atomic.Int64
	srv := &tcp.Server{MaxConns: limit, Loops: 4, Handler: func(t *ioloop.Task, s *iostream.Stream) error {
		if n := open.Add(1); n > limit {
			s.Write([]byte("too many\n"))
		}
		defer open.Add(-1)
		line, err := s.Read(t, iostream.Until("\n"))
		if err == nil {
			_, err = s.Write(line)
		}
		return err
	}}
	first, _ := local(t, srv)
	addrs := []net.Addr{first}
	for range 3 {
		addr, err := srv.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		addrs = append(addrs, addr)
	}
	var all []*client
	for i := range clients {
		c := dial(t, addrs[i%len(addrs)])
		c.send("hello\n")
		all = append(all, c)
	}
	for _, c := range all {
		go func() {
			_, _ = io.Copy(&check{c: c}, c)
			c.Close()
		}()
	}
	eventually(t, func() bool { return srv.Stats() == tcp.Stats{Accepted: clients} })
}

// check closes a connection as soon as it has been answered.
type check struct{ c *client }

func (w *check) Write(p []byte) (int, error) {
	if strings.Contains(string(p), "too many") {
		w.c.t.Error("too many connections at once")
	}
	w.c.Close()
	return len(p), nil
}

// Connections that are gone before they are accepted do no harm.
func TestResetBeforeAccept(t *testing.T) {
	group := newGroup(t, 1, ioloop.Config{})
	srv := &tcp.Server{Handler: lines, Group: group}
	addr, _ := local(t, srv)
	release := hold(t, group.Loops()[0])
	defer release()
	for range 10 {
		dial(t, addr).reset()
	}
	release()
	dial(t, addr).echo("hello\n")
	eventually(t, func() bool { return srv.Stats().Conns == 1 })
	require.Zero(t, srv.Stats().AcceptPauses)
}

// Many clients come and go, most of them rudely.
func TestChurn(t *testing.T) {
	wine.SkipResets(t)
	for name, srv := range map[string]*tcp.Server{
		"task":     {Handler: lines, Loops: 2},
		"callback": {Callback: lineCallback, Loops: 2, MaxConns: 8},
	} {
		t.Run(name, func(t *testing.T) {
			addr, _ := local(t, srv)
			const clients, each = 8, 50
			done := make(chan struct{})
			for i := range clients {
				go func() {
					defer func() { done <- struct{}{} }()
					for j := range each {
						c := dial(t, addr)
						switch (i + j) % 4 {
						case 0:
							c.Close()
						case 1:
							c.reset()
						case 2:
							c.send("hello\nbye\n")
							c.expect("hello\n")
							c.expectEOF()
							c.Close()
						default:
							c.echo("hello\n")
							c.reset()
						}
					}
				}()
			}
			for range clients {
				receive(t, done)
			}
			eventually(t, func() bool { return srv.Stats().Conns == 0 })
		})
	}
}
