//go:build unix || windows

package iostream_test

import (
	"context"
	"testing"
	"time"

	"github.com/eddyloop/eddy/internal/streamhook"
	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
	"github.com/eddyloop/eddy/iostreamtest"
	"github.com/stretchr/testify/require"
)

// What a task has read stays as it is while it waits and others receive, all into the
// loop's one buffer.
func TestMessageOfATaskIsItsOwn(t *testing.T) {
	for name, read := range map[string]func(s *iostream.Stream, wait func(*ioloop.Task, []byte)) error{
		"Read": func(s *iostream.Stream, wait func(*ioloop.Task, []byte)) error {
			return s.Loop().Go(func(task *ioloop.Task) {
				for {
					line, err := s.Read(task, iostream.Until("\n"))
					if err != nil {
						return
					}
					wait(task, line)
				}
			})
		},
		"HandleTask": func(s *iostream.Stream, wait func(*ioloop.Task, []byte)) error {
			return s.HandleTask(iostream.Until("\n"), func(task *ioloop.Task, _ *iostream.Stream, line []byte) error {
				wait(task, line)
				return nil
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := playWire(t, nil, iostreamtest.Options{}), iostreamtest.NewWire(iostreamtest.Options{})
			other, err := iostream.New(a.World.Loop, b.Transport(), nil)
			require.NoError(t, err)
			require.NoError(t, other.Handle(iostream.Until("\n"), func(_ []byte, err error) bool { return err == nil }))
			var got []string
			require.NoError(t, read(a.Stream, func(task *ioloop.Task, line []byte) {
				_ = task.Sleep(time.Second)
				got = append(got, string(line))
			}))
			a.settle()
			for range 3 { // the first is no steady state
				a.wire.Arrive([]byte("mine\n"))
				a.settle()
				b.Arrive([]byte("other\n"))
				require.NoError(t, a.Advance(time.Second))
			}
			require.Equal(t, []string{"mine\n", "mine\n", "mine\n"}, got)
		})
	}
}

// So does what a callback reads itself, until the next read.
func TestMessageOfACallbackThatReadsOnIsItsOwn(t *testing.T) {
	for name, f := range map[string]iostream.Frame{"one byte ends it": iostream.Until("\n"), "another": iostream.Bytes(7)} {
		t.Run(name, func(t *testing.T) {
			a, b := playWire(t, nil, iostreamtest.Options{}), iostreamtest.NewWire(iostreamtest.Options{})
			other, err := iostream.New(a.World.Loop, b.Transport(), nil)
			require.NoError(t, err)
			require.NoError(t, other.Handle(iostream.Until("\n"), func(_ []byte, err error) bool { return err == nil }))
			a.settle()
			var kept []byte
			require.NoError(t, a.Handle(iostream.Until("\n"), func(_ []byte, err error) bool {
				require.NoError(t, err)
				kept, err = a.Read(context.Background(), f) // it is there
				require.NoError(t, err)
				return true
			}))
			a.wire.Arrive([]byte("first\nsecond\n"))
			a.settle()
			b.Arrive([]byte("what another stream receives\n"))
			a.settle()
			require.Equal(t, "second\n", string(kept))
		})
	}
}

// So does a message that is found when the stream is looked at once more before it shuts down,
// together with what has broken the connection.
func TestLastMessageOfATaskIsItsOwn(t *testing.T) {
	a, b := playWire(t, nil, iostreamtest.Options{}), iostreamtest.NewWire(iostreamtest.Options{})
	other, err := iostream.New(a.World.Loop, b.Transport(), nil)
	require.NoError(t, err)
	require.NoError(t, other.Handle(iostream.Until("\n"), func(_ []byte, err error) bool { return err == nil }))
	a.wire.Arrive([]byte("mine\n"))
	a.wire.FailReads(errPlayed)
	a.settle() // that something is behind the message is known
	var got string
	require.NoError(t, a.World.Loop.Go(func(task *ioloop.Task) {
		line, _ := a.Read(task, iostream.Until("\n"))
		_ = task.Sleep(time.Second)
		got = string(line)
	}))
	_, err = a.RunOnce()
	require.NoError(t, err)
	streamhook.CloseWhenIdle(a.Stream)
	a.settle()
	require.ErrorContains(t, a.Stream.Err(), "played")
	b.Arrive([]byte("other\n"))
	require.NoError(t, a.Advance(time.Second))
	require.Equal(t, "mine\n", got)
}
