//go:build unix || windows

package tcp_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/eddyloop/eddy/internal/leaktest"
	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
	"github.com/eddyloop/eddy/tcp"
	"github.com/stretchr/testify/require"
)

// sniffers look at a client's first bytes, in each style that can, and serve lines or
// deliver.
func sniffers(listener **tcp.NetListener) map[string]*tcp.Server {
	isHTTP := func(first []byte) bool { return string(first) == "GET" }
	return map[string]*tcp.Server{
		"callback": {Callback: func(s *iostream.Stream) {
			_ = s.ReadFunc(iostream.Peek(3), func(first []byte, err error) {
				switch {
				case err != nil:
				case isHTTP(first):
					if err := (*listener).Deliver(s); err != nil {
						s.Abort(err)
					}
				default:
					lineCallback(s)
				}
			})

		}},
		"task": {Handler: func(t *ioloop.Task, s *iostream.Stream) error {
			first, err := s.Read(t, iostream.Peek(3))
			switch {
			case err != nil:
				return err
			case isHTTP(first):
				return (*listener).Deliver(s)
			}
			return lines(t, s)
		}},
	}
}

// TestDeliver: one port serves net/http and lines; what is unread goes along.
func TestDeliver(t *testing.T) {
	var listener *tcp.NetListener
	for name, srv := range sniffers(&listener) {
		t.Run(name, func(t *testing.T) {
			leaktest.Check(t)
			srv.Logger = quiet()
			addr, err := srv.Listen("tcp", "127.0.0.1:0")
			require.NoError(t, err)
			listener, err = srv.NetListener()
			require.NoError(t, err)
			require.Equal(t, addr, listener.Addr())
			served := serve(t, srv)
			web := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				time.Sleep(time.Millisecond)
				fmt.Fprint(w, r.URL.Path)
			})}
			webbed := make(chan error, 1)
			go func() { webbed <- web.Serve(listener) }()
			transport := new(http.Transport)
			defer transport.CloseIdleConnections()
			client := &http.Client{Transport: transport, Timeout: patience}
			for i := range 3 {
				dial(t, addr).echo("hello\n")
				reply, err := client.Get(fmt.Sprintf("http://%s/%d", addr, i))
				require.NoError(t, err)
				body, err := io.ReadAll(reply.Body)
				require.NoError(t, err)
				require.NoError(t, reply.Body.Close())
				require.Equal(t, fmt.Sprint("/", i), string(body))
			}
			require.Equal(t, 4, srv.Stats().Conns, "three of lines, and one kept alive")
			require.NoError(t, web.Shutdown(context.Background()))
			require.ErrorIs(t, receive(t, webbed), http.ErrServerClosed)
			late := dial(t, addr)
			late.send("GET / HTTP/1.1\r\n\r\n")
			late.expectEnd() // the listener is closed, the server is not
			dial(t, addr).echo("hello\n")
			_, err = srv.Shutdown(context.Background())
			require.NoError(t, err)
			require.ErrorIs(t, receive(t, served), tcp.ErrServerClosed)
		})
	}
}

// TestDeliverHoldsBack: what nobody accepts stays in the kernel.
func TestDeliverHoldsBack(t *testing.T) {
	var listener *tcp.NetListener
	for name, srv := range sniffers(&listener) {
		t.Run(name, func(t *testing.T) {
			srv.Loops = 1
			addr := feed(t, srv, &listener)
			var all []*client
			for i := range 40 {
				all = append(all, dial(t, addr))
				all[i].send("GET")
				if i < 16 {
					eventually(t, func() bool { return listener.Waiting() == i+1 })
				}
			}
			time.Sleep(20 * time.Millisecond) // for more, if there were to be any
			require.Equal(t, 16, srv.Stats().Conns)
			for range 40 {
				conn, err := listener.Accept()
				require.NoError(t, err)
				got := make([]byte, 3)
				_, err = io.ReadFull(conn, got)
				require.NoError(t, err)
				require.NoError(t, conn.Close())
			}
		})
	}
}

