//go:build unix || windows

package tcp_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/eddyloop/eddy/internal/wine"
	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
	"github.com/eddyloop/eddy/tcp"
	"github.com/stretchr/testify/require"
)

var line = iostream.Until("\n")

// lineMessage is lines as a message's function.
func lineMessage(_ *ioloop.Task, s *iostream.Stream, msg []byte) error {
	if string(msg) == "bye\n" {
		return s.Close()
	}
	_, err := s.Write(msg)
	return err
}

func TestMessage(t *testing.T) {
	for name, srv := range map[string]*tcp.Server{
		"plain": {},
		"TLS":   {TLS: testTLS().server},
	} {
		t.Run(name, func(t *testing.T) {
			srv.Frame, srv.Message = line, lineMessage
			addr, _ := local(t, srv)
			c := dial(t, addr)
			if srv.TLS != nil {
				require.NoError(t, c.Close())
				c = overTLS(t, addr, testTLS().client)
			}
			c.echo("hello\n")
			c.echo("a\nb\nc\n")
			c.send("d\nbye\n")
			c.expect("d\n")
			c.expectEOF()
			require.NoError(t, c.Close())
			eventually(t, func() bool { return srv.Stats().Conns == 0 })
			require.Zero(t, srv.Stats().Handlers)
		})
	}
}

func TestMessageBehindProxyHeader(t *testing.T) {
	srv := &tcp.Server{Frame: line, ProxyProtocol: &tcp.ProxyProtocol{Trusted: everybody}, Message: func(_ *ioloop.Task, s *iostream.Stream, msg []byte) error {
		_, err := fmt.Fprintf(s, "%v %s", s.RemoteAddr(), msg)
		return err
	}}
	addr, _ := local(t, srv)
	c := dial(t, addr)
	c.send("PROXY TCP4 192.0.2.1 192.0.2.2 7 8\r\nhello\n")
	c.expect("192.0.2.1:7 hello\n")
	c.send("again\n")
	c.expect("192.0.2.1:7 again\n")
}

func TestMessageIsChecked(t *testing.T) {
	for name, srv := range map[string]*tcp.Server{
		"no frame":         {Message: lineMessage},
		"endless frame":    {Message: lineMessage, Frame: iostream.Bytes(0)},
		"too long":         {Message: lineMessage, Frame: iostream.Bytes(2 << 20)},
		"no message":       {Handler: lines, Frame: line},
		"opens no message": {Handler: lines, Open: lines},
		"beside Handler":   {Message: lineMessage, Frame: line, Handler: lines},
		"beside Callback":  {Message: lineMessage, Frame: line, Callback: lineCallback},
	} {
		t.Run(name, func(t *testing.T) {
			require.ErrorIs(t, srv.Serve(context.Background()), tcp.ErrInvalid)
		})
	}
	srv := &tcp.Server{Message: lineMessage, Frame: line}
	_, err := srv.NetListener()
	require.ErrorIs(t, err, tcp.ErrInvalid)
}

func TestMessageFails(t *testing.T) {
	failure := errors.New("no more")
	for name, test := range map[string]struct {
		fail func() error
		want error
	}{
		"error":  {func() error { return failure }, failure},
		"panic":  {func() error { panic(failure) }, failure},
		"Goexit": {func() error { runtime.Goexit(); return nil }, ioloop.ErrGoexit},
	} {
		t.Run(name, func(t *testing.T) {
			told, failed := make(chan error, 200), make(chan error, 200)
			srv := &tcp.Server{
				Loops:  1,
				Frame:  line,
				Stream: iostream.Config{OnClosed: func(_ *iostream.Stream, err error) { told <- err }},
				Hooks:  tcp.Hooks{Failed: func(_ *iostream.Stream, err error) { failed <- err }},
				Message: func(t *ioloop.Task, s *iostream.Stream, msg []byte) error {
					switch string(msg) {
					case "fail\n":
						return test.fail()
					case "wait and fail\n":
						if err := t.Yield(); err != nil {
							return err
						}
						return test.fail()
					}
					return lineMessage(t, s, msg)
				},
			}
			addr, _ := local(t, srv)
			other := dial(t, addr)
			other.echo("before\n")
			for i := range 100 {
				c := dial(t, addr)
				c.send([]string{"fail\n", "wait and fail\n"}[i%2])
				c.expectEnd()
				require.NoError(t, c.Close())
				require.ErrorIs(t, receive(t, told), test.want)
				require.ErrorIs(t, receive(t, failed), test.want)
			}
			other.echo("after\n")
			eventually(t, func() bool { return srv.Stats().Conns == 1 })
			require.Zero(t, srv.Stats().Handlers)
			require.Empty(t, told)
			require.Empty(t, failed)
		})
	}
}

