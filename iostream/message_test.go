//go:build unix

package iostream_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/eddyloop/eddy/internal/allocs"
	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
	"github.com/eddyloop/eddy/iostreamtest"
	"github.com/stretchr/testify/require"
)

// answerer is a stream whose lines fn handles, and its peer.
func answerer(t *testing.T, config *iostream.Config, fn func(*ioloop.Task, *iostream.Stream, []byte) error) (*iostream.Stream, net.Conn, *ioloop.Loop) {
	t.Helper()
	l := startLoop(t, ioloop.Config{})
	s, peer := pair(t, l, "tcp", config)
	require.NoError(t, s.HandleTask(iostream.Until("\n"), fn))
	return s, peer, l
}

func closedWith(t *testing.T, s *iostream.Stream) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	require.NoError(t, s.WaitClosed(ctx))
	return s.Err()
}

// readText returns the next n bytes of the peer's.
func readText(t *testing.T, peer net.Conn, n int) string {
	t.Helper()
	require.NoError(t, peer.SetReadDeadline(time.Now().Add(patience)))
	p := make([]byte, n)
	_, err := io.ReadFull(peer, p)
	require.NoError(t, err)
	return string(p)
}

// What a message's function waits with, before it answers.
var taskWaits = []struct {
	name string
	wait func(t *ioloop.Task, s *iostream.Stream) error
}{
	{"nothing", func(*ioloop.Task, *iostream.Stream) error { return nil }},
	{"Yield", func(t *ioloop.Task, _ *iostream.Stream) error { return t.Yield() }},
	{"Sleep", func(t *ioloop.Task, _ *iostream.Stream) error { return t.Sleep(time.Microsecond) }},
	{"Flush", func(t *ioloop.Task, s *iostream.Stream) error { return s.Flush(t) }},
	{"Await", func(t *ioloop.Task, _ *iostream.Stream) error {
		_, err := ioloop.Await(t, func() (int, error) { return 1, nil })
		return err
	}},
}

// Messages are handled one after another, whatever their function waits for, and
// are what they were until it returns.
func TestHandleTask(t *testing.T) {
	const lines = 200
	for _, w := range taskWaits {
		for _, pipelined := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/pipelined=%v", w.name, pipelined), func(t *testing.T) {
				busy := false
				s, peer, _ := answerer(t, nil, func(task *ioloop.Task, s *iostream.Stream, msg []byte) error {
					was := string(msg)
					if busy {
						return errors.New("two at once")
					}
					busy = true
					if err := w.wait(task, s); err != nil {
						return err
					}
					busy = false
					if string(msg) != was {
						return fmt.Errorf("%q was %q", msg, was)
					}
					_, err := s.Write(msg)
					return err
				})
				var all strings.Builder
				for i := range lines {
					fmt.Fprintf(&all, "line %04d\n", i)
				}
				if pipelined {
					send(t, peer, all.String())
					require.Equal(t, all.String(), readText(t, peer, all.Len()))
				} else {
					for line := range strings.Lines(all.String()) {
						send(t, peer, line)
						require.Equal(t, line, readText(t, peer, len(line)))
					}
				}
				require.NoError(t, peer.Close())
				require.Equal(t, io.EOF, closedWith(t, s))
			})
		}
	}
}

// A quiet stream has no task; one whose function waits has.
func TestHandleTaskOnlyWhileItWorks(t *testing.T) {
	release := make(chan struct{})
	s, peer, l := answerer(t, nil, func(task *ioloop.Task, s *iostream.Stream, msg []byte) error {
		_, err := ioloop.Await(task, func() (int, error) { <-release; return 0, nil })
		_, _ = s.Write(msg)
		return err
	})
	require.Zero(t, l.Stats().Tasks)
	send(t, peer, "a\n")
	eventually(t, func() bool { return l.Stats().Tasks == 1 })
	close(release)
	require.Equal(t, "a\n", readText(t, peer, 2))
	eventually(t, func() bool { return l.Stats().Tasks == 0 })
	require.NoError(t, s.Err())
}

