//go:build unix

package process_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/eddyloop/eddy/internal/leaktest"
	"github.com/eddyloop/eddy/internal/selfexec"
	"github.com/eddyloop/eddy/internal/testtime"
	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
	"github.com/eddyloop/eddy/process"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

var patience = testtime.Patience(20 * time.Second)

// withoutPidfd has pidfd_open fail, on Linux.
const withoutPidfd = "EDDY_TEST_WITHOUT_PIDFD"

// childRole has the test's program be a child of some kind.
const childRole = "EDDY_TEST_CHILD"

func TestMain(m *testing.M) {
	switch os.Getenv(childRole) {
	case "":
		leaktest.Main(m)
	case "flags": // which of the standard descriptors are non-blocking, and what else is open
		for fd := range 3 {
			flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
			fmt.Println(fd, flags&unix.O_NONBLOCK != 0, err)
		}
		for fd := 3; fd < 100; fd++ {
			var st unix.Stat_t
			if unix.Fstat(fd, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFIFO {
				fmt.Println("inherited", fd)
			}
		}
	}
}

func startLoop(t testing.TB) *ioloop.Loop {
	t.Helper()
	l, _ := runLoop(t)
	return l
}

// runLoop also tells when the loop has let go of all that it held.
func runLoop(t testing.TB) (l *ioloop.Loop, ended <-chan struct{}) {
	t.Helper()
	leaktest.Check(t)
	l, err := ioloop.New(ioloop.Config{Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	done := make(chan struct{})
	var failed error
	go func() {
		failed = l.Run(context.Background())
		close(done)
	}()
	t.Cleanup(func() {
		_ = l.Close()
		<-done
		require.NoError(t, failed)
	})
	settle(t, l)
	return l, done
}

func patient(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

func receive[T any](t testing.TB, c <-chan T) (value T) {
	t.Helper()
	select {
	case value = <-c:
	case <-time.After(patience):
		t.Fatal("nothing came")
	}
	return value
}

// start starts a shell command.
func start(t testing.TB, l *ioloop.Loop, script string, pipes process.Pipes) (*process.Process, *exec.Cmd) {
	t.Helper()
	cmd := exec.Command("sh", "-c", script)
	p, err := process.Start(l, cmd, pipes, nil)
	require.NoError(t, err)
	return p, cmd
}

func TestConversation(t *testing.T) {
	l := startLoop(t)
	p, _ := start(t, l, `while read line; do echo "you said $line"; done; echo bye`, process.Stdin|process.Stdout)
	require.Nil(t, p.Stderr)
	done := make(chan error, 1)
	require.NoError(t, l.Go(func(t *ioloop.Task) {
		done <- func() error {
			for _, word := range []string{"one", "two"} {
				fmt.Fprintln(p.Stdin, word)
				answer, err := p.Stdout.Read(t, iostream.Until("\n"))
				if err != nil || string(answer) != "you said "+word+"\n" {
					return fmt.Errorf("%q %w", answer, err)
				}
			}
			if err := p.Stdin.CloseWrite(); err != nil {
				return err
			}
			rest, err := p.Stdout.Read(t, iostream.UntilClose())
			if err != nil || string(rest) != "bye\n" {
				return fmt.Errorf("%q %w", rest, err)
			}
			return p.Wait(t)
		}()
	}))
	require.NoError(t, receive(t, done))
}

func TestStderr(t *testing.T) {
	p, _ := start(t, startLoop(t), "echo out; echo err >&2", process.Stdout|process.Stderr)
	for s, want := range map[*iostream.Stream]string{p.Stdout: "out\n", p.Stderr: "err\n"} {
		got, err := s.Read(patient(t), iostream.UntilClose())
		require.NoError(t, err)
		require.Equal(t, want, string(got))
	}
	require.NoError(t, p.Wait(patient(t)))
}

// TestExit: the waiting call and the callback are told the same, before and
// after.
func TestExit(t *testing.T) {
	for _, c := range []struct {
		script string
		code   int
		signal syscall.Signal
	}{{"exit 0", 0, 0}, {"exit 3", 3, 0}, {"kill -TERM $$", -1, syscall.SIGTERM}, {"kill -KILL $$", -1, syscall.SIGKILL}} {
		t.Run(c.script, func(t *testing.T) {
			l := startLoop(t)
			p, cmd := start(t, l, "read go; "+c.script, process.Stdin)
			outcomes := make(chan error, 10)
			p.OnExit(func(error) { panic("replaced") })
			p.OnExit(func(err error) { outcomes <- err })
			go func() { outcomes <- p.Wait(context.Background()) }()
			require.NoError(t, l.Go(func(t *ioloop.Task) { outcomes <- p.Wait(t) }))
			fmt.Fprintln(p.Stdin, "go")
			outcomes <- p.Wait(patient(t))
			p.OnExit(func(err error) { outcomes <- err })
			outcomes <- p.Wait(patient(t))
			for range 6 {
				err := receive(t, outcomes)
				if c.code == 0 {
					require.NoError(t, err)
					continue
				}
				var exit *exec.ExitError
				require.ErrorAs(t, err, &exit)
				status := exit.Sys().(syscall.WaitStatus)
				require.Equal(t, c.code, exit.ExitCode())
				require.Equal(t, c.signal != 0, status.Signaled())
				require.True(t, c.signal == 0 || status.Signal() == c.signal)
			}
			require.Equal(t, c.code, cmd.ProcessState.ExitCode())
			require.ErrorIs(t, cmd.Process.Signal(syscall.SIGTERM), os.ErrProcessDone)
			require.NoError(t, p.Stdin.Close())
		})
	}
}

// TestCallbackIsOnTheLoop: it can use what belongs to the loop.
func TestCallbackIsOnTheLoop(t *testing.T) {
	l := startLoop(t)
	p, _ := start(t, l, "exit 0", 0)
	told := make(chan error, 1)
	p.OnExit(func(error) {
		r, w, err := os.Pipe()
		if err == nil {
			_, err = l.Handle(int(r.Fd()), 0, ioloop.HandlerFunc(nil))
			r.Close()
			w.Close()
		}
		told <- err
	})
	require.NoError(t, receive(t, told))
}

// TestWaitGivesUp: a context ends the wait alone.
func TestWaitGivesUp(t *testing.T) {
	l := startLoop(t)
	p, _ := start(t, l, "read end", process.Stdin)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 2)
	go func() { done <- p.Wait(ctx) }()
	require.NoError(t, l.Go(func(t *ioloop.Task) {
		view, end := t.WithTimeout(time.Millisecond)
		defer end()
		done <- p.Wait(view)
	}))
	require.ErrorIs(t, receive(t, done), context.DeadlineExceeded)
	cancel()
	require.ErrorIs(t, receive(t, done), context.Canceled)
	require.ErrorIs(t, p.Wait(ctx), context.Canceled)
	var none context.Context
	require.ErrorIs(t, p.Wait(none), fs.ErrInvalid)
	require.NoError(t, p.Stdin.CloseWrite())
	var exit *exec.ExitError
	require.ErrorAs(t, p.Wait(patient(t)), &exit, "read fails at the end of the input")
}

func TestCommandContextKills(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, "cat")
	p, err := process.Start(startLoop(t), cmd, process.Stdin|process.Stdout, nil)
	require.NoError(t, err)
	cancel()
	var exit *exec.ExitError
	require.ErrorAs(t, p.Wait(patient(t)), &exit)
	require.Equal(t, syscall.SIGKILL, exit.Sys().(syscall.WaitStatus).Signal())
	require.NoError(t, p.Stdout.WaitClosed(patient(t)))
	require.NoError(t, p.Stdin.WaitClosed(patient(t)))
	require.Equal(t, io.EOF, p.Stdout.Err())
	require.ErrorIs(t, p.Stdin.Err(), syscall.EPIPE)
}

// TestExecsOwnCopying: a reader that package exec copies from is waited for
// without holding the loop.
func TestExecsOwnCopying(t *testing.T) {
	var out strings.Builder
	cmd := exec.Command("cat")
	cmd.Stdin, cmd.Stdout = strings.NewReader(strings.Repeat("x", 200_000)), &out
	p, err := process.Start(startLoop(t), cmd, process.Stderr, nil)
	require.NoError(t, err)
	require.NoError(t, p.Wait(patient(t)))
	require.Equal(t, 200_000, out.Len())
	require.NoError(t, p.Stderr.Close())
}

// TestBulk: more than pipes hold goes through, both ways at once.
func TestBulk(t *testing.T) {
	p, _ := start(t, startLoop(t), "cat", process.Stdin|process.Stdout)
	data := strings.Repeat("0123456789abcdef", 1<<16)
	go func() {
		_, _ = io.WriteString(p.Stdin, data)
		_ = p.Stdin.CloseWrite()
	}()
	got, err := p.Stdout.Read(patient(t), iostream.UntilClose().Limit(len(data)))
	require.NoError(t, err)
	require.True(t, data == string(got))
	require.NoError(t, p.Wait(patient(t)))
}

// TestChildsDescriptors: they block, as every program expects, and are all that
// it has of pipes, though other processes have theirs.
func TestChildsDescriptors(t *testing.T) {
	l := startLoop(t)
	other, _ := start(t, l, "cat", process.Stdin|process.Stdout|process.Stderr)
	cmd := selfexec.Command(childRole + "=flags")
	p, err := process.Start(l, cmd, process.Stdin|process.Stdout|process.Stderr, nil)
	require.NoError(t, err)
	got, err := p.Stdout.Read(patient(t), iostream.UntilClose())
	require.NoError(t, err)
	require.Equal(t, "0 false <nil>\n1 false <nil>\n2 false <nil>\n", string(got))
	require.NoError(t, p.Wait(patient(t)))
	require.NoError(t, p.Stdin.Close())
	require.NoError(t, p.Stderr.Close())
	require.NoError(t, other.Stdin.CloseWrite())
	require.NoError(t, other.Wait(patient(t)), "nobody else holds its input open")
}

func TestStartFails(t *testing.T) {
	l := startLoop(t)
	closed, err := ioloop.New(ioloop.Config{})
	require.NoError(t, err)
	require.NoError(t, closed.Close())
	var b strings.Builder
	all := process.Stdin | process.Stdout | process.Stderr
	for name, c := range map[string]struct {
		loop   *ioloop.Loop
		cmd    *exec.Cmd
		pipes  process.Pipes
		config *iostream.Config
		err    error
	}{
		"no such program": {l, exec.Command("/nonexistent/program"), all, nil, fs.ErrNotExist},
		"not executable":  {l, exec.Command("/etc/passwd"), all, nil, fs.ErrPermission},
		"no loop":         {nil, exec.Command("true"), all, nil, fs.ErrInvalid},
		"no command":      {l, nil, all, nil, fs.ErrInvalid},
		"unknown pipe":    {l, exec.Command("true"), 8, nil, fs.ErrInvalid},
		"stdin is taken":  {l, &exec.Cmd{Path: "/bin/true", Stdin: strings.NewReader("")}, all, nil, fs.ErrInvalid},
		"stdout is taken": {l, &exec.Cmd{Path: "/bin/true", Stdout: &b}, all, nil, fs.ErrInvalid},
		"stderr is taken": {l, &exec.Cmd{Path: "/bin/true", Stderr: &b}, all, nil, fs.ErrInvalid},
		"bad limits":      {l, exec.Command("true"), all, &iostream.Config{ReadLimit: -1}, fs.ErrInvalid},
		"closed loop":     {closed, exec.Command("true"), all, nil, ioloop.ErrClosed},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := process.Start(c.loop, c.cmd, c.pipes, c.config)
			require.ErrorIs(t, err, c.err)
			require.Nil(t, p)
			if strings.HasSuffix(name, "taken") || c.cmd == nil {
				return
			}
			require.Nil(t, c.cmd.Stdin)
			require.Nil(t, c.cmd.Stdout)
			require.Nil(t, c.cmd.Stderr)
		})
	}
}

