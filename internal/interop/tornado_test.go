package interop_test

import (
	"bufio"
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/eddyloop/eddy/internal/leaktest"
	"github.com/eddyloop/eddy/internal/testtime"
	"github.com/eddyloop/eddy/internal/wine"
	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
	"github.com/eddyloop/eddy/tcp"
	"github.com/stretchr/testify/require"
)

var patience = testtime.Patience(60 * time.Second)

var (
	//go:embed testdata/client.py
	clientScript string
	//go:embed testdata/server.py
	serverScript string
)

func TestMain(m *testing.M) {
	if wine.Here() {
		fmt.Println("the programs to talk to are not those of Windows")
		return
	}
	leaktest.Main(m)
}

// python returns the command that runs a script, which may use Tornado.
func python(t *testing.T, script string, args ...string) *exec.Cmd {
	t.Helper()
	const interpreter = "/usr/bin/python3" // the one that Debian's python3-tornado is for
	if out, err := exec.Command(interpreter, "-c", "import tornado").CombinedOutput(); err != nil {
		t.Skipf("no Tornado here (on Debian: apt-get install python3-tornado): %v %s", err, out)
	}
	leaktest.Check(t)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return exec.CommandContext(ctx, interpreter, append([]string{"-c", script}, args...)...)
}

var flood = bytes.Repeat([]byte("f"), 4<<20)

// serveLines echoes lines; "flood" is answered with a flood, and ends it.
func serveLines(t *ioloop.Task, s *iostream.Stream) error {
	for line, err := range s.Messages(t, iostream.Until("\n")) {
		if err != nil {
			return err
		}
		if string(line) == "flood\n" {
			_, err := s.Write(flood)
			return err
		}
		if _, err := s.Write(line); err != nil {
			return err
		}
	}
	return nil
}

func callbackLines(s *iostream.Stream) {
	_ = s.Handle(iostream.Until("\n"), func(line []byte, err error) bool {
		switch {
		case err != nil:
			s.Abort(err)
			return false
		case string(line) == "flood\n":
			_, _ = s.Write(flood)
			_ = s.Close()
			return false
		}
		_, err = s.Write(line)
		return err == nil
	})
}

// A Tornado client talks to our server.
func TestTornadoClient(t *testing.T) {
	for name, srv := range map[string]*tcp.Server{
		"task":     {Handler: serveLines},
		"callback": {Callback: callbackLines},
	} {
		t.Run(name, func(t *testing.T) {
			srv.Logger = slog.New(slog.DiscardHandler)
			addr, err := srv.Listen("tcp", "127.0.0.1:0")
			require.NoError(t, err)
			t.Cleanup(func() { _ = srv.Close() }) // also if the test is skipped
			_, port, err := net.SplitHostPort(addr.String())
			require.NoError(t, err)
			cmd := python(t, clientScript, port)
			served := make(chan error, 1)
			go func() { served <- srv.Serve(context.Background()) }()
			out, err := cmd.CombinedOutput()
			require.NoError(t, err, string(out))
			require.Equal(t, "done\n", string(out))
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			drain, err := srv.Shutdown(ctx)
			require.NoError(t, err)
			require.Zero(t, drain.Forced)
			require.ErrorIs(t, <-served, tcp.ErrServerClosed)
		})
	}
}

// Our client talks to a Tornado server, from a goroutine and from a task.
func TestTornadoServer(t *testing.T) {
	cmd := python(t, serverScript)
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	var trouble bytes.Buffer
	cmd.Stderr = &trouble
	require.NoError(t, cmd.Start())
	port, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	address := net.JoinHostPort("127.0.0.1", strings.TrimSpace(port))

	l, err := ioloop.New(ioloop.Config{})
	require.NoError(t, err)
	ran := make(chan error, 1)
	go func() { ran <- l.Run(context.Background()) }()
	t.Run("goroutine", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		require.NoError(t, converse(ctx, l, address))
	})
	t.Run("task", func(t *testing.T) {
		done := make(chan error, 1)
		require.NoError(t, l.Go(func(task *ioloop.Task) {
			ctx, cancel := task.WithTimeout(patience)
			defer cancel()
			done <- converse(ctx, l, address)
		}))
		require.NoError(t, <-done)
	})
	require.NoError(t, l.Close())
	require.NoError(t, <-ran)
	require.NoError(t, in.Close())
	require.NoError(t, cmd.Wait(), trouble.String())
	require.Empty(t, trouble.String())
}

// conversation is a stream whose first failure ends everything.
type conversation struct {
	ctx context.Context
	s   *iostream.Stream
	err error
}

func (c *conversation) send(text string) {
	if c.err == nil {
		_, c.err = io.WriteString(c.s, text)
	}
}

func (c *conversation) check(want string) func([]byte, error) {
	return func(got []byte, err error) {
		if c.err == nil && err == nil && string(got) != want {
			err = errors.New("not as expected: " + string(got[:min(len(got), 100)]))
		}
		c.err = errors.Join(c.err, err)
	}
}

func converse(ctx context.Context, l *ioloop.Loop, address string) error {
	dialer := tcp.Dialer{Stream: iostream.Config{ReadLimit: len(flood)}}
	s, err := dialer.Dial(ctx, l, "tcp", address)
	if err != nil {
		return err
	}
	defer s.Close()
	c := &conversation{ctx: ctx, s: s}
	c.send("one\ntwo\nthr")
	c.check("one\n")(s.Read(ctx, iostream.Until("\n")))
	c.check("two\n")(s.Read(ctx, iostream.Until("\n")))
	c.send("ee\n")
	c.check("three\n")(s.Read(ctx, iostream.Until("\n")))

	million := strings.Repeat("0123456789", 100_000)
	c.send("bytes\n" + million)
	c.check(million)(s.Read(ctx, iostream.Bytes(len(million))))

	c.send("flood\n")
	c.check(string(flood))(s.Read(ctx, iostream.UntilClose()))
	return c.err
}

// The end of a stream in the middle of a message is told, and no byte is lost.
func TestTornadoServerDrops(t *testing.T) {
	cmd := python(t, serverScript)
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	port, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	l, err := ioloop.New(ioloop.Config{})
	require.NoError(t, err)
	ran := make(chan error, 1)
	go func() { ran <- l.Run(context.Background()) }()

	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	s, err := tcp.Dial(ctx, l, "tcp", net.JoinHostPort("127.0.0.1", strings.TrimSpace(port)))
	require.NoError(t, err)
	_, err = io.WriteString(s, "beginning\ndrop\n")
	require.NoError(t, err)
	_, err = s.Read(ctx, iostream.Until("no such end"))
	require.ErrorIs(t, err, io.EOF)
	rest, err := s.Read(ctx, iostream.UntilClose())
	require.NoError(t, err)
	require.Equal(t, "beginning\n", string(rest))

	require.NoError(t, l.Close())
	require.NoError(t, <-ran)
	require.NoError(t, in.Close())
	require.NoError(t, cmd.Wait())
}