// The function reads more of the stream than its message, which stays as it is.
func TestHandleTaskReadsOn(t *testing.T) {
	body := strings.Repeat("0123456789abcdef", 1<<12)
	ways := map[string]func(context.Context, *iostream.Stream) (string, error){
		"Read": func(ctx context.Context, s *iostream.Stream) (string, error) {
			b, err := s.Read(ctx, iostream.Bytes(len(body)))
			return string(b), err
		},
		"ReadAtLeast": func(ctx context.Context, s *iostream.Stream) (string, error) {
			b := make([]byte, len(body))
			_, err := s.ReadAtLeast(ctx, b, len(b))
			return string(b), err
		},
		"pieces": func(ctx context.Context, s *iostream.Stream) (string, error) {
			var all []byte
			for len(all) < len(body) {
				b, err := s.Read(ctx, iostream.Some(min(100, len(body)-len(all))))
				if err != nil {
					return "", err
				}
				all = append(all, b...)
			}
			return string(all), nil
		},
	}
	for name, read := range ways {
		for _, split := range []int{3, 20, 70, 5000, 40000} { // how much comes first
			t.Run(fmt.Sprint(name, split), func(t *testing.T) {
				s, peer, l := answerer(t, nil, func(task *ioloop.Task, s *iostream.Stream, msg []byte) error {
					was := string(msg)
					got, err := read(task, s)
					if err != nil {
						return err
					}
					if got != body || string(msg) != was {
						return fmt.Errorf("message %q was %q; body right: %v", msg, was, got == body)
					}
					_, err = s.Write([]byte("ok " + was))
					return err
				})
				all := strings.Repeat("header\n"+body, 3)
				send(t, peer, all[:split])
				onLoop(t, l, func() {})
				send(t, peer, all[split:])
				require.Equal(t, strings.Repeat("ok header\n", 3), readText(t, peer, 30))
				require.NoError(t, peer.Close())
				require.Equal(t, io.EOF, closedWith(t, s))
			})
		}
	}
}

// How a stream of messages ends, and what its end is told as.
func TestHandleTaskEnds(t *testing.T) {
	calls := 0
	answer := func(_ *ioloop.Task, s *iostream.Stream, msg []byte) error {
		calls++
		_, err := s.Write(msg)
		return err
	}
	type fn = func(*ioloop.Task, *iostream.Stream, []byte) error
	waits := func(then fn) fn {
		return func(t *ioloop.Task, s *iostream.Stream, msg []byte) error {
			if err := t.Yield(); err != nil {
				return err
			}
			return then(t, s, msg)
		}
	}
	fails := func(_ *ioloop.Task, s *iostream.Stream, msg []byte) error {
		calls++
		_, _ = s.Write(msg)
		return errPlayed
	}
	panics := func(*ioloop.Task, *iostream.Stream, []byte) error { calls++; panic(errPlayed) }
	exits := func(*ioloop.Task, *iostream.Stream, []byte) error { calls++; runtime.Goexit(); return nil }
	closes := func(_ *ioloop.Task, s *iostream.Stream, msg []byte) error {
		calls++
		_, _ = s.Write(msg)
		return s.Close()
	}
	aborts := func(_ *ioloop.Task, s *iostream.Stream, _ []byte) error { calls++; s.Abort(errPlayed); return nil }
	for name, test := range map[string]struct {
		fn     fn
		config iostream.Config
		send   string
		fin    bool
		calls  int
		answer string
		want   error
	}{
		"end":                {fn: answer, send: "a\nb\n", fin: true, calls: 2, answer: "a\nb\n", want: io.EOF},
		"end, waits":         {fn: waits(answer), send: "a\nb\n", fin: true, calls: 2, answer: "a\nb\n", want: io.EOF},
		"end within message": {fn: answer, send: "a\nb", fin: true, calls: 1, answer: "a\n", want: io.ErrUnexpectedEOF},
		"too long":           {fn: answer, config: iostream.Config{ReadLimit: 4}, send: "a\nabcdefg", calls: 1, answer: "a\n", want: iostream.ErrTooLong},
		"error":              {fn: fails, send: "a\nb\n", calls: 1, answer: "a\n", want: errPlayed},
		"error after wait":   {fn: waits(fails), send: "a\nb\n", calls: 1, answer: "a\n", want: errPlayed},
		"panic":              {fn: panics, send: "a\nb\n", calls: 1, want: errPlayed},
		"panic after wait":   {fn: waits(panics), send: "a\nb\n", calls: 1, want: errPlayed},
		"Goexit":             {fn: exits, send: "a\nb\n", calls: 1, want: ioloop.ErrGoexit},
		"Goexit after wait":  {fn: waits(exits), send: "a\nb\n", calls: 1, want: ioloop.ErrGoexit},
		"Close":              {fn: closes, send: "a\nb\n", calls: 1, answer: "a\n", want: net.ErrClosed},
		"Close after wait":   {fn: waits(closes), send: "a\nb\n", calls: 1, answer: "a\n", want: net.ErrClosed},
		"Abort":              {fn: aborts, send: "a\nb\n", calls: 1, want: errPlayed},
		"Abort after wait":   {fn: waits(aborts), send: "a\nb\n", calls: 1, want: errPlayed},
	} {
		t.Run(name, func(t *testing.T) {
			calls = 0
			told := make(chan error, 2)
			config := test.config
			config.OnClosed = func(_ *iostream.Stream, err error) { told <- err }
			s, peer, l := answerer(t, &config, test.fn)
			send(t, peer, test.send)
			if test.fin {
				closeWrite(t, peer)
			}
			require.NoError(t, peer.SetReadDeadline(time.Now().Add(patience)))
			got, _ := io.ReadAll(peer)
			require.Equal(t, test.answer, string(got))
			require.NoError(t, peer.Close())
			require.ErrorIs(t, closedWith(t, s), test.want)
			require.ErrorIs(t, receive(t, told), test.want)
			onLoop(t, l, func() { require.Equal(t, test.calls, calls) })
			require.Empty(t, told)
			eventually(t, func() bool { return l.Stats().Tasks == 0 })
		})
	}
}

