//go:build unix || windows

package tcp_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/eddyloop/eddy/internal/leaktest"
	"github.com/eddyloop/eddy/internal/posix"
	"github.com/eddyloop/eddy/internal/socket"
	"github.com/eddyloop/eddy/internal/testtime"
	"github.com/eddyloop/eddy/internal/wine"
	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
	"github.com/eddyloop/eddy/tcp"
	"github.com/stretchr/testify/require"
)

// patience is how long a test waits for what has to happen.
var patience = testtime.Patience(30 * time.Second)

// children are what this program does as another process, by EDDY_TCP_CHILD.
var children = map[string]func(){"inherit": inheritChild}

func TestMain(m *testing.M) {
	if child := children[os.Getenv("EDDY_TCP_CHILD")]; child != nil {
		child()
		return
	}
	leaktest.Main(m)
}

// lines echoes lines; "bye" ends the conversation.
func lines(t *ioloop.Task, s *iostream.Stream) error {
	for {
		line, err := s.Read(t, iostream.Until("\n"))
		if err != nil {
			return err
		}
		if string(line) == "bye\n" {
			return nil
		}
		if _, err := s.Write(line); err != nil {
			return err
		}
	}
}

// lineCallback is lines with callbacks.
func lineCallback(s *iostream.Stream) {
	err := s.Handle(iostream.Until("\n"), func(line []byte, err error) bool {
		switch {
		case err != nil:
			s.Abort(err)
		case string(line) == "bye\n":
			_ = s.Close()
		default:
			_, err = s.Write(line)
			return err == nil
		}
		return false
	})
	if err != nil {
		panic(err)
	}
}

// logBuffer is where a server logs to.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// logger returns one that tells b everything.
func (b *logBuffer) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(b, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// listenOn listens, and serves until the test is over. What Serve returns then
// is on the channel.
func listenOn(t *testing.T, srv *tcp.Server, network, address string) (net.Addr, <-chan error) {
	t.Helper()
	leaktest.Check(t)
	if srv.Logger == nil {
		srv.Logger = quiet()
	}
	addr, err := srv.Listen(network, address)
	require.NoError(t, err)
	return addr, serve(t, srv)
}

// local is listenOn a port of 127.0.0.1 that is free.
func local(t *testing.T, srv *tcp.Server) (net.Addr, <-chan error) {
	t.Helper()
	return listenOn(t, srv, "tcp", "127.0.0.1:0")
}

func serve(t *testing.T, srv *tcp.Server) <-chan error {
	t.Helper()
	result := make(chan error, 1)
	ended := make(chan struct{})
	go func() {
		result <- srv.Serve(context.Background())
		close(ended)
	}()
	t.Cleanup(func() {
		_ = srv.Close()
		receive(t, ended)
		require.Zero(t, srv.Stats().Conns)
		require.Empty(t, srv.Addrs())
	})
	return result
}

// newGroup returns a group that runs until the test is over.
func newGroup(t *testing.T, n int, config ioloop.Config) *ioloop.Group {
	t.Helper()
	leaktest.Check(t)
	config.Logger = quiet()
	group, err := ioloop.NewGroup(n, config)
	require.NoError(t, err)
	done := make(chan error, 1)
	go func() { done <- group.Run(context.Background()) }()
	t.Cleanup(func() {
		_ = group.Close()
		require.NoError(t, receive(t, done))
	})
	for _, l := range group.Loops() {
		on(t, l, func() {}) // it runs: one that is closed before fails to
	}
	return group
}

// newLoop returns a loop that runs until the test is over.
func newLoop(t *testing.T) *ioloop.Loop {
	t.Helper()
	return newGroup(t, 1, ioloop.Config{}).Loops()[0]
}

// on has fn called by l and waits for it.
func on(t *testing.T, l *ioloop.Loop, fn func()) {
	t.Helper()
	done := make(chan struct{})
	require.NoError(t, l.Post(func() {
		defer close(done)
		fn()
	}))
	receive(t, done)
}

// hold keeps l from doing anything until the returned function is called.
func hold(t *testing.T, l *ioloop.Loop) (release func()) {
	t.Helper()
	holding, released := make(chan struct{}), make(chan struct{})
	require.NoError(t, l.Post(func() {
		close(holding)
		<-released
	}))
	receive(t, holding)
	return sync.OnceFunc(func() { close(released) })
}

func receive[T any](t *testing.T, ch <-chan T) T {
	t.Helper()
	var none T
	select {
	case v := <-ch:
		return v
	case <-time.After(patience):
		require.FailNow(t, "nothing came")
	}
	return none
}

func eventually(t *testing.T, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !condition(); {
		require.True(t, time.Now().Before(deadline), "it did not come to that")
		time.Sleep(200 * time.Microsecond)
	}
}

// client is the other side: a plain blocking connection.
type client struct {
	net.Conn
	t *testing.T
}

func dial(t *testing.T, addr net.Addr) *client {
	t.Helper()
	conn, err := net.DialTimeout(addr.Network(), addr.String(), patience)
	require.NoError(t, err)
	return newClient(t, conn)
}

// dialHasty is dial to a server that may end the connection before the client, on a slow
// machine, has looked what became of it. Then it returns nil.
func dialHasty(t *testing.T, addr net.Addr) *client {
	t.Helper()
	conn, err := net.DialTimeout(addr.Network(), addr.String(), patience)
	if errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET) {
		return nil
	}
	require.NoError(t, err)
	return newClient(t, conn)
}

