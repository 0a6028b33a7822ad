//go:build unix || windows

package iostream_test

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"regexp"
	"strings"
	"testing"

	"github.com/eddyloop/eddy/internal/streamhook"
	"github.com/eddyloop/eddy/internal/testtime"
	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
	"github.com/eddyloop/eddy/iostreamtest"
	"github.com/eddyloop/eddy/iosync"
	"github.com/stretchr/testify/require"
)

// final is what bufio calls the last token: a line "end".
func final(b []byte, atEOF bool) (int, []byte, error) {
	advance, line, err := bufio.ScanLines(b, atEOF)
	if string(line) == "end" {
		err = bufio.ErrFinalToken
	}
	return advance, line, err
}

// How the messages that a task handles end is how the stream does.
func TestMessagesEndTheStream(t *testing.T) {
	for name, test := range map[string]struct {
		f     iostream.Frame
		input string
		fin   bool
		told  []string
		err   error
	}{
		"all there is":         {iostream.UntilClose(), "all", true, []string{"all"}, io.EOF},
		"nothing":              {iostream.UntilClose(), "", true, []string{""}, io.EOF},
		"the last token":       {iostream.Split(final), "one\nend\n", false, []string{"one", "end"}, net.ErrClosed},
		"what takes nothing":   {iostream.UntilRegexp(regexp.MustCompile(`x*`)), "y", false, []string{""}, io.ErrNoProgress},
		"the same, at the end": {iostream.UntilRegexp(regexp.MustCompile(`x*`)), "y", true, []string{""}, io.ErrNoProgress},
		"within a message":     {iostream.Until("\n"), "one\ntw", true, []string{"one\n"}, io.ErrUnexpectedEOF},
		"behind a message":     {iostream.Until("\n"), "one\n", true, []string{"one\n"}, io.EOF},
	} {
		for _, waits := range []bool{false, true} {
			p := newPuppet(t, iostreamtest.Options{}, nil)
			require.NoError(t, p.HandleTask(test.f, func(task *ioloop.Task, _ *iostream.Stream, msg []byte) error {
				p.tell(msg, nil)
				if waits {
					return task.Yield()
				}
				return nil
			}))
			p.wire.Arrive([]byte(test.input))
			if test.fin {
				p.wire.FIN()
			}
			p.expect(test.told...)
			require.Equal(t, 1, p.wire.State().FINs, name)
			p.wire.FIN()
			p.expect()
			require.ErrorIs(t, p.Err(), test.err, name)
		}
	}
}

// A function that has Handle take the stream over ends it when that has ended.
func TestMessagesTakenOver(t *testing.T) {
	p := newPuppet(t, iostreamtest.Options{}, nil)
	require.NoError(t, p.HandleTask(iostream.Until("\n"), func(task *ioloop.Task, s *iostream.Stream, msg []byte) error {
		p.tell(msg, nil)
		err := s.Handle(iostream.Until("\n"), func(msg []byte, err error) bool {
			p.tell(msg, err)
			return false
		})
		return errors.Join(err, task.Yield())
	}))
	p.arrive("one\ntwo\nthree\n", "one\n", "two\n")
	p.wire.FIN()
	p.expect()
	require.Equal(t, net.ErrClosed, p.Err())
}

// What is called behind a message's function may fail, too.
func TestCallbackBehindAMessageFails(t *testing.T) {
	budget, err := iostream.NewBudget(1 << 30)
	require.NoError(t, err)
	for _, config := range []*iostream.Config{nil, {Budget: budget}} {
		p := newPuppet(t, iostreamtest.Options{}, config)
		require.NoError(t, p.HandleTask(iostream.Until("\n"), func(_ *ioloop.Task, s *iostream.Stream, msg []byte) error {
			p.tell(msg, nil)
			_, err := s.Write(msg)
			require.NoError(t, err)
			return s.WaitSentFunc(s.Mark(), func(error) { panic("a callback") })
		}))
		p.arrive("one\n", "one\n")
		p.arrive("two\n")
		var failed *ioloop.PanicError
		require.ErrorAs(t, p.Err(), &failed)
	}
}

