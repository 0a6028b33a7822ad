//go:build unix

package iostream_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/eddyloop/eddy/internal/selfexec"
	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// runFilter copies lines in capitals, as any filter does, and ends.
func runFilter(l *ioloop.Loop, s *iostream.Stream) {
	err := ioloopRun(l, func(t *ioloop.Task) error {
		defer s.Close()
		for line, err := range s.Messages(t, iostream.Until("\n")) {
			if err != nil {
				return err
			}
			if _, err := s.Write(bytes.ToUpper(line)); err != nil {
				return err
			}
			if err := s.Room(t); err != nil {
				return err
			}
		}
		return s.Flush(t)
	}, s)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(4)
	}
}

// ioloopRun runs work as a task and the loop until the stream has closed.
func ioloopRun(l *ioloop.Loop, work func(t *ioloop.Task) error, s *iostream.Stream) (err error) {
	_ = l.Go(func(t *ioloop.Task) {
		defer l.Stop()
		if err = work(t); err == nil {
			_ = s.WaitClosed(t)
		}
	})
	if err := l.Run(context.Background()); err != nil {
		return err
	}
	return err
}

// TestStdioInEveryShellLine: a filter works whatever the shell connects it to.
func TestStdioInEveryShellLine(t *testing.T) {
	var input strings.Builder
	for i := range 5_000 {
		fmt.Fprintf(&input, "line %d\n", i)
	}
	text := input.String()
	upper := strings.ToUpper(text)
	const small, capital = "one\ntwo\n", "ONE\nTWO\n"
	for name, test := range map[string]struct {
		script string
		in     string // the file in
		out    string // what the file out has in the end
		stdout string
		stderr string
	}{
		"file to pipe":        {script: `"$PROG" <in`, in: text, stdout: upper},
		"pipe to file":        {script: `cat in | "$PROG" >out`, in: text, out: upper},
		"file to file":        {script: `"$PROG" <in >out`, in: text, out: upper},
		"file to cat":         {script: `"$PROG" <in | cat >out`, in: text, out: upper},
		"empty file":          {script: `: >in; "$PROG" <in >out`},
		"append":              {script: `echo first >out; "$PROG" <in >>out`, in: small, out: "first\n" + capital},
		"others write too":    {script: `{ echo first; "$PROG" <in; echo last; } >out`, in: small, out: "first\n" + capital + "last\n"},
		"others have read":    {script: `{ read -r x; "$PROG"; } <in >out`, in: small, out: "TWO\n"},
		"from /dev/null":      {script: `"$PROG" </dev/null >out`},
		"to /dev/null":        {script: `"$PROG" <in >/dev/null`, in: text},
		"both /dev/null":      {script: `"$PROG" </dev/null >/dev/null`},
		"here document":       {script: "\"$PROG\" <<X\none\ntwo\nX\n", stdout: capital},
		"fifo without writer": {script: `mkfifo p; cat in >p & exec 3<p; wait; "$PROG" <&3 >out`, in: small, out: strings.ToUpper(small)},
		"fifo to file":        {script: `mkfifo p; cat in >p & "$PROG" <p >out; wait`, in: text, out: upper},
		"one file for both":   {script: `"$PROG" <>in 1<&0`, in: ""},
		"twice":               {script: `"$PROG" <in | "$PROG" | "$PROG" >out`, in: text, out: upper},
		"closed input":        {script: `"$PROG" <&- >out`}, // package runtime opens /dev/null
		"closed output":       {script: `"$PROG" <in >&-`, in: text},
		"directory":           {script: `"$PROG" <.; test $? = 3`, stderr: "is a directory"},
		"output without room": {script: `test -e /dev/full || { echo no space left on device >&2; exit; }; "$PROG" <in >/dev/full; test $? = 4`,
			in: small, stderr: "no space left on device"},
		"reader that leaves": {script: `{ "$PROG" <in; test $? = 4 || echo "not told" >&2; } | head -c 5`, in: strings.Repeat(text, 5), stdout: "LINE ", stderr: "broken pipe"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			require.NoError(t, os.WriteFile(filepath.Join(dir, "in"), []byte(test.in), 0o600))
			program := selfexec.Command("")
			if len(program.Args) > 1 {
				t.Skip("under an emulator the program is no single command")
			}
			cmd := exec.CommandContext(patient(t), "sh", "-c", test.script)
			cmd.Dir = dir
			cmd.Env = append(os.Environ(), stdioChild+"=filter", "PROG="+absolute(t, program.Path))
			var stdout, stderr strings.Builder
			cmd.Stdout, cmd.Stderr = &stdout, &stderr
			require.NoError(t, cmd.Run(), "%s", &stderr)
			require.Equal(t, test.stdout, stdout.String())
			if test.stderr == "" {
				require.Empty(t, stderr.String())
			}
			require.Contains(t, stderr.String(), test.stderr)
			out, _ := os.ReadFile(filepath.Join(dir, "out"))
			require.Equal(t, test.out, string(out))
		})
	}
}

func absolute(t *testing.T, path string) string {
	t.Helper()
	path, err := filepath.Abs(path)
	require.NoError(t, err)
	return path
}