// Frames that cannot be, and a second read, are refused before anything changes.
func TestHandleTaskRefuses(t *testing.T) {
	l := startLoop(t, ioloop.Config{})
	s, _ := pair(t, l, "tcp", nil)
	fn := func(*ioloop.Task, *iostream.Stream, []byte) error { return nil }
	requireIs(t, s.HandleTask(iostream.Until("\n"), nil), iostream.ErrInvalid)
	requireIs(t, s.HandleTask(iostream.Frame{}, fn), iostream.ErrInvalid)
	requireIs(t, s.HandleTask(iostream.Bytes(0), fn), iostream.ErrInvalid)
	requireIs(t, s.HandleTask(iostream.Bytes(2<<20), fn), iostream.ErrTooLong)
	require.NoError(t, s.HandleTask(iostream.Until("\n"), fn))
	requireIs(t, s.HandleTask(iostream.Until("\n"), fn), iostream.ErrReadPending)
	_, err := s.Read(context.Background(), iostream.Bytes(1))
	requireIs(t, err, iostream.ErrReadPending)
}

// Another reader takes the stream over from within the function.
func TestHandleTaskTakenOver(t *testing.T) {
	echo := func(prefix string, s *iostream.Stream) func([]byte, error) bool {
		return func(msg []byte, err error) bool {
			if err == nil {
				_, err = s.Write([]byte(prefix + string(msg)))
			}
			return err == nil
		}
	}
	for name, takeOver := range map[string]func(*ioloop.Task, *iostream.Stream) error{
		"Handle": func(_ *ioloop.Task, s *iostream.Stream) error { return s.Handle(iostream.Until("\n"), echo("new ", s)) },
		"HandleTask": func(_ *ioloop.Task, s *iostream.Stream) error {
			return s.HandleTask(iostream.Until("\n"), func(t *ioloop.Task, s *iostream.Stream, msg []byte) error {
				if err := t.Yield(); err != nil {
					return err
				}
				_, err := s.Write([]byte("new " + string(msg)))
				return err
			})
		},
	} {
		for _, waits := range []bool{false, true} {
			t.Run(fmt.Sprint(name, waits), func(t *testing.T) {
				s, peer, _ := answerer(t, nil, func(task *ioloop.Task, s *iostream.Stream, msg []byte) error {
					if string(msg) != "upgrade\n" {
						_, err := s.Write([]byte("old " + string(msg)))
						return err
					}
					if waits {
						if err := task.Yield(); err != nil {
							return err
						}
					}
					return takeOver(task, s)
				})
				send(t, peer, "a\nupgrade\nb\nc\n")
				require.Equal(t, "old a\nnew b\nnew c\n", readText(t, peer, 18))
				send(t, peer, "d\n")
				require.Equal(t, "new d\n", readText(t, peer, 6))
				require.NoError(t, peer.Close())
				require.Equal(t, io.EOF, closedWith(t, s))
			})
		}
	}
}