// feed starts a server that delivers to *listener.
func feed(t *testing.T, srv *tcp.Server, listener **tcp.NetListener) net.Addr {
	t.Helper()
	leaktest.Check(t)
	srv.Logger = quiet()
	addr, err := srv.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	*listener, err = srv.NetListener()
	require.NoError(t, err)
	serve(t, srv)
	return addr
}

// TestDeliverAtShutdown: a connection that was delivered is waited for.
func TestDeliverAtShutdown(t *testing.T) {
	var listener *tcp.NetListener
	for name, srv := range sniffers(&listener) {
		t.Run(name, func(t *testing.T) {
			addr := feed(t, srv, &listener)
			c := dial(t, addr)
			c.send("GET")
			conn, err := listener.Accept()
			require.NoError(t, err)
			counts := make(chan tcp.DrainCounts, 1)
			go func() {
				n, _ := srv.Shutdown(context.Background())
				counts <- n
			}()
			_, err = listener.Accept()
			require.ErrorIs(t, err, net.ErrClosed)
			time.Sleep(20 * time.Millisecond) // for Shutdown to end, if it were to
			require.Empty(t, counts)
			_, err = io.WriteString(conn, "answer")
			require.NoError(t, err)
			require.NoError(t, conn.Close())
			c.expect("answer")
			c.expectEOF()
			require.Equal(t, tcp.DrainCounts{Drained: 1}, receive(t, counts))
		})
	}
}

// TestDeliverRefused: what cannot be delivered stays the caller's.
func TestDeliverRefused(t *testing.T) {
	errs := make(chan error, 4)
	var web, other *tcp.NetListener
	srv := &tcp.Server{Loops: 1, Callback: func(s *iostream.Stream) {
		errs <- web.Deliver(s)
		errs <- other.Deliver(s)
		lineCallback(s)
	}}
	addr := feed(t, srv, &web)
	elsewhere := &tcp.Server{Callback: lineCallback}
	var err error
	other, err = elsewhere.NetListener()
	require.NoError(t, err)
	require.NoError(t, web.Close())
	require.ErrorIs(t, web.Close(), net.ErrClosed)
	dial(t, addr).echo("hello\n")
	requireOpError(t, <-errs, "deliver")
	err = <-errs
	require.ErrorIs(t, err, tcp.ErrInvalid)
	require.ErrorIs(t, web.SetDeadline(time.Now()), net.ErrClosed)
	_, err = srv.NetListener()
	require.ErrorIs(t, err, tcp.ErrInvalid, "the server serves")
}

// TestNetListenerDeadline is package net's, for one who waits and one who comes late.
func TestNetListenerDeadline(t *testing.T) {
	listener := netListen(t, &tcp.Server{Loops: 1}).(*tcp.NetListener)
	ended := make(chan error, 1)
	go func() {
		_, err := listener.Accept()
		ended <- err
	}()
	require.NoError(t, listener.SetDeadline(time.Now().Add(10*time.Millisecond)))
	err := receive(t, ended)
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	var timeout net.Error
	require.True(t, errors.As(err, &timeout) && timeout.Timeout())
	_, err = listener.Accept()
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	require.NoError(t, listener.SetDeadline(time.Time{}))
	dial(t, listener.Addr())
	conn, err := listener.Accept()
	require.NoError(t, err)
	require.NoError(t, conn.Close())
}

func TestNetListenerSyscallConn(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("package syscall names options otherwise there")
	}
	listener := netListen(t, &tcp.Server{Loops: 1}).(*tcp.NetListener)
	var _ syscall.Conn = listener
	raw, err := listener.SyscallConn()
	require.NoError(t, err)
	called := false
	require.NoError(t, raw.Control(func(fd uintptr) { called = fd > 2 }))
	require.True(t, called)
	require.ErrorIs(t, raw.Read(func(uintptr) bool { return true }), errors.ErrUnsupported)
	require.ErrorIs(t, raw.Write(func(uintptr) bool { return true }), errors.ErrUnsupported)
	require.NoError(t, listener.Close())
	eventually(t, func() bool {
		_, err = listener.SyscallConn()
		return errors.Is(err, net.ErrClosed)
	})
}