// TestStdioOfFiles: files are read and written in every style, and the loop has its
// turn meanwhile.
func TestStdioOfFiles(t *testing.T) {
	for _, face := range faces {
		t.Run(face.name, func(t *testing.T) {
			text := strings.Repeat("0123456789abcde\n", 5_000)
			in, out := tempFile(t, text), tempFile(t, "")
			l := startLoop(t, ioloop.Config{})
			s, err := iostream.NewStdioOf(l, int(in.Fd()), int(out.Fd()), false, nil)
			require.NoError(t, err)
			quiet(t, l)
			at, err := in.Seek(0, io.SeekCurrent)
			require.NoError(t, err)
			require.Zero(t, at, "nothing is read without a reader")
			onLoop(t, l, func() {
				n := 0
				for range iostream.Streams(l) {
					n++
				}
				require.Equal(t, 1, n)
			})
			for range 5_000 {
				line := receive(t, face.read(t, s, until("\n", 0)))
				require.NoError(t, line.err)
				write(t, s, line.data)
			}
			requireIs(t, receive(t, face.read(t, s, until("\n", 0))).err, io.EOF)
			require.NoError(t, s.Flush(patient(t)))
			require.Zero(t, s.Backlog())
			got, err := os.ReadFile(out.Name())
			require.NoError(t, err)
			require.Equal(t, text, string(got))
			write(t, s, "last")
			require.NoError(t, s.Close())
			require.NoError(t, s.WaitClosed(patient(t)))
			got, err = os.ReadFile(out.Name())
			require.NoError(t, err)
			require.Equal(t, text+"last", string(got))
		})
	}
}

func tempFile(t *testing.T, text string) *os.File {
	t.Helper()
	f, err := os.CreateTemp(t.TempDir(), "file")
	require.NoError(t, err)
	t.Cleanup(func() { _ = f.Close() })
	_, err = f.WriteString(text)
	require.NoError(t, err)
	_, err = f.Seek(0, io.SeekStart)
	require.NoError(t, err)
	return f
}

// TestStdioOfFilesOfAClosedLoop: the stream ends with its loop.
func TestStdioOfFilesOfAClosedLoop(t *testing.T) {
	l, err := ioloop.New(ioloop.Config{})
	require.NoError(t, err)
	s, err := iostream.NewStdioOf(l, int(tempFile(t, "x").Fd()), int(tempFile(t, "").Fd()), false, nil)
	require.NoError(t, err)
	for range 3 { // until it is attached
		_, err = l.RunOnce()
		require.NoError(t, err)
	}
	require.NoError(t, l.Close())
	require.ErrorIs(t, s.Err(), ioloop.ErrClosed)
}

// TestStdioFileFails: what the file says is the stream's error.
func TestStdioFileFails(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_RDWR, 0)
	if err != nil {
		t.Skip("there is no such device")
	}
	defer full.Close()
	in, _ := makePipe(t)
	s, err := iostream.NewStdioOf(startLoop(t, ioloop.Config{}), int(in.Fd()), int(full.Fd()), false, nil)
	require.NoError(t, err)
	if _, err = s.Write([]byte("x")); err == nil { // else the file was quicker
		err = s.Flush(patient(t))
	}
	requireIs(t, err, syscall.ENOSPC)
	_, err = s.Write([]byte("x"))
	requireIs(t, err, unix.ENOSPC)
	s.Abort(nil)
}

// TestStdioOfATerminal: script(1) has the filter talk to a terminal.
func TestStdioOfATerminal(t *testing.T) {
	script, err := exec.LookPath("script")
	if err != nil || runtime.GOOS != "linux" {
		t.Skip("no script(1) as on Linux")
	}
	dir := t.TempDir()
	filter := selfexec.Command(stdioChild + "=filter")
	filter.Args[len(filter.Args)-1] = absolute(t, os.Args[0])
	cmd := exec.CommandContext(patient(t), script, "-q", "-e", "-c", strings.Join(filter.Args, " "), "typescript")
	cmd.Dir, cmd.Env = dir, filter.Env
	cmd.Stdin = strings.NewReader("one\ntwo\n\x04")
	out, err := cmd.Output()
	require.NoError(t, err)
	require.Contains(t, string(out), "ONE\r\nTWO\r\n")
}

// A filter that is a task has written its file when it ends.
func TestRunTaskWritesTheFile(t *testing.T) {
	const size = 8 << 20
	l, err := ioloop.New(ioloop.Config{})
	require.NoError(t, err)
	out := tempFile(t, "")
	s, err := iostream.NewStdioOf(l, int(tempFile(t, "x").Fd()), int(out.Fd()), false, nil)
	require.NoError(t, err)
	require.NoError(t, l.RunTask(context.Background(), func(*ioloop.Task) error {
		_, err := s.Write(make([]byte, size))
		require.NoError(t, err)
		return s.Close()
	}))
	require.NoError(t, l.Close())
	info, err := os.Stat(out.Name())
	require.NoError(t, err)
	require.EqualValues(t, size, info.Size())
}