// SetFrame from the function, also while it reads the stream itself; Pause and
// Resume.
func TestHandleTaskSetFramePause(t *testing.T) {
	resume := make(chan *iostream.Stream, 1)
	_, peer, _ := answerer(t, nil, func(task *ioloop.Task, s *iostream.Stream, msg []byte) error {
		switch string(msg) {
		case "three\n":
			if err := s.SetFrame(iostream.Bytes(3)); err != nil {
				return err
			}
		case "read\n":
			b, err := s.Read(task, iostream.Bytes(2))
			if err != nil {
				return err
			}
			if err := s.SetFrame(iostream.Bytes(3)); err != nil {
				return err
			}
			_, _ = s.Write(b)
		case "pause\n":
			s.Pause()
			resume <- s
		default:
			_ = s.SetFrame(iostream.Until("\n"))
		}
		_, err := s.Write([]byte("<" + string(msg) + ">"))
		return err
	})
	send(t, peer, "three\nabcread\nxxabc")
	require.Equal(t, "<three\n><abc>xx<read\n><abc>", readText(t, peer, 27))
	send(t, peer, "pause\nb\n")
	require.Equal(t, "<pause\n>", readText(t, peer, 8))
	s := receive(t, resume)
	require.NoError(t, peer.SetReadDeadline(time.Now().Add(20*time.Millisecond)))
	_, err := peer.Read(make([]byte, 1))
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	s.Resume()
	require.Equal(t, "<b\n>", readText(t, peer, 4))
}

// While the function waits nothing is received, and a peer that does not read is
// not read from.
func TestHandleTaskReadsNotAhead(t *testing.T) {
	release := make(chan struct{})
	s, peer, l := answerer(t, nil, func(task *ioloop.Task, s *iostream.Stream, msg []byte) error {
		_, err := ioloop.Await(task, func() (int, error) { <-release; return 0, nil })
		return err
	})
	send(t, peer, "a\n")
	eventually(t, func() bool { return l.Stats().Tasks == 1 })
	for range 10 {
		send(t, peer, strings.Repeat("b", 4000))
		onLoop(t, l, func() {})
	}
	require.Zero(t, s.Buffered())
	close(release)
	eventually(t, func() bool { return s.Buffered() > 0 })
}

// Nor behind a message of no bytes, for which the stream has no buffer.
func TestHandleTaskReadsNotAheadOfNothing(t *testing.T) {
	p := playWire(t, nil, iostreamtest.Options{})
	var told []string
	require.NoError(t, p.HandleTask(iostream.Until("\n"), func(task *ioloop.Task, s *iostream.Stream, msg []byte) error {
		if told = append(told, string(msg)); len(msg) > 0 {
			return s.SetFrame(iostream.Bytes(0))
		}
		return errors.Join(s.SetFrame(iostream.Until("\n")), task.Sleep(time.Second))
	}))
	p.wire.Arrive([]byte("a\n"))
	p.settle()
	require.Equal(t, []string{"a\n", ""}, told)
	p.wire.Arrive([]byte("b\n"))
	p.settle()
	require.Equal(t, 2, p.wire.State().Received)
	require.NoError(t, p.Advance(time.Second))
	require.Equal(t, []string{"a\n", "", "b\n", ""}, told)
	require.NoError(t, p.Advance(time.Second))
}

// The read deadline, idle timeout and hold.
func TestHandleTaskDeadline(t *testing.T) {
	s, peer, _ := answerer(t, nil, func(*ioloop.Task, *iostream.Stream, []byte) error { return nil })
	require.NoError(t, s.SetReadDeadline(time.Now().Add(10*time.Millisecond)))
	_, err := peer.Read(make([]byte, 1))
	require.Equal(t, io.EOF, err)
	require.NoError(t, peer.Close())
	require.ErrorIs(t, closedWith(t, s), os.ErrDeadlineExceeded)
}