// TestLoopCloses: the streams close with it, and the process lives on, is
// waited for and leaves no zombie.
func TestLoopCloses(t *testing.T) {
	for _, when := range []string{"at once", "later"} {
		t.Run(when, func(t *testing.T) {
			l, ended := runLoop(t)
			p, cmd := start(t, l, "trap '' PIPE; read line; exit 7", process.Stdin)
			if when == "later" {
				settle(t, l)
			}
			p.OnExit(func(error) { t.Error("called though the loop is closed") })
			done := make(chan error, 1)
			go func() { done <- p.Wait(context.Background()) }()
			require.NoError(t, l.Close())
			var exit *exec.ExitError
			require.ErrorAs(t, receive(t, done), &exit)
			require.Equal(t, 7, exit.ExitCode())
			require.ErrorIs(t, unix.Kill(cmd.Process.Pid, 0), unix.ESRCH, "no zombie is left")
			receive(t, ended) // until then a stream is taken, and closed
			_, err := process.Start(l, exec.Command("true"), process.Stdin, nil)
			require.ErrorIs(t, err, ioloop.ErrClosed)
		})
	}
}

// settle returns when what was begun on the loop is done.
func settle(t testing.TB, l *ioloop.Loop) {
	for range 5 {
		done := make(chan struct{})
		require.NoError(t, l.Post(func() { close(done) }))
		receive(t, done)
	}
}