// A connection is open until its message's function has returned, also when its
// client has gone; then it is counted out, once.
func TestMessageOutlivesItsClient(t *testing.T) {
	wine.SkipResets(t)
	release, told := make(chan struct{}), make(chan error, 2)
	srv := &tcp.Server{
		Frame:  line,
		Stream: iostream.Config{OnClosed: func(_ *iostream.Stream, err error) { told <- err }},
		Message: func(t *ioloop.Task, s *iostream.Stream, msg []byte) error {
			_, err := ioloop.Await(t, func() (int, error) { <-release; return 0, nil })
			return err
		},
	}
	addr, _ := local(t, srv)
	c := dial(t, addr)
	c.send("a\n")
	eventually(t, func() bool { return srv.Stats().Handlers == 1 })
	c.reset()
	require.Error(t, receive(t, told))
	require.Equal(t, 1, srv.Stats().Conns)
	close(release)
	eventually(t, func() bool { return srv.Stats().Conns == 0 && srv.Stats().Handlers == 0 })
	require.Empty(t, told)
}

// Shutdown lets finish what is under way, and closes the rest.
func TestMessageShutdown(t *testing.T) {
	for name, test := range map[string]struct {
		send   string // before
		wait   bool   // the function waits
		then   string // what is sent after Shutdown was called
		answer string
		forced int
	}{
		"no message yet":          {},
		"quiet":                   {send: "a\n", answer: "a\n"},
		"within a message":        {send: "a\nb", then: "b\n", answer: "a\nbb\n"},
		"function waits":          {send: "wait\n", wait: true, answer: "wait\n"},
		"function waits, more":    {send: "wait\nb\n", wait: true, answer: "wait\nb\n"},
		"function waits for ever": {send: "wait\n", wait: true, forced: 1},
	} {
		t.Run(name, func(t *testing.T) {
			release := make(chan struct{})
			srv := &tcp.Server{Frame: line, Message: func(t *ioloop.Task, s *iostream.Stream, msg []byte) error {
				if string(msg) == "wait\n" {
					if _, err := ioloop.Await(t, func() (int, error) { <-release; return 0, nil }); err != nil {
						return err
					}
				}
				return lineMessage(t, s, msg)
			}}
			addr, served := local(t, srv)
			c := dial(t, addr)
			c.send(test.send)
			before := strings.TrimSuffix(test.answer, test.then)
			if before = before[:strings.LastIndex(before, "\n")+1]; !test.wait {
				c.expect(before)
			} else {
				before = ""
			}
			eventually(t, func() bool { return srv.Stats().Conns == 1 && srv.Stats().Handlers == len(test.send)/5 })
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			if test.forced > 0 {
				cancel()
			}
			type ending struct {
				counts tcp.DrainCounts
				err    error
			}
			ended := make(chan ending, 1)
			go func() {
				counts, err := srv.Shutdown(ctx)
				ended <- ending{counts, err}
			}()
			if test.forced > 0 {
				c.expectEnd()
				close(release)
			} else {
				eventually(t, func() bool { return len(srv.Addrs()) == 0 })
				c.send(test.then)
				close(release)
				c.expect(test.answer[len(before):])
				c.expectEOF()
			}
			require.NoError(t, c.Close())
			e := receive(t, ended)
			require.Equal(t, test.forced, e.counts.Forced)
			require.Equal(t, 1-test.forced, e.counts.Drained)
			require.ErrorIs(t, receive(t, served), tcp.ErrServerClosed)
		})
	}
}