func TestHandleTaskHold(t *testing.T) {
	release := make(chan func(), 1)
	s, peer, _ := answerer(t, nil, func(_ *ioloop.Task, s *iostream.Stream, msg []byte) error {
		release <- s.Hold()
		return nil
	})
	send(t, peer, "a\n")
	closeWrite(t, peer)
	r := receive(t, release)
	quiet(t, s.Loop())
	require.NoError(t, s.Err())
	_, err := s.Write([]byte("late\n"))
	require.NoError(t, err)
	r()
	got, err := io.ReadAll(peer)
	require.NoError(t, err)
	require.Equal(t, "late\n", string(got))
	closedWith(t, s)
}

// A loop that stops tells the function that waits, once.
func TestHandleTaskOfStoppedLoop(t *testing.T) {
	l, err := ioloop.New(ioloop.Config{Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	defer l.Close()
	ended := make(chan error, 1)
	go func() { ended <- l.Run(context.Background()) }()
	s, peer := pair(t, l, "tcp", nil)
	stubborn, told := make(chan error, 3), make(chan error, 3)
	require.NoError(t, s.HandleTask(iostream.Until("\n"), func(task *ioloop.Task, _ *iostream.Stream, msg []byte) error {
		defer func() { stubborn <- nil }()
		for {
			err := task.Sleep(time.Hour)
			told <- err
		}
	}))
	send(t, peer, "a\n")
	eventually(t, func() bool { return l.Stats().Tasks == 1 })
	l.Stop()
	require.NoError(t, receive(t, ended))
	require.ErrorIs(t, receive(t, told), ioloop.ErrTaskStopped)
	receive(t, stubborn)
	require.Empty(t, told)
	require.Error(t, s.Err())
	require.ErrorIs(t, s.Err(), ioloop.ErrTaskStopped)
}

// Value is a stream's own, of its type and variable.
func TestValue(t *testing.T) {
	type session struct{ user string }
	var one, other iostream.Value[session]
	l := startLoop(t, ioloop.Config{})
	a, _ := pair(t, l, "tcp", nil)
	b, _ := pair(t, l, "tcp", nil)
	require.Nil(t, one.Get(a))
	require.Zero(t, allocs.PerRun(10, func() { one.Get(b) }))
	one.Of(a).user = "x"
	require.Same(t, one.Of(a), one.Get(a))
	require.Nil(t, one.Get(b))
	require.Nil(t, other.Get(a))
	require.Equal(t, "x", one.Of(a).user)
	require.Empty(t, one.Of(b).user)
	require.Empty(t, other.Of(a).user)
}

// StartTLS from the function: the messages go on behind the handshake.
func TestHandleTaskStartsTLS(t *testing.T) {
	s, peer, _ := answerer(t, nil, func(task *ioloop.Task, s *iostream.Stream, msg []byte) error {
		if string(msg) != "STARTTLS\n" {
			_, err := s.Write(msg)
			return err
		}
		if _, err := s.Write([]byte("go\n")); err != nil {
			return err
		}
		if err := s.StartTLS(task, iostream.TLSServer(serverConfig(tls.VersionTLS13))); err != nil {
			return err
		}
		if string(msg) != "STARTTLS\n" {
			return errPlayed
		}
		_, err := s.Write([]byte("secure\n"))
		return err
	})
	send(t, peer, "a\nSTARTTLS\n")
	require.Equal(t, "a\ngo\n", readText(t, peer, 5))
	secure := tls.Client(peer, clientConfig(tls.VersionTLS13))
	send(t, secure, "b\nc\n")
	require.Equal(t, "secure\nb\nc\n", readText(t, secure, 11))
	require.NoError(t, secure.Close())
	require.Equal(t, io.EOF, closedWith(t, s))
}

// Detach from the function: the connection goes on elsewhere.
func TestHandleTaskDetaches(t *testing.T) {
	for _, waits := range []bool{false, true} {
		conns := make(chan net.Conn, 1)
		s, peer, _ := answerer(t, nil, func(task *ioloop.Task, s *iostream.Stream, msg []byte) error {
			if waits {
				if err := task.Yield(); err != nil {
					return err
				}
			}
			conn, rest, err := s.Detach()
			if string(rest) == "rest\n" {
				conns <- conn
			}
			return err
		})
		send(t, peer, "a\nrest\n")
		conn := receive(t, conns)
		require.ErrorIs(t, closedWith(t, s), net.ErrClosed)
		send(t, conn, "hello\n")
		require.Equal(t, "hello\n", readText(t, peer, 6))
		require.NoError(t, conn.Close())
	}
}

// A function at work is no silence; a stream that waits for a message is.
func TestHandleTaskIdle(t *testing.T) {
	var clock ioloop.ManualClock
	l := startLoop(t, ioloop.Config{Clock: &clock})
	s, peer := pair(t, l, "tcp", nil)
	release := make(chan struct{})
	require.NoError(t, s.HandleTask(iostream.Until("\n"), func(task *ioloop.Task, _ *iostream.Stream, _ []byte) error {
		_, err := ioloop.Await(task, func() (int, error) { <-release; return 0, nil })
		return err
	}))
	require.NoError(t, s.SetIdleTimeout(time.Minute))
	send(t, peer, "a\n")
	eventually(t, func() bool { return l.Stats().Tasks == 1 })
	for range 10 {
		clock.Advance(time.Minute)
		onLoop(t, l, func() {})
		quiet(t, l)
	}
	require.NoError(t, s.Err())
	close(release)
	eventually(t, func() bool { return l.Stats().Tasks == 0 })
	require.NoError(t, peer.(*net.TCPConn).CloseWrite())
	closedWith(t, s)
}

// A message costs its Task and nothing else.
func TestHandleTaskAllocatesItsTask(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates on its own")
	}
	client := echoPair(t, func(t testing.TB, s *iostream.Stream) {
		require.NoError(t, s.HandleTask(iostream.Until("\n"), func(_ *ioloop.Task, s *iostream.Stream, msg []byte) error {
			_, err := s.Write(msg)
			return err
		}))
	})
	message, answer := []byte("message\n"), make([]byte, 8)
	average := allocs.PerRun(20, func() {
		for range countedMessages {
			roundTrip(client, message, answer)
		}
	})
	require.Less(t, average/countedMessages, 1.1, "allocations for each burst")
}

// 20,000 functions that call Goexit, some after a wait, leave nothing behind.
func TestHandleTaskGoexits(t *testing.T) {
	w := iostreamtest.NewWorld()
	defer w.Close()
	told := 0
	config := &iostream.Config{OnClosed: func(_ *iostream.Stream, err error) {
		if err == ioloop.ErrGoexit {
			told++
		}
	}}
	const streams = 20_000
	for i := range streams {
		wire := iostreamtest.NewWire(iostreamtest.Options{Window: -1})
		s, err := iostream.New(w.Loop, wire.Transport(), config)
		require.NoError(t, err)
		require.NoError(t, s.HandleTask(iostream.Until("\n"), func(task *ioloop.Task, _ *iostream.Stream, _ []byte) error {
			if i%2 == 0 {
				_ = task.Yield()
			}
			runtime.Goexit()
			return nil
		}))
		wire.Arrive([]byte("a\n"))
		if i%100 == 99 {
			require.NoError(t, w.Settle())
		}
	}
	require.Equal(t, streams, told)
	require.Zero(t, w.Loop.Stats().Tasks)
}

// What the messages' frame works with is not that of the function's own reads.
func TestHandleTaskReadsOnByAnotherFrame(t *testing.T) {
	lines := iostream.Split(bufio.ScanLines)
	words := iostream.Split(bufio.ScanWords)
	for name, f := range map[string][3]iostream.Frame{
		"split":  {lines, iostream.Bytes(1), words},
		"regexp": {iostream.UntilRegexp(regexp.MustCompile("\n")), iostream.Bytes(1), iostream.UntilRegexp(regexp.MustCompile(" "))},
	} {
		t.Run(name, func(t *testing.T) {
			l := startLoop(t, ioloop.Config{})
			s, peer := pair(t, l, "tcp", nil)
			require.NoError(t, s.HandleTask(f[0], func(task *ioloop.Task, s *iostream.Stream, msg []byte) error {
				one, err := s.Read(task, f[1])
				if err != nil {
					return err
				}
				first := string(one)
				word, err := s.Read(task, f[2])
				if err != nil {
					return err
				}
				_, err = fmt.Fprintf(s, "%s,%s,%s;", bytes.TrimSpace(msg), first, bytes.TrimSpace(word))
				return err
			}))
			send(t, peer, "a b\n!word c d\n", "!other e f\n!third ")
			require.Equal(t, "a b,!,word;c d,!,other;e f,!,third;", readText(t, peer, 35))
		})
	}
}
