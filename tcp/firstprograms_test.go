//go:build unix || windows

package tcp_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
	"github.com/eddyloop/eddy/tcp"
	"github.com/stretchr/testify/require"
)

// These are the programs that people write before they read the fine print. Each must do
// what it seems to, every time: go test -run FirstPrograms -count=200 ./tcp

// reply is what a first program answers a line with.
const reply = "this is all\n"

// firstStyles answer one line with reply, some time later if wait is above 0, and close.
var firstStyles = map[string]func(srv *tcp.Server, wait time.Duration){
	"callback": func(srv *tcp.Server, wait time.Duration) {
		srv.Callback = func(s *iostream.Stream) {
			_ = s.ReadFunc(line, func(_ []byte, err error) {
				answer := func() {
					_, _ = s.Write([]byte(reply))
					_ = s.Close()
				}
				switch {
				case err != nil:
				case wait == 0:
					answer()
				default:
					release := s.Hold()
					s.Loop().AfterFunc(wait, func() { answer(); release() })
				}
			})
		}
	},
	"handler": func(srv *tcp.Server, wait time.Duration) {
		srv.Handler = func(t *ioloop.Task, s *iostream.Stream) error {
			defer s.Close()
			if _, err := s.Read(t, line); err != nil {
				return err
			}
			if err := t.Sleep(wait); err != nil {
				return err
			}
			_, err := s.Write([]byte(reply))
			return err
		}
	},
	"handler, error": func(srv *tcp.Server, wait time.Duration) {
		srv.Handler = func(t *ioloop.Task, s *iostream.Stream) error {
			if _, err := s.Read(t, line); err != nil {
				return err
			}
			if err := t.Sleep(wait); err != nil {
				return err
			}
			_, _ = s.Write([]byte(reply))
			return errors.New("bad command")
		}
	},
	"message": func(srv *tcp.Server, wait time.Duration) {
		srv.Frame = line
		srv.Message = func(t *ioloop.Task, s *iostream.Stream, _ []byte) error {
			if err := t.Sleep(wait); err != nil {
				return err
			}
			_, _ = s.Write([]byte(reply))
			return s.Close()
		}
	},
	"goroutine": func(srv *tcp.Server, wait time.Duration) {
		srv.Callback = func(s *iostream.Stream) {
			release := s.Hold()
			go func() {
				defer release()
				defer s.Close()
				if _, err := s.Read(context.Background(), line); err != nil {
					return
				}
				time.Sleep(wait)
				_, _ = s.Write([]byte(reply))
			}()
		}
	},
	"io.Copy": func(srv *tcp.Server, wait time.Duration) {
		srv.Handler = func(t *ioloop.Task, s *iostream.Stream) error {
			if _, err := s.Read(t, line); err != nil {
				return err
			}
			if err := t.Sleep(wait); err != nil {
				return err
			}
			_, err := io.Copy(s, strings.NewReader(reply))
			return err
		}
	},
	"net.Conn": nil, // see startFirst
}

// startFirst starts a server in a style, over a network.
func startFirst(t *testing.T, style, network string, wait time.Duration) net.Addr {
	t.Helper()
	srv := &tcp.Server{Loops: 1}
	if network == "tls" {
		srv.TLS = testTLS().server
	}
	if setUp := firstStyles[style]; setUp != nil {
		setUp(srv, wait)
		return listenFirst(t, srv, network)
	}
	listener, err := srv.NetListener()
	require.NoError(t, err)
	addr := listenFirst(t, srv, network) // first, as it may skip the test
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				b := make([]byte, 100)
				if _, err := conn.Read(b); err != nil {
					return
				}
				time.Sleep(wait)
				_, _ = conn.Write([]byte(reply))
			}()
		}
	}()
	return addr
}

func listenFirst(t *testing.T, srv *tcp.Server, network string) net.Addr {
	t.Helper()
	if network == "unix" {
		addr, _ := listenOn(t, srv, "unix", socketPath(t))
		return addr
	}
	addr, _ := local(t, srv)
	return addr
}

// eachFirst runs a test for each style and network.
func eachFirst(t *testing.T, run func(t *testing.T, style, network string)) {
	for style := range firstStyles {
		for _, network := range []string{"tcp", "unix", "tls"} {
			t.Run(style+"/"+network, func(t *testing.T) { run(t, style, network) })
		}
	}
}

func dialFirst(t *testing.T, addr net.Addr, network string) *client {
	if network == "tls" {
		return overTLS(t, addr, testTLS().client)
	}
	return dial(t, addr)
}