// TestStarted: the loops can be had before the first client is there.
func TestStarted(t *testing.T) {
	ticks := make(chan *ioloop.Loop, 100)
	srv := &tcp.Server{Loops: 3, Handler: lines}
	srv.Hooks.Started = func(loops []*ioloop.Loop) {
		require.Len(t, loops, 3)
		for _, l := range loops {
			_, err := l.Every(time.Millisecond, func() {
				select {
				case ticks <- l:
				default:
				}
			})
			require.NoError(t, err)
		}
	}
	local(t, srv)
	seen := make(map[*ioloop.Loop]bool)
	for len(seen) < 3 {
		seen[receive(t, ticks)] = true
	}
	require.Zero(t, srv.Stats().Accepted)
}

// HTTP and a protocol of lines on one port: the first bytes tell them apart.
func ExampleNetListener_Deliver() {
	var web *tcp.NetListener
	srv := &tcp.Server{Callback: func(s *iostream.Stream) {
		_ = s.ReadFunc(iostream.Peek(4), func(first []byte, err error) {
			switch {
			case err != nil:
			case string(first) == "GET ":
				err = web.Deliver(s)
			default:
				err = s.Handle(iostream.Until("\n"), func(line []byte, err error) bool {
					_, _ = s.WriteString(strings.ToUpper(string(line)))
					return err == nil
				})
			}
			if err != nil {
				s.Abort(err)
			}
		})

	}}
	addr, _ := srv.Listen("tcp", "127.0.0.1:0")
	web, _ = srv.NetListener()
	served := make(chan error)
	go func() { served <- srv.Serve(context.Background()) }()
	site := http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "hello, %s", r.URL.Path[1:])
	})}
	go func() { _ = site.Serve(web) }()

	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	reply, err := client.Get("http://" + addr.String() + "/eddy")
	if err != nil {
		panic(err)
	}
	body, _ := io.ReadAll(reply.Body)
	_ = reply.Body.Close()
	fmt.Println(string(body))

	conn, err := net.Dial("tcp", addr.String())
	if err != nil {
		panic(err)
	}
	fmt.Fprintln(conn, "hello, eddy")
	answer := make([]byte, 12)
	_, _ = io.ReadFull(conn, answer)
	fmt.Print(string(answer))
	_ = conn.Close()

	_ = site.Shutdown(context.Background())
	_, _ = srv.Shutdown(context.Background())
	fmt.Println(<-served)
	// Output:
	// hello, eddy
	// HELLO, EDDY
	// tcp: server closed
}

// A server tells all of its clients the time, from timers on its own loops.
func ExampleHooks_started() {
	srv := &tcp.Server{Callback: func(s *iostream.Stream) {
		_ = s.Handle(iostream.Some(0), func(_ []byte, err error) bool { return err == nil })
	}}
	srv.Hooks.Started = func(loops []*ioloop.Loop) {
		for _, l := range loops {
			_, _ = l.Every(time.Millisecond, func() {
				for s := range iostream.Streams(l) {
					_, _ = s.WriteString("tick\n")
				}
			})
		}
	}
	addr, _ := srv.Listen("tcp", "127.0.0.1:0")
	served := make(chan error)
	go func() { served <- srv.Serve(context.Background()) }()
	conn, err := net.Dial("tcp", addr.String())
	if err != nil {
		panic(err)
	}
	tick := make([]byte, 5)
	_, _ = io.ReadFull(conn, tick)
	fmt.Print(string(tick))
	_ = conn.Close()
	_ = srv.Close()
	fmt.Println(<-served)
	// Output:
	// tick
	// tcp: server closed
}
