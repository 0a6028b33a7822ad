package iostreamtest_test

import (
	"testing"
	"time"

	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
	"github.com/eddyloop/eddy/iostreamtest"
	"github.com/stretchr/testify/require"
)

// The time of a message runs too if a part of it was here before its read began: a task
// reads on at once or later, and the peer says nothing more.
func TestMessageTimeoutOfAPartThatWasHere(t *testing.T) {
	reads := map[string]func(t *ioloop.Task, s *iostream.Stream) error{
		"line": func(t *ioloop.Task, s *iostream.Stream) error {
			_, err := s.Read(t, iostream.Until("\n"))
			return err
		},
		"bytes": func(t *ioloop.Task, s *iostream.Stream) error {
			_, err := s.Read(t, iostream.Bytes(10))
			return err
		},
		"into a buffer": func(t *ioloop.Task, s *iostream.Stream) error {
			_, err := s.ReadAtLeast(t, make([]byte, 10), 10)
			return err
		},
	}
	for name, read := range reads {
		for when, pause := range map[string]time.Duration{"at once": 0, "later": time.Second} {
			for _, style := range []string{"task", "message's task"} {
				t.Run(name+", "+when+", "+style, func(t *testing.T) {
					world := iostreamtest.NewWorld()
					defer world.Close()
					wire := iostreamtest.NewWire(iostreamtest.Options{})
					s, err := iostream.New(world.Loop, wire.Transport(), &iostream.Config{MessageTimeout: time.Minute})
					require.NoError(t, err)
					var got error
					next := func(task *ioloop.Task) {
						if pause > 0 {
							_ = task.Sleep(pause)
						}
						got = read(task, s)
					}
					if style == "task" {
						require.NoError(t, world.Loop.Go(func(task *ioloop.Task) {
							_, got = s.Read(task, iostream.Until("\n"))
							next(task)
						}))
					} else {
						require.NoError(t, s.HandleTask(iostream.Until("\n"), func(task *ioloop.Task, _ *iostream.Stream, _ []byte) error {
							next(task)
							return nil
						}))
					}
					require.NoError(t, world.Settle())
					wire.Arrive([]byte("line\npart"))
					require.NoError(t, world.Advance(pause))
					require.NoError(t, world.Advance(59*time.Second))
					require.NoError(t, got)
					require.NoError(t, world.Advance(time.Second))
					require.ErrorIs(t, got, iostream.ErrMessageTimeout)
				})
			}
		}
	}
}