// Write, then Close: the reply arrives, and then the end.
func TestFirstProgramsReply(t *testing.T) {
	eachFirst(t, func(t *testing.T, style, network string) {
		c := dialFirst(t, startFirst(t, style, network, 0), network)
		c.send("hello\n")
		c.expect(reply)
		c.expectEOF()
	})
}

// A client that says that it will send no more gets its answer, though that takes a while.
func TestFirstProgramsHalfClose(t *testing.T) {
	eachFirst(t, func(t *testing.T, style, network string) {
		c := dialFirst(t, startFirst(t, style, network, 2*time.Millisecond), network)
		c.send("hello\n")
		require.NoError(t, c.Conn.(interface{ CloseWrite() error }).CloseWrite())
		c.expect(reply)
		c.expectEOF()
	})
}

// The address of a client is there, in a handler, a hook and a log line.
func TestFirstProgramsAddress(t *testing.T) {
	for _, network := range []string{"tcp", "unix", "tls"} {
		t.Run(network, func(t *testing.T) {
			seen := make(chan string, 10)
			srv := &tcp.Server{Loops: 1, Handler: func(_ *ioloop.Task, s *iostream.Stream) error {
				seen <- s.RemoteAddr().String()
				return nil
			}}
			srv.Hooks.Accepted = func(s *iostream.Stream) { seen <- s.RemoteAddr().String() }
			srv.Stream.OnClosed = func(s *iostream.Stream, _ error) { seen <- s.RemoteAddr().String() }
			if network == "tls" {
				srv.TLS = testTLS().server
			}
			c := dialFirst(t, listenFirst(t, srv, network), network)
			c.expectEnd()
			c.Close()
			for range 3 {
				require.Equal(t, c.LocalAddr().String(), receive(t, seen))
			}
		})
	}
}

// The wrong context is an error at once, and no loop that stands still.
func TestFirstProgramsWrongContext(t *testing.T) {
	told := make(chan error, 2)
	outer := context.Background()
	for name, srv := range map[string]*tcp.Server{
		"handler": {Handler: func(_ *ioloop.Task, s *iostream.Stream) error {
			_, err := s.Read(outer, line)
			told <- err
			return err
		}},
		"callback": {Callback: func(s *iostream.Stream) {
			_, err := s.Read(outer, line)
			told <- err
			_ = s.Close()
		}},
		"net.Conn": {Callback: func(s *iostream.Stream) {
			_, err := s.NetConn().Read(make([]byte, 1))
			told <- err
			_ = s.Close()
		}},
	} {
		t.Run(name, func(t *testing.T) {
			srv.Loops = 1
			addr, _ := local(t, srv)
			for range 2 {
				dial(t, addr).expectEnd()
				require.ErrorIs(t, receive(t, told), ioloop.ErrOnLoop)
			}
		})
	}
}

// One context for the group and the server ends both.
func TestFirstProgramsOneContext(t *testing.T) {
	for range 2 {
		group, err := ioloop.NewGroup(1, ioloop.Config{Logger: quiet()})
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(context.Background())
		srv := &tcp.Server{Handler: lines, Group: group, Logger: quiet()}
		addr, err := srv.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		ran, served := make(chan error, 1), make(chan error, 1)
		go func() { ran <- group.Run(ctx) }()
		go func() { served <- srv.Serve(ctx) }()
		c := dial(t, addr)
		c.echo("hello\n")
		cancel()
		require.ErrorIs(t, receive(t, served), context.Canceled)
		require.ErrorIs(t, receive(t, ran), context.Canceled)
		require.NoError(t, group.Close())
		c.expectEnd()
	}
}

// io.Copy waits for a peer that reads slowly, and ends at the end.
func TestFirstProgramsCopy(t *testing.T) {
	text := strings.Repeat("0123456789abcdef", 1<<16) // more than the kernel takes at once
	styles := map[string]*tcp.Server{
		"task": {Handler: func(_ *ioloop.Task, s *iostream.Stream) error {
			_, err := io.Copy(s, strings.NewReader(text))
			return err
		}},
		"goroutine": {Callback: func(s *iostream.Stream) {
			go func() {
				_, _ = io.Copy(s, strings.NewReader(text))
				_ = s.Close()
			}()
		}},
	}
	for name, srv := range styles {
		t.Run(name, func(t *testing.T) {
			srv.Loops = 1
			srv.Stream.HighWaterMark = 1 << 16
			addr, _ := local(t, srv)
			c := dial(t, addr)
			require.NoError(t, c.SetReadDeadline(time.Now().Add(patience)))
			got, err := io.ReadAll(c)
			require.NoError(t, err)
			require.NotErrorIs(t, err, os.ErrDeadlineExceeded)
			require.True(t, string(got) == text)
		})
	}
}
