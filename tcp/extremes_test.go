//go:build unix || windows

package tcp_test

import (
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"math"
	"os"
	"testing"
	"time"

	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
	"github.com/eddyloop/eddy/tcp"
	"github.com/stretchr/testify/require"
)

// lineStyles are servers that echo lines.
var lineStyles = map[string]func(*tcp.Server){
	"handler":  func(srv *tcp.Server) { srv.Handler = lines },
	"callback": func(srv *tcp.Server) { srv.Callback = lineCallback },
	"message": func(srv *tcp.Server) {
		srv.Frame = iostream.Until("\n")
		srv.Message = func(_ *ioloop.Task, s *iostream.Stream, line []byte) error {
			_, err := s.Write(line)
			return err
		}
	},
}

// With every limit at 1, a client that keeps to it is served, one that does not is ended,
// and the next one is let in.
func TestLimitsOfOne(t *testing.T) {
	for name, style := range lineStyles {
		for _, secure := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				srv := &tcp.Server{Loops: 1, MaxConns: 1, MaxHandshakes: 1, Backlog: 1,
					Stream: iostream.Config{ReadLimit: 1, WriteLimit: 1, HighWaterMark: 1}}
				style(srv)
				if secure {
					srv.TLS = testTLS().server
				}
				addr, _ := local(t, srv)
				for range 3 {
					c := dial(t, addr)
					if secure {
						c = &client{tls.Client(c.Conn, testTLS().client), t}
					}
					for range 3 {
						c.echo("\n")
					}
					next := dial(t, addr) // has to wait, and says nothing
					c.send("\n\n\n\n")
					c.expect("\n\n\n\n")
					next.Close()
					c.send("too long\n")
					_, err := io.ReadAll(c)
					require.NotErrorIs(t, err, os.ErrDeadlineExceeded)
					c.Close()
				}
				eventually(t, func() bool { return srv.Stats().Conns == 0 })
			})
		}
	}
}

// timed is a server all of whose clocks run for d.
func timed(d time.Duration) *tcp.Server {
	return &tcp.Server{IdleTimeout: d, DrainTimeout: d, Stream: iostream.Config{
		CloseTimeout: d, MessageTimeout: d, SendTimeout: d, HandshakeTimeout: d,
	}}
}

// Clocks of a nanosecond end connections, and do nothing worse: nobody is left hanging, and
// the server can be shut down.
func TestClocksOfANanosecond(t *testing.T) {
	for name, style := range lineStyles {
		for _, secure := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				srv := timed(1)
				style(srv)
				if secure {
					srv.TLS = testTLS().server
				}
				addr, done := local(t, srv)
				for range 20 {
					c := dialHasty(t, addr)
					if c == nil {
						continue
					}
					if secure {
						c = &client{tls.Client(c.Conn, testTLS().client), t}
					}
					_, _ = c.Write([]byte("hello\nhalf"))
					_, err := io.ReadAll(c)
					require.NotErrorIs(t, err, os.ErrDeadlineExceeded)
					c.Close()
				}
				eventually(t, func() bool { return srv.Stats().Conns == 0 })
				_, err := srv.Shutdown(context.Background())
				require.NoError(t, err)
				receive(t, done)
			})
		}
	}
}

// Clocks of a century do not ring, also where the loop's own has come near the end of what
// a Duration holds.
func TestClocksOfACentury(t *testing.T) {
	const century = 100 * 365 * 24 * time.Hour
	for name, style := range lineStyles {
		for _, late := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				clock := new(ioloop.ManualClock)
				if late {
					clock.Advance(math.MaxInt64 - 24*time.Hour)
				}
				srv := timed(century)
				srv.Group = newGroup(t, 1, ioloop.Config{Clock: clock})
				style(srv)
				addr, done := local(t, srv)
				c := dial(t, addr)
				for range 3 {
					c.echo("hello\n")
					c.send("half a ")
					clock.Advance(time.Hour)
					c.send("line\n")
					c.expect("half a line\n")
				}
				c.Close()
				eventually(t, func() bool { return srv.Stats().Conns == 0 })
				_, err := srv.Shutdown(context.Background())
				require.NoError(t, err)
				receive(t, done)
			})
		}
	}
}

// stuckLog is a log whose sink never returns.
type stuckLog struct {
	slog.Handler
	never chan struct{}
}

func (l stuckLog) Handle(context.Context, slog.Record) error { <-l.never; return nil }
func (l stuckLog) Enabled(context.Context, slog.Level) bool  { return true }
func (l stuckLog) WithAttrs([]slog.Attr) slog.Handler        { return l }
func (l stuckLog) WithGroup(string) slog.Handler             { return l }

// A log sink that never returns holds up neither clients nor the end of the server, whatever
// clients do that is logged.
func TestLogSinkThatNeverReturns(t *testing.T) {
	for name, style := range lineStyles {
		t.Run(name, func(t *testing.T) {
			log := stuckLog{never: make(chan struct{})}
			defer close(log.never)
			srv := &tcp.Server{Loops: 1, Logger: slog.New(log), Stream: iostream.Config{ReadLimit: 100}}
			style(srv)
			secure := &tcp.Server{Loops: 1, Logger: slog.New(log), TLS: testTLS().server, Handler: func(*ioloop.Task, *iostream.Stream) error {
				panic("oops")
			}}
			addr, done := local(t, srv)
			secureAddr, _ := local(t, secure)
			for range 100 {
				long := dial(t, addr)
				long.send(string(make([]byte, 200)))
				long.expectEnd()
				bad := dial(t, secureAddr) // no handshake
				bad.send("hello, is this TLS?\n")
				_, _ = io.ReadAll(bad)
				bad.Close()
			}
			panics := tls.Client(dial(t, secureAddr), testTLS().client)
			_, _ = panics.Write([]byte("\n"))
			_, err := io.ReadAll(panics)
			require.NotErrorIs(t, err, os.ErrDeadlineExceeded)
			dial(t, addr).echo("hello\n")
			_, err = srv.Shutdown(context.Background())
			require.NoError(t, err)
			receive(t, done)
		})
	}
}
