//go:build unix || windows

package tcp_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
	"github.com/eddyloop/eddy/tcp"
	"github.com/stretchr/testify/require"
)

// What was written before the handler returned arrives, although the client
// has sent something that nobody reads.
func TestReturnFlushes(t *testing.T) {
	big := bytes.Repeat([]byte("0123456789abcdef"), 8<<20/16)
	srv := &tcp.Server{Handler: func(t *ioloop.Task, s *iostream.Stream) error {
		if _, err := s.Read(t, iostream.Bytes(1)); err != nil {
			return err
		}
		_, err := s.Write(big)
		return err
	}}
	addr, _ := local(t, srv)
	c := dial(t, addr)
	c.send("x and more")
	eventually(t, func() bool { return srv.Stats().Conns == 1 })
	got, err := io.ReadAll(c)
	require.NoError(t, err)
	require.True(t, bytes.Equal(big, got))
	require.NoError(t, c.Close())
	eventually(t, func() bool { return srv.Stats().Conns == 0 })
}

// A client that does not take what was written is given CloseTimeout.
func TestCloseTimeout(t *testing.T) {
	for name, test := range map[string]struct{ linger, enough time.Duration }{
		"default": {0, iostream.DefaultCloseTimeout},
		"own":     {time.Hour, time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			var clock ioloop.ManualClock
			group := newGroup(t, 1, ioloop.Config{Clock: &clock})
			returned := make(chan struct{})
			srv := &tcp.Server{Group: group, Stream: iostream.Config{CloseTimeout: test.linger}, Handler: func(_ *ioloop.Task, s *iostream.Stream) error {
				defer close(returned)
				_, err := s.Write(make([]byte, 8<<20))
				return err
			}}
			addr, _ := local(t, srv)
			dial(t, addr)
			receive(t, returned)
			on(t, group.Loops()[0], func() {}) // the stream is told
			clock.Advance(test.enough - 1)
			on(t, group.Loops()[0], func() {})
			require.Equal(t, 1, srv.Stats().Conns)
			eventually(t, func() bool { // the kernel may move some now and then
				clock.Advance(test.enough)
				on(t, group.Loops()[0], func() {})
				return srv.Stats().Conns == 0
			})
		})
	}
}

func TestHandlerFails(t *testing.T) {
	failure := errors.New("no more")
	for name, test := range map[string]struct {
		fail   func() error
		reason error
	}{
		"error":  {func() error { return failure }, failure},
		"panic":  {func() error { panic("oops") }, tcp.ErrHandler},
		"Goexit": {func() error { runtime.Goexit(); return nil }, tcp.ErrHandler},
	} {
		t.Run(name, func(t *testing.T) {
			reasons := make(chan error, 2)
			srv := &tcp.Server{
				Loops:  1,
				Stream: iostream.Config{OnClosed: func(_ *iostream.Stream, err error) { reasons <- err }},
				Handler: func(t *ioloop.Task, s *iostream.Stream) error {
					line, err := s.Read(t, iostream.Until("\n"))
					if err != nil {
						return err
					}
					if string(line) == "fail\n" {
						return test.fail()
					}
					if _, err = s.Write(line); err != nil {
						return err
					}
					return lines(t, s)
				},
			}
			addr, _ := local(t, srv)
			other := dial(t, addr)
			other.echo("before\n")
			c := dial(t, addr)
			c.send("fail\n")
			c.expectEnd()
			require.ErrorIs(t, receive(t, reasons), test.reason)
			other.echo("after\n")
			dial(t, addr).echo("new\n")
			require.Equal(t, uint64(3), srv.Stats().Accepted)
			require.Equal(t, 2, srv.Stats().Conns)
		})
	}
}

func TestHandlerErrorIsLogged(t *testing.T) {
	var log logBuffer
	srv := &tcp.Server{
		Logger:  slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Handler: func(*ioloop.Task, *iostream.Stream) error { return errors.New("no more") },
	}
	addr, _ := local(t, srv)
	c := dial(t, addr)
	c.expectEnd()
	eventually(t, func() bool { return strings.Contains(log.String(), "no more") })
	require.Contains(t, log.String(), c.LocalAddr().String())
}

func TestCallbackPanics(t *testing.T) {
	for name, fail := range map[string]func(){
		"panic":  func() { panic("oops") },
		"Goexit": runtime.Goexit,
	} {
		t.Run(name, func(t *testing.T) {
			failed := false // on the only loop
			srv := &tcp.Server{Loops: 1, Callback: func(s *iostream.Stream) {
				if !failed {
					failed = true
					fail()
				}
				lineCallback(s)
			}}
			addr, _ := local(t, srv)
			dial(t, addr).expectEnd()
			dial(t, addr).echo("hello\n")
			eventually(t, func() bool { return srv.Stats().Conns == 1 })
		})
	}
}

// A task of a loop that is stopped is unwound, and its stream closed.
func TestHandlerOfStoppedLoop(t *testing.T) {
	group := newGroup(t, 1, ioloop.Config{})
	reasons := make(chan error, 1)
	srv := &tcp.Server{
		Group:  group,
		Stream: iostream.Config{OnClosed: func(_ *iostream.Stream, err error) { reasons <- err }},
		Handler: func(t *ioloop.Task, s *iostream.Stream) error {
			for {
				_, _ = s.Read(t, iostream.Bytes(1)) // whatever the error
			}
		},
	}
	addr, _ := local(t, srv)
	c := dial(t, addr)
	eventually(t, func() bool { return srv.Stats().Conns == 1 })
	on(t, group.Loops()[0], func() {})
	require.NoError(t, group.Close())
	require.Error(t, receive(t, reasons))
	c.expectEnd()
}

// A connection whose loop is closed before it gets there is closed, too.
func TestLoopClosedBeforeStream(t *testing.T) {
	for name, srv := range map[string]*tcp.Server{
		"task":     {Handler: lines},
		"callback": {Callback: lineCallback},
		"message":  {Frame: line, Message: lineMessage},
	} {
		t.Run(name, func(t *testing.T) {
			group := newGroup(t, 2, ioloop.Config{})
			srv.Group = group
			addr, done := local(t, srv)
			dial(t, addr).echo("on the first loop\n")
			second := group.Loops()[1]
			release := hold(t, second)
			defer release()
			c := dial(t, addr)
			eventually(t, func() bool { return srv.Stats().Conns == 2 })
			require.NoError(t, second.Close())
			release()
			c.expectEnd()
			eventually(t, func() bool { return srv.Stats().Conns == 1 })
			dial(t, addr).expectEnd() // its turn is the closed loop's
			require.NoError(t, srv.Close())
			require.ErrorIs(t, receive(t, done), tcp.ErrServerClosed)
		})
	}
}

// OnClosed of the user's is told of every connection once, with Err.
func TestClosedIsTold(t *testing.T) {
	type ending struct {
		s   *iostream.Stream
		err error
	}
	endings := make(chan ending, 10)
	srv := &tcp.Server{
		Handler: lines,
		Stream:  iostream.Config{OnClosed: func(s *iostream.Stream, err error) { endings <- ending{s, err} }},
	}
	addr, done := local(t, srv)
	c := dial(t, addr)
	c.echo("hello\n")
	c.Close()
	e := receive(t, endings)
	require.Equal(t, io.EOF, e.err)
	require.Equal(t, io.EOF, e.s.Err())
	c = dial(t, addr)
	c.echo("hello\n")
	_, err := srv.Shutdown(context.Background())
	require.NoError(t, err)
	require.ErrorIs(t, receive(t, endings).err, net.ErrClosed)
	receive(t, done)
	require.Empty(t, endings)
}