// Who is told of the tasks is told of each once, in order, and may fail: also where the
// whole pump begins the task, as it does with a Budget.
func TestToldOfTasks(t *testing.T) {
	budget, err := iostream.NewBudget(1 << 30)
	require.NoError(t, err)
	for i := range 4 {
		fails := i%2 == 1
		var p *puppet
		note := func(what string) { p.tell([]byte(what), nil) }
		config := new(iostream.Config)
		if i >= 2 {
			config.Budget = budget
		}
		streamhook.OnTasks(config, &streamhook.Tasks{
			Label: func() func() { note("label"); return func() { note("unlabel") } },
			Waits: func(any) { note("waits") },
			End: func(_ any, waited, over bool, err error) {
				note("end")
				require.True(t, waited)
				require.False(t, over)
				require.NoError(t, err)
				if fails {
					panic("whoever is told")
				}
			},
		})
		p = newPuppet(t, iostreamtest.Options{}, config)
		require.NoError(t, p.HandleTask(iostream.Until("\n"), func(tk *ioloop.Task, _ *iostream.Stream, msg []byte) error {
			p.tell(msg, nil)
			if string(msg) == "two\n" {
				return tk.Yield()
			}
			return nil
		}))
		p.arrive("one\n", "label", "one\n", "unlabel")
		p.arrive("one\ntwo\n", "label", "one\n", "two\n", "waits", "end", "unlabel")
		require.Equal(t, fails, p.Err() != nil)
	}
}

// A task handles a batch of messages that are there, and a turn has several such tasks.
func TestMessagesOfOneTask(t *testing.T) {
	testtime.WholeTurns(t)
	budget, err := iostream.NewBudget(1 << 30)
	require.NoError(t, err)
	p := newPuppet(t, iostreamtest.Options{}, &iostream.Config{Budget: budget})
	var batches []int
	var last *ioloop.Task
	turns := map[uint64]bool{}
	require.NoError(t, p.HandleTask(iostream.Until("\n"), func(task *ioloop.Task, _ *iostream.Stream, _ []byte) error {
		if task != last {
			last, batches = task, append(batches, 0)
		}
		batches[len(batches)-1]++
		turns[p.world.Loop.Stats().Turns] = true
		return nil
	}))
	require.NoError(t, p.world.Settle())
	p.wire.Arrive([]byte(strings.Repeat("\n", 80)))
	require.NoError(t, p.world.Settle())
	require.Equal(t, []int{32, 32, 16}, batches)
	require.Len(t, turns, 1)
}

// A function that has waited leaves no buffer behind, as one that has not.
func TestMessageThatWaitsLeavesNoBuffer(t *testing.T) {
	p := newPuppet(t, iostreamtest.Options{}, nil)
	var message []byte
	require.NoError(t, p.HandleTask(iostream.Until("\n"), func(task *ioloop.Task, _ *iostream.Stream, msg []byte) error {
		err := task.Yield()
		message = bytes.Clone(msg)
		return err
	}))
	p.wire.Arrive([]byte("line\n"))
	require.NoError(t, p.world.Settle())
	require.Equal(t, "line\n", string(message))
	require.False(t, iostream.HasInputBuffer(p.Stream))
}

