//go:build unix

package iostream_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/eddyloop/eddy/internal/allocs"
	"github.com/eddyloop/eddy/internal/selfexec"
	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// duplexes are what standard input and output may be, and the files that the
// other side reads and writes.
var duplexes = map[string]func(t testing.TB) (in, out, peerIn, peerOut *os.File){
	"pipes": func(t testing.TB) (in, out, peerIn, peerOut *os.File) {
		in, peerOut = makePipe(t)
		peerIn, out = makePipe(t)
		return in, out, peerIn, peerOut
	},
	"fifos": func(t testing.TB) (in, out, peerIn, peerOut *os.File) {
		in, peerOut = makeFIFO(t)
		peerIn, out = makeFIFO(t)
		return in, out, peerIn, peerOut
	},
	"sockets": makeSockets,
}

func makeSockets(t testing.TB) (in, out, peerIn, peerOut *os.File) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	require.NoError(t, err)
	in, peerIn = os.NewFile(uintptr(fds[0]), "in"), os.NewFile(uintptr(fds[1]), "peer")
	closeLater(t, in, peerIn)
	return in, duplicate(t, in), peerIn, peerIn
}

// eachStdio runs a test over everything, opened once more or used as it is.
func eachStdio(t *testing.T, run func(t *testing.T, s *iostream.Stream, in, out, peerIn, peerOut *os.File)) {
	for name, open := range duplexes {
		for _, shared := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s shared=%v", name, shared), func(t *testing.T) {
				in, out, peerIn, peerOut := open(t)
				l := startLoop(t, ioloop.Config{})
				s, err := iostream.NewStdioOf(l, int(in.Fd()), int(out.Fd()), shared, nil)
				require.NoError(t, err)
				t.Cleanup(func() { _ = s.Close() })
				run(t, s, in, out, peerIn, peerOut)
				require.True(t, isBlocking(t, int(in.Fd())))
				require.True(t, isBlocking(t, int(out.Fd())))
				s.Abort(nil)
				require.NoError(t, s.WaitClosed(patient(t)))
				require.Zero(t, l.Stats().Handlers)
				require.True(t, isBlocking(t, int(in.Fd())), "still open, and as it was")
				require.True(t, isBlocking(t, int(out.Fd())))
			})
		}
	}
}

func TestStdioEchoes(t *testing.T) {
	eachStdio(t, func(t *testing.T, s *iostream.Stream, in, out, peerIn, peerOut *os.File) {
		for i := range 10 {
			line := fmt.Sprintf("line %d\n", i)
			_, err := io.WriteString(peerOut, line)
			require.NoError(t, err)
			require.Equal(t, line, receive(t, faces[i%3].read(t, s, until("\n", 0))).data)
			write(t, s, line)
			got := make([]byte, len(line))
			_, err = io.ReadFull(peerIn, got)
			require.NoError(t, err)
			require.Equal(t, line, string(got))
		}
	})
}

// TestStdioHoldsNotTheLoop: neither a read of nothing nor a write to what is
// full blocks, though the descriptors do.
func TestStdioHoldsNotTheLoop(t *testing.T) {
	eachStdio(t, func(t *testing.T, s *iostream.Stream, in, out, peerIn, peerOut *os.File) {
		pending := faces[2].read(t, s, until("\n", 0))
		data := string(pattern(400_000))
		write(t, s, data)
		quiet(t, s.Loop())
		require.Positive(t, s.Backlog())
		before := s.Loop().Stats().Events
		quiet(t, s.Loop())
		require.Equal(t, before, s.Loop().Stats().Events, "nothing is ready")
		require.True(t, isBlocking(t, int(in.Fd())))
		require.True(t, isBlocking(t, int(out.Fd())))
		got := make([]byte, len(data))
		_, err := io.ReadFull(peerIn, got)
		require.NoError(t, err)
		require.Equal(t, data, string(got))
		require.NoError(t, s.Flush(patient(t)))
		_, err = io.WriteString(peerOut, "answer\n")
		require.NoError(t, err)
		require.Equal(t, "answer\n", receive(t, pending).data)
	})
}