// TestNobodyWaits: the process is reaped all the same.
func TestNobodyWaits(t *testing.T) {
	_, cmd := start(t, startLoop(t), "exit 1", 0)
	pid := cmd.Process.Pid
	for end := time.Now().Add(patience); !errors.Is(unix.Kill(pid, 0), unix.ESRCH); runtime.Gosched() {
		require.True(t, time.Now().Before(end), "the process is still there")
	}
}

// threads returns how many the program has, where the system tells.
func threads() int {
	entries, _ := os.ReadDir("/proc/self/task")
	return len(entries)
}

// TestManyProcesses costs no thread for each, where the kernel can tell.
func TestManyProcesses(t *testing.T) {
	l := startLoop(t)
	before := threads()
	var all []*process.Process
	for range 20 {
		p, _ := start(t, l, "read end; exit 5", process.Stdin)
		all = append(all, p)
	}
	settle(t, l)
	if runtime.GOOS == "linux" && os.Getenv(withoutPidfd) == "" {
		require.Less(t, threads(), before+15)
	}
	for _, p := range all {
		require.NoError(t, p.Stdin.CloseWrite())
	}
	for _, p := range all {
		var exit *exec.ExitError
		require.ErrorAs(t, p.Wait(patient(t)), &exit)
		require.Equal(t, 5, exit.ExitCode())
	}
}