// A repeating read that was held back goes on at the low-water mark, also if its function was
// at work meanwhile.
func TestMessagesGoOnAtTheLowWaterMark(t *testing.T) {
	p := newPuppet(t, iostreamtest.Options{Window: iostreamtest.NoWindow}, &iostream.Config{HighWaterMark: 100})
	wake := iosync.Event{}
	require.NoError(t, p.HandleTask(iostream.Until("\n"), func(task *ioloop.Task, s *iostream.Stream, msg []byte) error {
		p.tell(msg, nil)
		if len(p.told) > 1 {
			return nil
		}
		_, err := s.Write(make([]byte, 150))
		return errors.Join(err, wake.Wait(task))
	}))
	p.wire.Arrive([]byte("one\ntwo\n"))
	require.NoError(t, p.world.Settle())
	p.wire.AddWindow(80) // 70 are left
	require.NoError(t, p.world.Settle())
	wake.Set()
	p.expect("one\n")
	p.wire.AddWindow(20)
	p.expect("two\n")
}

// A callback that closes the stream is told the reason, and of no further message.
func TestCallbackThatCloses(t *testing.T) {
	for how, end := range map[string]func(s *iostream.Stream){
		"Close": func(s *iostream.Stream) { _ = s.Close() },
		"Abort": func(s *iostream.Stream) { s.Abort(net.ErrClosed) },
	} {
		for _, one := range []string{"one\n", "one\ntwo\n"} {
			p := newPuppet(t, iostreamtest.Options{}, nil)
			require.NoError(t, p.Handle(iostream.Until("\n"), func(msg []byte, err error) bool {
				p.tell(msg, err)
				end(p.Stream)
				return true
			}))
			p.wire.Arrive([]byte(one))
			require.NoError(t, p.world.Settle())
			require.Equal(t, []string{"one\n", ", " + net.ErrClosed.Error()}, p.told, how)
		}
	}
}

// The end of the stream is the same whoever has met it.
func TestMessageReadsToTheEnd(t *testing.T) {
	p := newPuppet(t, iostreamtest.Options{}, nil)
	require.NoError(t, p.HandleTask(iostream.Until("\n"), func(task *ioloop.Task, s *iostream.Stream, _ []byte) error {
		_, err := s.Read(task, iostream.Until("\n"))
		return err
	}))
	p.wire.Arrive([]byte("one\n"))
	p.wire.FIN()
	p.expect()
	require.Equal(t, io.EOF, p.Err())
}

// Who closes when idle looks for a message that has come and was not announced.
func TestCloseWhenIdleLooksForMore(t *testing.T) {
	p := newPuppet(t, iostreamtest.Options{}, nil)
	require.NoError(t, p.Handle(iostream.Until("\n"), func(msg []byte, err error) bool { p.tell(msg, err); return true }))
	require.NoError(t, p.world.Settle())
	streamhook.CloseWhenIdle(p.Stream)
	p.wire.Arrive([]byte("one\n"))
	p.expect("one\n", ", "+net.ErrClosed.Error())
}

// An empty message at the end of the stream is one.
func TestEmptyMessageAtTheEnd(t *testing.T) {
	p := newPuppet(t, iostreamtest.Options{}, nil)
	release := p.Hold()
	require.NoError(t, p.ReadFunc(iostream.Bytes(5), p.tell))
	p.wire.Arrive([]byte("y"))
	p.wire.FIN()
	p.expect(", EOF")
	require.NoError(t, p.HandleTask(iostream.UntilRegexp(regexp.MustCompile(`x*`)), func(_ *ioloop.Task, _ *iostream.Stream, msg []byte) error {
		p.tell(msg, nil)
		return nil
	}))
	release()
	p.expect("")
	require.ErrorIs(t, p.Err(), io.ErrNoProgress)
}

// A stream whose reader has ended closes when nobody holds it any more.
func TestHeldStreamClosesLater(t *testing.T) {
	p := newPuppet(t, iostreamtest.Options{}, nil)
	release := p.Hold()
	require.NoError(t, p.Handle(iostream.Until("\n"), func(msg []byte, err error) bool { p.tell(msg, err); return false }))
	p.arrive("one\n", "one\n")
	require.Zero(t, p.wire.State().FINs)
	release()
	p.expect()
	require.Equal(t, 1, p.wire.State().FINs)
}
