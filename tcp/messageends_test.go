//go:build unix || windows

package tcp_test

import (
	"errors"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
	"github.com/eddyloop/eddy/tcp"
	"github.com/stretchr/testify/require"
)

// messageEnds are the ways in which a message's function ends, and its stream.
var messageEnds = []struct {
	name     string
	failures int  // of the loop's callbacks and tasks
	told     bool // as a failed one
	end      func(*iostream.Stream) error
}{
	{"error", 0, true, func(*iostream.Stream) error { return errors.New("played") }},
	{"panic", 1, true, func(*iostream.Stream) error { panic("played") }},
	{"Goexit", 1, true, func(*iostream.Stream) error { runtime.Goexit(); return nil }},
	{"panic in Goexit", 1, true, func(*iostream.Stream) error {
		defer func() { panic("played") }()
		runtime.Goexit()
		return nil
	}},
	{"Close", 0, false, func(s *iostream.Stream) error { return s.Close() }},
	{"Abort", 0, false, func(s *iostream.Stream) error { s.Abort(errors.New("played")); return nil }},
	{"Abort and panic", 1, true, func(s *iostream.Stream) error { s.Abort(errors.New("played")); panic("played") }},
	{"Detach", 0, false, func(s *iostream.Stream) error {
		conn, _, err := s.Detach()
		if err == nil {
			err = conn.Close()
		}
		return err
	}},
	{"taken over", 0, false, func(s *iostream.Stream) error {
		return s.ReadFunc(line, func([]byte, error) { _ = s.Close() })
	}},
}

// Connections and functions at work are counted out once, however they end, whether the
// function has waited, and whether who is told of its failure fails too.
func TestMessageEndsAreCounted(t *testing.T) {
	for _, e := range messageEnds {
		for _, hookFails := range []bool{false, true} {
			if hookFails && !e.told {
				continue
			}
			name := e.name
			if hookFails {
				name += ", and the hook"
			}
			t.Run(name, func(t *testing.T) {
				var told, closed atomic.Int64
				srv := &tcp.Server{
					Frame: line, ProfileLabel: "test",
					Stream: iostream.Config{OnClosed: func(*iostream.Stream, error) { closed.Add(1) }},
					Hooks: tcp.Hooks{Failed: func(*iostream.Stream, error) {
						if told.Add(1); hookFails {
							panic("the hook")
						}
					}},
					Message: func(t *ioloop.Task, s *iostream.Stream, msg []byte) error {
						switch string(msg) {
						case "end\n":
							return e.end(s)
						case "wait\n":
							if err := t.Yield(); err != nil {
								return err
							}
							return e.end(s)
						}
						return lineMessage(t, s, msg)
					},
				}
				group := newGroup(t, 1, ioloop.Config{})
				srv.Group = group
				addr, _ := local(t, srv)
				other := dial(t, addr)
				other.echo("before\n")
				const conns = 12
				for i := range conns {
					c := dial(t, addr)
					c.send([]string{"end\nmore\n", "wait\nmore\n", "x\nend\nmore\n", "x\nwait\nmore\n"}[i%4])
					c.expectEnd()
					require.NoError(t, c.Close())
				}
				other.echo("after\n")
				eventually(t, func() bool { return srv.Stats().Conns == 1 })
				require.Zero(t, srv.Stats().Handlers)
				require.EqualValues(t, conns, closed.Load())
				stats := group.Loops()[0].Stats()
				require.Zero(t, stats.Tasks)
				failures := e.failures
				if e.told {
					require.EqualValues(t, conns, told.Load())
				}
				if hookFails {
					failures++
				}
				require.EqualValues(t, conns*failures, stats.Failures)
			})
		}
	}
}