// TestTaskIsUnwound: a task whose loop stops while it waits does not hold the
// process back.
func TestTaskIsUnwound(t *testing.T) {
	l := startLoop(t)
	p, cmd := start(t, l, "read end", process.Stdin)
	waiting, first := make(chan struct{}), make(chan error, 1)
	require.NoError(t, l.Go(func(t *ioloop.Task) {
		close(waiting)
		first <- p.Wait(t)
		_ = p.Wait(t) // does not return
		panic("a second wait returned")
	}))
	receive(t, waiting)
	l.Stop()
	require.ErrorIs(t, receive(t, first), ioloop.ErrTaskStopped)
	require.NoError(t, cmd.Process.Kill())
	require.NoError(t, l.Close())
	require.Error(t, p.Wait(patient(t)))
}

// TestReapedWhileNoLoopRuns: neither a loop that has not been run yet nor one that
// was stopped is needed to wait.
func TestReapedWhileNoLoopRuns(t *testing.T) {
	l, err := ioloop.New(ioloop.Config{})
	require.NoError(t, err)
	defer l.Close()
	for range 2 {
		p, err := process.Start(l, exec.Command("true"), 0, nil)
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		require.NoError(t, p.Wait(ctx))
		cancel()
		l.Stop()
		require.NoError(t, l.Run(context.Background()))
	}
}

func TestSignalAndKill(t *testing.T) {
	l, err := ioloop.New(ioloop.Config{})
	require.NoError(t, err)
	defer l.Close()
	for name, end := range map[string]func(p *process.Process) error{
		"signal: terminated": func(p *process.Process) error { return p.Signal(syscall.SIGTERM) },
		"signal: killed":     func(p *process.Process) error { return p.Kill() },
	} {
		p, err := process.Start(l, exec.Command("sleep", "600"), 0, nil)
		require.NoError(t, err)
		require.Positive(t, p.Pid())
		require.ErrorIs(t, p.Signal(nil), process.ErrInvalid)
		require.NoError(t, end(p))
		require.EqualError(t, p.Wait(context.Background()), name)
		require.ErrorIs(t, p.Kill(), os.ErrProcessDone)
	}
}