// TestStdioWrittenBeforeTheLoopRuns: output that was full then, and is not any more, is
// listened to no longer.
func TestStdioWrittenBeforeTheLoopRuns(t *testing.T) {
	for _, shared := range []bool{false, true} {
		in, out, peerIn, _ := duplexes["pipes"](t)
		l := newLoop(t, ioloop.Config{})
		s, err := iostream.NewStdioOf(l, int(in.Fd()), int(out.Fd()), shared, nil)
		require.NoError(t, err)
		data := string(pattern(400_000))
		write(t, s, data)
		require.Positive(t, s.Backlog())
		ended := make(chan error, 1)
		go func() { ended <- l.Run(context.Background()) }()
		got := make([]byte, len(data))
		_, err = io.ReadFull(peerIn, got)
		require.NoError(t, err)
		require.Equal(t, data, string(got))
		require.NoError(t, s.Flush(patient(t)))
		quiet(t, l)
		before := l.Stats().Events
		quiet(t, l)
		require.Equal(t, before, l.Stats().Events, "nothing is waited for")
		require.NoError(t, l.Close())
		require.NoError(t, receive(t, ended))
	}
}

// TestStdioIsOneStream: though it has two descriptors, the loop knows it once.
func TestStdioIsOneStream(t *testing.T) {
	eachStdio(t, func(t *testing.T, s *iostream.Stream, _, _, _, _ *os.File) {
		quiet(t, s.Loop())
		onLoop(t, s.Loop(), func() {
			n := 0
			for range iostream.Streams(s.Loop()) {
				n++
			}
			require.Equal(t, 1, n)
		})
	})
}

func TestStdioEnds(t *testing.T) {
	for _, answers := range []bool{false, true} {
		t.Run(fmt.Sprint("answers ", answers), func(t *testing.T) {
			in, out, peerIn, peerOut := duplexes["pipes"](t)
			l := startLoop(t, ioloop.Config{})
			s, err := iostream.NewStdioOf(l, int(in.Fd()), int(out.Fd()), false, nil)
			require.NoError(t, err)
			_, err = io.WriteString(peerOut, "the rest")
			require.NoError(t, err)
			require.NoError(t, peerOut.Close())
			rest, err := s.Read(patient(t), iostream.UntilClose())
			require.NoError(t, err)
			require.Equal(t, "the rest", string(rest))
			if answers {
				quiet(t, l)
				before := l.Stats().Events
				quiet(t, l)
				require.Equal(t, before, l.Stats().Events, "the end is told once")
				write(t, s, "answer")
			}
			require.NoError(t, s.CloseWrite())
			require.NoError(t, s.WaitClosed(patient(t)))
			require.Equal(t, io.EOF, s.Err())
			require.NoError(t, out.Close()) // only now does the reader see the end
			got, err := io.ReadAll(peerIn)
			require.NoError(t, err)
			require.Equal(t, strings.Repeat("answer", btoi(answers)), string(got))
		})
	}
}