// A client that pipelines without end leaves others their turns.
func TestMessageFairness(t *testing.T) {
	var busy atomic.Int64
	srv := &tcp.Server{Loops: 1, Frame: line, Message: func(_ *ioloop.Task, s *iostream.Stream, msg []byte) error {
		if string(msg) == "x\n" {
			busy.Add(1)
			return nil
		}
		_, err := s.Write(msg)
		return err
	}}
	addr, _ := local(t, srv)
	greedy := dial(t, addr)
	go func() {
		for all := bytes.Repeat([]byte("x\n"), 32<<10); ; {
			if _, err := greedy.Write(all); err != nil {
				return
			}
		}
	}()
	c := dial(t, addr)
	eventually(t, func() bool { return busy.Load() > 1000 })
	for range 50 {
		c.echo("hello\n")
	}
	require.NoError(t, greedy.Close())
}

// Functions wait at the same time, as many as there are connections, and more than
// coroutines are kept.
func TestMessagesWaitTogether(t *testing.T) {
	const conns = 300
	release := make(chan struct{})
	srv := &tcp.Server{Loops: 1, Frame: line, Message: func(t *ioloop.Task, s *iostream.Stream, msg []byte) error {
		if _, err := ioloop.Await(t, func() (int, error) { <-release; return 0, nil }); err != nil {
			return err
		}
		return lineMessage(t, s, msg)
	}}
	addr, _ := local(t, srv)
	var clients []*client
	for i := range conns {
		c := dial(t, addr)
		c.send(fmt.Sprintf("%d\n", i))
		clients = append(clients, c)
	}
	eventually(t, func() bool { return srv.Stats().Handlers == conns })
	close(release)
	for i, c := range clients {
		c.expect(fmt.Sprintf("%d\n", i))
		c.echo("again\n")
	}
	eventually(t, func() bool { return srv.Stats().Handlers == 0 })
}

// 16 MiB are written at once, and what was read is no longer than the limit.
func TestMessageWritesMuch(t *testing.T) {
	big := bytes.Repeat([]byte("0123456789abcdef"), 1<<20)
	srv := &tcp.Server{Frame: line, Message: func(t *ioloop.Task, s *iostream.Stream, msg []byte) error {
		if _, err := s.Write(big); err != nil {
			return err
		}
		return s.Flush(t)
	}}
	addr, _ := local(t, srv)
	c := dial(t, addr)
	c.send("a\nb\n")
	require.NoError(t, c.Conn.(*net.TCPConn).CloseWrite())
	n, err := io.Copy(io.Discard, c)
	require.NoError(t, err)
	require.Equal(t, int64(2*len(big)), n)
}

// Serve's end stops functions that would wait for ever.
func TestMessageForced(t *testing.T) {
	told := make(chan error, 1)
	srv := &tcp.Server{Frame: line, Message: func(t *ioloop.Task, s *iostream.Stream, msg []byte) error {
		err := t.Sleep(time.Hour)
		told <- err
		return err
	}}
	addr, served := local(t, srv)
	c := dial(t, addr)
	c.send("a\n")
	eventually(t, func() bool { return srv.Stats().Handlers == 1 })
	require.NoError(t, srv.Close())
	require.ErrorIs(t, receive(t, told), ioloop.ErrTaskStopped)
	require.ErrorIs(t, receive(t, served), tcp.ErrServerClosed)
	require.Zero(t, srv.Stats().Handlers)
}
