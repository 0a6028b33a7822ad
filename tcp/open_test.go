//go:build unix || windows

package tcp_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/eddyloop/eddy/internal/wine"
	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
	"github.com/eddyloop/eddy/tcp"
	"github.com/stretchr/testify/require"
)

// eachOpening runs a test in plain and over TLS. The server answers lines by Message.
func eachOpening(t *testing.T, run func(t *testing.T, srv *tcp.Server, dial func(net.Addr) *client)) {
	t.Run("plain", func(t *testing.T) {
		srv := &tcp.Server{Loops: 1, Frame: line, Message: lineMessage}
		run(t, srv, func(addr net.Addr) *client { return dial(t, addr) })
	})
	t.Run("TLS", func(t *testing.T) {
		srv := &tcp.Server{Loops: 1, Frame: line, Message: lineMessage, TLS: testTLS().server}
		run(t, srv, func(addr net.Addr) *client {
			c := overTLS(t, addr, testTLS().client)
			require.NoError(t, c.shake())
			return c
		})
	})
}

// shake shakes hands, if the connection is one of TLS.
func (c *client) shake() error {
	if tls, ok := c.Conn.(interface{ Handshake() error }); ok {
		return tls.Handshake()
	}
	return nil
}

// The server speaks first, waits, reads, and leaves the rest to Message.
func TestOpen(t *testing.T) {
	eachOpening(t, func(t *testing.T, srv *tcp.Server, dial func(net.Addr) *client) {
		var opened atomic.Int64
		srv.Open = func(t *ioloop.Task, s *iostream.Stream) error {
			opened.Add(1)
			if err := t.Sleep(time.Millisecond); err != nil {
				return err
			}
			_, _ = s.WriteString("name?\n")
			name, err := s.Read(t, line)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(s, "hello %s", name)
			return err
		}
		addr, _ := local(t, srv)
		for _, pipelined := range []string{"", "one\ntwo\n"} {
			c := dial(addr)
			c.expect("name?\n")
			c.send("ann\n" + pipelined)
			c.expect("hello ann\n" + pipelined)
			c.echo("three\n")
			c.send("bye\n")
			c.expectEOF()
			_ = c.Close()
		}
		require.Equal(t, int64(2), opened.Load())
		eventually(t, func() bool { return srv.Stats().Conns == 0 })
	})
}

// A connection that has been opened is nothing but its stream.
func TestOpenLeavesNothing(t *testing.T) {
	eachOpening(t, func(t *testing.T, srv *tcp.Server, dial func(net.Addr) *client) {
		srv.Open = func(_ *ioloop.Task, s *iostream.Stream) error {
			_, err := s.WriteString("hello\n")
			return err
		}
		group := newGroup(t, 1, ioloop.Config{})
		srv.Group, srv.Loops = group, 0
		addr, _ := local(t, srv)
		c := dial(addr)
		c.expect("hello\n")
		on(t, group.Loops()[0], func() { require.Zero(t, tcp.MoreThanStreams(srv)) })
		require.Zero(t, srv.Stats().Handlers)
		c.echo("it serves\n")
	})
}

func TestOpenBehindProxyHeader(t *testing.T) {
	eachOpening(t, func(t *testing.T, srv *tcp.Server, _ func(net.Addr) *client) {
		srv.ProxyProtocol = &tcp.ProxyProtocol{Trusted: everybody}
		srv.Open = func(_ *ioloop.Task, s *iostream.Stream) error {
			_, err := fmt.Fprintf(s, "hello %v\n", s.RemoteAddr())
			return err
		}
		addr, _ := local(t, srv)
		c := dial(t, addr)
		c.send("PROXY TCP4 192.0.2.1 192.0.2.2 7 8\r\n")
		if srv.TLS != nil {
			c = secure(t, c)
		}
		c.expect("hello 192.0.2.1:7\n")
		c.echo("it serves\n")
	})
}

// What Open comes to ends the connection, and no message is handled.
func TestOpenFails(t *testing.T) {
	failure := errors.New("no more")
	for name, test := range map[string]struct {
		fail func(*iostream.Stream) error
		want error
		kept bool // what was written arrives
	}{
		"error":             {func(*iostream.Stream) error { return failure }, failure, true},
		"panic":             {func(*iostream.Stream) error { panic("oops") }, tcp.ErrHandler, false},
		"Goexit":            {func(*iostream.Stream) error { runtime.Goexit(); return nil }, tcp.ErrHandler, false},
		"a read is left":    {func(s *iostream.Stream) error { return s.ReadFunc(iostream.Bytes(100), func([]byte, error) {}) }, iostream.ErrReadPending, true},
		"it closes":         {func(s *iostream.Stream) error { return s.Close() }, net.ErrClosed, true},
		"it aborts":         {func(s *iostream.Stream) error { s.Abort(failure); return nil }, failure, false},
		"it only half ends": {func(s *iostream.Stream) error { _ = s.CloseWrite(); return failure }, failure, true},
	} {
		t.Run(name, func(t *testing.T) {
			eachOpening(t, func(t *testing.T, srv *tcp.Server, dial func(net.Addr) *client) {
				told, messages := make(chan error, 1), make(chan string, 1)
				srv.Stream.OnClosed = func(_ *iostream.Stream, err error) { told <- err }
				srv.Message = func(_ *ioloop.Task, _ *iostream.Stream, msg []byte) error {
					messages <- string(msg)
					return nil
				}
				srv.Open = func(t *ioloop.Task, s *iostream.Stream) error {
					if _, err := s.Read(t, line); err != nil {
						return err
					}
					_, _ = s.WriteString("good bye\n")
					return test.fail(s)
				}
				addr, _ := local(t, srv)
				c := dial(addr)
				c.send("first\nmore\n")
				if test.kept {
					c.expect("good bye\n")
				}
				c.expectEnd()
				_ = c.Close()
				require.ErrorIs(t, receive(t, told), test.want)
				eventually(t, func() bool { return srv.Stats().Conns == 0 })
				require.Zero(t, srv.Stats().Handlers)
				require.Empty(t, messages)
			})
		})
	}
}