// A stream that nobody reads learns of the end of its input.
func TestStdioEndsWithoutAReader(t *testing.T) {
	eachStdio(t, func(t *testing.T, s *iostream.Stream, _, _, _, peerOut *os.File) {
		require.NoError(t, peerOut.Close())
		require.NoError(t, s.CloseWrite())
		require.NoError(t, s.WaitClosed(patient(t)))
	})
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// TestStdioGoesOnReadingWithoutAReader: that nobody reads the output any more
// is an error of writes alone.
func TestStdioGoesOnReadingWithoutAReader(t *testing.T) {
	for _, shared := range []bool{false, true} {
		in, out, peerIn, peerOut := duplexes["pipes"](t)
		s, err := iostream.NewStdioOf(startLoop(t, ioloop.Config{}), int(in.Fd()), int(out.Fd()), shared, nil)
		require.NoError(t, err)
		require.NoError(t, peerIn.Close())
		_, err = s.Write([]byte("unread"))
		if err == nil {
			err = s.Flush(patient(t))
		}
		requireIs(t, err, syscall.EPIPE)
		_, err = io.WriteString(peerOut, "line\n")
		require.NoError(t, err)
		require.Equal(t, "line\n", receive(t, faces[0].read(t, s, until("\n", 0))).data)
		s.Abort(nil)
		require.NoError(t, s.WaitClosed(patient(t)))
	}
}

// TestStdioClose: everything is sent, and input is left for whoever
// reads next.
func TestStdioClose(t *testing.T) {
	eachStdio(t, func(t *testing.T, s *iostream.Stream, in, _, peerIn, peerOut *os.File) {
		data := string(pattern(200_000))
		write(t, s, data)
		require.NoError(t, s.Close())
		_, err := io.WriteString(peerOut, "typed ahead")
		require.NoError(t, err)
		quiet(t, s.Loop())
		for _, c := range []struct {
			from *os.File
			want string
		}{{peerIn, data}, {in, "typed ahead"}} {
			got := make([]byte, len(c.want))
			_, err = io.ReadFull(c.from, got)
			require.NoError(t, err)
			require.Equal(t, c.want, string(got))
		}
		require.NoError(t, s.WaitClosed(patient(t)))
		require.Equal(t, net.ErrClosed, s.Err())
	})
}

func TestStdioOfNull(t *testing.T) {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	require.NoError(t, err)
	fd := int(null.Fd())
	defer null.Close()
	s, err := iostream.NewStdioOf(startLoop(t, ioloop.Config{}), fd, fd, false, nil)
	require.NoError(t, err)
	_, err = s.Read(patient(t), iostream.Bytes(1))
	requireIs(t, err, io.EOF)
	write(t, s, string(pattern(1<<20)))
	require.NoError(t, s.Flush(patient(t)))
	s.Abort(nil)
	require.NoError(t, s.WaitClosed(patient(t)))
}

func TestStdioRefusals(t *testing.T) {
	l := startLoop(t, ioloop.Config{})
	r, w := makePipe(t)
	in, out := int(r.Fd()), int(w.Fd())
	f, err := os.Open(t.TempDir())
	require.NoError(t, err)
	defer f.Close()
	dir := int(f.Fd())
	for name, c := range map[string]struct {
		in, out int
		config  *iostream.Config
		err     error
	}{
		"input from a directory": {dir, out, nil, syscall.EISDIR},
		"no input":               {-1, out, nil, syscall.EBADF},
		"no output":              {in, 1 << 20, nil, syscall.EBADF},
		"input that is output":   {out, out, nil, syscall.EBADF},
		"output that is input":   {in, in, nil, syscall.EBADF},
		"limits":                 {in, out, &iostream.Config{WriteLimit: -1}, iostream.ErrInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := iostream.NewStdioOf(l, c.in, c.out, false, c.config)
			requireIs(t, err, c.err)
		})
	}
	_, err = iostream.NewStdio(nil, nil)
	requireIs(t, err, iostream.ErrInvalid)
}

// stdioChild has the test's program be a child that echoes lines by NewStdio,
// and reports to standard error.
const stdioChild = "EDDY_TEST_STDIO"

func runStdioChild() {
	l, err := ioloop.New(ioloop.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		panic(err)
	}
	s, err := iostream.NewStdio(l, nil)
	if err != nil && os.Getenv(stdioChild) == "filter" {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(3)
	}
	if err != nil {
		panic(err)
	}
	if os.Getenv(stdioChild) == "filter" {
		runFilter(l, s)
		return
	}
	_ = l.Go(func(t *ioloop.Task) {
		defer l.Stop()
		for {
			line, err := s.Read(t, iostream.Until("\n"))
			if err == nil && string(line) != "stop\n" {
				_, err = s.Write(line)
			} else if err == nil {
				return
			}
			if err == nil {
				err = s.Flush(t)
			}
			switch {
			case errors.Is(err, io.EOF):
				return
			case errors.Is(err, syscall.EPIPE):
				fmt.Fprintln(os.Stderr, "broken pipe")
			case err != nil:
				panic(err)
			}
		}
	})
	if err := l.Run(context.Background()); err != nil {
		panic(err)
	}
	_ = l.Close()
}