func newClient(t *testing.T, conn net.Conn) *client {
	t.Helper()
	require.NoError(t, conn.SetDeadline(time.Now().Add(patience)))
	t.Cleanup(func() { conn.Close() })
	return &client{conn, t}
}

func (c *client) send(text string) {
	c.t.Helper()
	_, err := io.WriteString(c, text)
	require.NoError(c.t, err)
}

func (c *client) expect(text string) {
	c.t.Helper()
	got := make([]byte, len(text))
	_, err := io.ReadFull(c, got)
	require.NoError(c.t, err)
	require.Equal(c.t, text, string(got))
}

func (c *client) echo(text string) {
	c.t.Helper()
	c.send(text)
	c.expect(text)
}

// arrived waits until the server's kernel has what clients have sent, which a machine under
// load may put off.
func arrived(t *testing.T, clients ...*client) {
	t.Helper()
	for _, c := range clients {
		raw, err := c.Conn.(syscall.Conn).SyscallConn()
		require.NoError(t, err)
		eventually(t, func() bool {
			queued := 0
			require.NoError(t, raw.Control(func(fd uintptr) { queued = socket.Queued(int(fd)) }))
			return queued == 0
		})
	}
}

// expectEOF reads the end of the stream, in good order.
func (c *client) expectEOF() {
	c.t.Helper()
	n, err := c.Read(make([]byte, 1))
	require.Zero(c.t, n)
	require.Equal(c.t, io.EOF, err)
}

// expectEnd reads the end of the stream, also by a reset.
func (c *client) expectEnd() {
	c.t.Helper()
	_, err := io.Copy(io.Discard, c)
	require.NotErrorIs(c.t, err, os.ErrDeadlineExceeded)
}

// reset closes the connection with a RST.
func (c *client) reset() {
	c.t.Helper()
	wine.SkipResets(c.t)
	require.NoError(c.t, c.Conn.(*net.TCPConn).SetLinger(0))
	require.NoError(c.t, c.Close())
}

// socketPath returns a path that is short enough for a Unix socket.
func socketPath(t *testing.T) string {
	t.Helper()
	if !posix.HasUnixSockets() {
		t.Skip("the system has no Unix sockets")
	}
	dir, err := os.MkdirTemp("", "eddy")
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, "s")
}

func requireOpError(t *testing.T, err error, op string) {
	t.Helper()
	var opError *net.OpError
	require.True(t, errors.As(err, &opError), "%v (%T)", err, err)
	require.Equal(t, op, opError.Op)
}