// A client that goes while Open works is counted out when that has returned.
func TestOpenOutlivesItsClient(t *testing.T) {
	wine.SkipResets(t)
	eachOpening(t, func(t *testing.T, srv *tcp.Server, _ func(net.Addr) *client) {
		release, told := make(chan struct{}), make(chan error, 2)
		srv.Stream.OnClosed = func(_ *iostream.Stream, err error) { told <- err }
		srv.Open = func(t *ioloop.Task, s *iostream.Stream) error {
			_, err := ioloop.Await(t, func() (int, error) { <-release; return 0, nil })
			return err
		}
		addr, _ := local(t, srv)
		c := dial(t, addr)
		if srv.TLS != nil {
			require.NoError(t, secure(t, c).shake())
		}
		eventually(t, func() bool { return srv.Stats().Handlers == 1 })
		c.reset()
		require.Error(t, receive(t, told))
		require.Equal(t, 1, srv.Stats().Conns)
		close(release)
		eventually(t, func() bool { return srv.Stats().Conns == 0 && srv.Stats().Handlers == 0 })
		require.Empty(t, told)
	})
}

// Shutdown waits for an Open that works, and closes the connection behind it; one that
// waits for the client to say something is idle.
func TestOpenShutdown(t *testing.T) {
	eachOpening(t, func(t *testing.T, srv *tcp.Server, dial func(net.Addr) *client) {
		release := make(chan struct{})
		srv.Open = func(t *ioloop.Task, s *iostream.Stream) error {
			if name, err := s.Read(t, line); err != nil || string(name) == "now\n" {
				return err
			}
			if _, err := ioloop.Await(t, func() (int, error) { <-release; return 0, nil }); err != nil {
				return err
			}
			_, err := s.WriteString("opened\n")
			return err
		}
		addr, _ := local(t, srv)
		idle, opened, working := dial(addr), dial(addr), dial(addr)
		opened.send("now\n")
		opened.echo("it serves\n")
		working.send("wait\n")
		eventually(t, func() bool { return srv.Stats().Handlers == 2 && srv.Stats().Accepted == 3 })
		result := shutdown(srv, context.Background())
		idle.expectEnd()
		opened.expectEnd()
		_, _ = idle.Close(), opened.Close()
		eventually(t, func() bool { return srv.Stats().Conns == 1 })
		require.Empty(t, result)
		close(release)
		working.expect("opened\n")
		working.expectEnd()
		_ = working.Close()
		require.Equal(t, drained{DrainCounts: tcp.DrainCounts{Drained: 3}}, receive(t, result))
	})
}

// What ends a connection's reading later closes it, as without Open.
func TestOpenIsOverBeforeMessages(t *testing.T) {
	eachOpening(t, func(t *testing.T, srv *tcp.Server, dial func(net.Addr) *client) {
		srv.Open = func(*ioloop.Task, *iostream.Stream) error { return nil }
		srv.Message = func(_ *ioloop.Task, s *iostream.Stream, _ []byte) error {
			return s.Handle(line, func([]byte, error) bool { return false })
		}
		addr, _ := local(t, srv)
		c := dial(addr)
		c.send("one\ntwo\n")
		c.expectEOF()
	})
}

// A proxy that looks whether the server lives says no more than that, and gets what the
// server says first.
func TestOpenBehindEmptyProxyHeader(t *testing.T) {
	for name, header := range map[string]string{
		"local":       version2(0x20, 0, ""),
		"unspecified": version2(0x21, 0, ""),
		"unknown":     "PROXY UNKNOWN\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			srv := &tcp.Server{Frame: line, Message: lineMessage, ProxyProtocol: &tcp.ProxyProtocol{Trusted: everybody, Timeout: patience}}
			srv.Open = func(_ *ioloop.Task, s *iostream.Stream) error {
				_, err := s.WriteString("220 ready\n")
				return err
			}
			addr, _ := local(t, srv)
			c := dial(t, addr)
			c.send(header)
			c.expect("220 ready\n")
		})
	}
}