// startChild starts the test's program as the child.
func startChild(t *testing.T, in, out *os.File, stderr io.Writer) *exec.Cmd {
	cmd := selfexec.Command(stdioChild + "=1")
	killer := context.AfterFunc(patient(t), func() { _ = cmd.Process.Kill() })
	t.Cleanup(func() { killer() })
	cmd.Stdin, cmd.Stdout, cmd.Stderr = in, out, stderr
	require.NoError(t, cmd.Start())
	return cmd
}

// TestStdioLeavesTheParentsFilesAlone: what the parent shares with a child is
// blocking while the child lives, when it has ended and when it was killed.
func TestStdioLeavesTheParentsFilesAlone(t *testing.T) {
	for name, open := range duplexes {
		for how, end := range map[string]func(cmd *exec.Cmd, peerOut *os.File) error{
			"ended":  func(_ *exec.Cmd, peerOut *os.File) error { _, err := io.WriteString(peerOut, "stop\n"); return err },
			"killed": func(cmd *exec.Cmd, _ *os.File) error { return cmd.Process.Kill() },
		} {
			t.Run(name+" "+how, func(t *testing.T) {
				in, out, peerIn, peerOut := open(t)
				cmd := startChild(t, in, out, os.Stderr)
				_, err := io.WriteString(peerOut, "hello\n")
				require.NoError(t, err)
				got := make([]byte, 6)
				_, err = io.ReadFull(peerIn, got)
				require.NoError(t, err)
				require.Equal(t, "hello\n", string(got))
				require.True(t, isBlocking(t, int(in.Fd())))
				require.True(t, isBlocking(t, int(out.Fd())))
				require.NoError(t, end(cmd, peerOut))
				require.Equal(t, how == "ended", cmd.Wait() == nil)
				require.True(t, isBlocking(t, int(in.Fd())))
				require.True(t, isBlocking(t, int(out.Fd())))
			})
		}
	}
}

// TestStdioSurvivesABrokenPipe: writing to standard output without a reader is
// an error, not the signal that ends other programs.
func TestStdioSurvivesABrokenPipe(t *testing.T) {
	in, out, peerIn, peerOut := duplexes["pipes"](t)
	r, w := makePipe(t)
	cmd := startChild(t, in, out, w)
	require.NoError(t, peerIn.Close())
	require.NoError(t, w.Close())
	_, err := io.WriteString(peerOut, "a\n")
	require.NoError(t, err)
	expect(t, filePeer{r}, "broken pipe\n")
	_, err = io.WriteString(peerOut, "stop\n")
	require.NoError(t, err)
	require.NoError(t, cmd.Wait())
}

// TestPipeMessagesAllocateNothing: in the steady state, as with sockets.
func TestPipeMessagesAllocateNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates on its own")
	}
	eachStdio(t, func(t *testing.T, s *iostream.Stream, _, _, peerIn, peerOut *os.File) {
		require.NoError(t, s.Handle(iostream.Until("\n"), func(line []byte, err error) bool {
			if err == nil {
				_, err = s.Write(line)
			}
			return err == nil
		}))
		message, answer := []byte(strings.Repeat("x", 63)+"\n"), make([]byte, 64)
		average := allocs.PerRun(10, func() {
			for range 50 {
				_, _ = peerOut.Write(message)
				_, _ = io.ReadFull(peerIn, answer)
			}
		})
		require.Less(t, average/50, 0.05, "allocations for each message")
		onLoop(t, s.Loop(), func() {})
	})
}
