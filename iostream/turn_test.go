//go:build unix

package iostream_test

import (
	"strings"
	"testing"
	"time"

	"github.com/eddyloop/eddy/internal/testtime"
	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
	"github.com/eddyloop/eddy/iostreamtest"
	"github.com/stretchr/testify/require"
)

// A pipelining client's lines are dealt over turns, whatever style reads them: no turn
// takes in many more than its share, though all are there.
func TestPipelinedLinesLeaveTheLoop(t *testing.T) {
	const lines = 1 << 14             // 32 KiB, which sockets take without a reader
	const cost = 5 * time.Microsecond // a hundred are the share of a kind of work
	for style, read := range map[string]func(t *testing.T, l *ioloop.Loop, s *iostream.Stream, line func()){
		"callback": func(t *testing.T, _ *ioloop.Loop, s *iostream.Stream, line func()) {
			require.NoError(t, s.Handle(iostream.Until("\n"), func(_ []byte, err error) bool {
				line()
				return err == nil
			}))
		},
		"callback each": func(t *testing.T, _ *ioloop.Loop, s *iostream.Stream, line func()) {
			var again func(msg []byte, err error)
			again = func(_ []byte, err error) {
				if line(); err == nil {
					_ = s.ReadFunc(iostream.Until("\n"), again)
				}
			}
			require.NoError(t, s.ReadFunc(iostream.Until("\n"), again))
		},
		"message": func(t *testing.T, _ *ioloop.Loop, s *iostream.Stream, line func()) {
			require.NoError(t, s.HandleTask(iostream.Until("\n"), func(*ioloop.Task, *iostream.Stream, []byte) error {
				line()
				return nil
			}))
		},
		"task": func(t *testing.T, l *ioloop.Loop, s *iostream.Stream, line func()) {
			require.NoError(t, l.Go(func(task *ioloop.Task) {
				for err := error(nil); err == nil; line() {
					_, err = s.Read(task, iostream.Until("\n"))
				}
			}))
		},
	} {
		t.Run(style, func(t *testing.T) {
			l := startLoop(t, ioloop.Config{})
			s, peer := pair(t, l, "tcp", nil)
			release := holdLoop(t, l)
			send(t, peer, strings.Repeat("x\n", lines))
			total, inTurn, most, turn := 0, 0, 0, uint64(0)
			done := make(chan int, 1)
			read(t, l, s, func() {
				if now := l.Stats().Turns; now != turn {
					turn, inTurn = now, 0
				}
				inTurn++
				most = max(most, inTurn)
				if total++; total == lines {
					done <- most
				}
				for began := l.Now(); l.Now()-began < cost; {
				}
			})
			release()
			require.Less(t, receive(t, done), 2000)
		})
	}
}

// A callback that takes long leaves the loop to others behind each message, though more are
// there, whether it waits for each by itself or not.
func TestSlowCallbackLeavesTheLoop(t *testing.T) {
	testtime.WholeTurns(t)
	const lines = 300
	for name, each := range map[string]bool{"Handle": false, "ReadFunc": true} {
		t.Run(name, func(t *testing.T) {
			p := playWire(t, nil, iostreamtest.Options{})
			total, inTurn, most, turn := 0, 0, 0, uint64(0)
			line := func() {
				if now := p.World.Loop.Stats().Turns; now != turn {
					turn, inTurn = now, 0
				}
				if total++; total > lines/2 { // it is known then how long it takes
					inTurn++
					most = max(most, inTurn)
				}
				p.Clock.Advance(time.Second)
			}
			var again func(msg []byte, err error)
			again = func(_ []byte, err error) {
				if line(); err == nil {
					_ = p.ReadFunc(iostream.Until("\n"), again)
				}
			}
			if each {
				require.NoError(t, p.ReadFunc(iostream.Until("\n"), again))
			} else {
				require.NoError(t, p.Stream.Handle(iostream.Until("\n"), func(_ []byte, err error) bool {
					line()
					return err == nil
				}))
			}
			p.wire.Arrive([]byte(strings.Repeat("x\n", lines)))
			p.settle()
			require.Equal(t, lines, total)
			require.LessOrEqual(t, most, 2)
		})
	}
}
