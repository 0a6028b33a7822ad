//go:build unix || windows

package iostream_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
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
	"github.com/eddyloop/eddy/iostreamtest"
	"github.com/stretchr/testify/require"
)

// patience is how long a test waits for what must happen. It never waits that
// long when all is well.
var patience = testtime.Patience(20 * time.Second)

func TestMain(m *testing.M) {
	if os.Getenv(stdioChild) != "" {
		runStdioChild()
		return
	}
	leaktest.Main(m)
}

// startLoop runs a loop until the test ends.
func startLoop(t testing.TB, config ioloop.Config) *ioloop.Loop {
	t.Helper()
	leaktest.Check(t)
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}
	l, err := ioloop.New(config)
	require.NoError(t, err)
	ended := make(chan error, 1)
	go func() { ended <- l.Run(context.Background()) }()
	t.Cleanup(func() {
		require.NoError(t, l.Close())
		require.NoError(t, <-ended)
	})
	onLoop(t, l, func() {})
	return l
}

// onLoop calls fn on the loop and waits for it.
func onLoop(t testing.TB, l *ioloop.Loop, fn func()) {
	t.Helper()
	done := make(chan struct{})
	require.NoError(t, l.Post(func() { fn(); close(done) }))
	receive(t, done)
}

// quiet returns when what has happened on the loop has had its consequences.
func quiet(t testing.TB, l *ioloop.Loop) {
	t.Helper()
	for range 10 {
		onLoop(t, l, func() {})
	}
}

func receive[T any](t testing.TB, c <-chan T) (value T) {
	t.Helper()
	select {
	case value = <-c:
	case <-time.After(patience):
		buf := make([]byte, 1<<20)
		t.Fatalf("nothing came; goroutines:\n%s", buf[:runtime.Stack(buf, true)])
	}
	return value
}

func patient(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// fullWire returns a wire that takes nothing before Open.
func fullWire() *iostreamtest.Wire {
	return iostreamtest.NewWire(iostreamtest.Options{Window: -1})
}

// networks are what the tests on real sockets run over. With TLS the stream is
// the server of a TCP connection in one, the client in the other.
var networks = []string{"tcp", "unix", "tls1.2", "tls1.3"}

func eachNetwork(t *testing.T, run func(t *testing.T, network string)) {
	for _, network := range networks {
		t.Run(network, func(t *testing.T) { run(t, network) })
	}
}

// rawPair returns two connected sockets: one for a stream, one for the test.
func rawPair(t testing.TB, network string) (fd int, peer net.Conn) {
	t.Helper()
	address := "127.0.0.1:0"
	if tlsVersions[network] != 0 {
		network = "tcp"
	}
	if network == "unix" {
		if !posix.HasUnixSockets() {
			t.Skip("the system has no Unix sockets")
		}
		// The name of t in it could be too long for the path of a socket.
		dir, err := os.MkdirTemp("", "eddy")
		require.NoError(t, err)
		defer os.RemoveAll(dir)
		address = filepath.Join(dir, "s")
	}
	listener, err := net.Listen(network, address)
	require.NoError(t, err)
	defer listener.Close()
	peer, err = net.Dial(network, listener.Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() { _ = peer.Close() })
	conn, err := listener.Accept()
	require.NoError(t, err)
	defer conn.Close()
	for _, end := range []net.Conn{conn, peer} {
		raw, err := end.(syscall.Conn).SyscallConn()
		require.NoError(t, err)
		require.NoError(t, raw.Control(func(n uintptr) {
			roomy(t, int(n))
			if end == conn {
				fd, err = socket.Duplicate(int(n))
			}
		}))
		require.NoError(t, err)
	}
	return fd, peer
}

// roomy has a socket take what the tests send before anybody reads: a Unix socket
// of NetBSD takes 4 KiB.
func roomy(t testing.TB, fd int) {
	const least = 32 << 10
	for _, option := range []int{posix.SO_SNDBUF, posix.SO_RCVBUF} {
		size, err := posix.GetsockoptInt(fd, posix.SOL_SOCKET, option)
		require.NoError(t, err)
		if size < least {
			require.NoError(t, posix.SetsockoptInt(fd, posix.SOL_SOCKET, option, least))
		}
	}
}

// pair returns a stream on l and its peer.
func pair(t testing.TB, l *ioloop.Loop, network string, config *iostream.Config) (*iostream.Stream, net.Conn) {
	t.Helper()
	if open, ok := pipes[network]; ok {
		return pipePair(t, l, open, config)
	}
	fd, peer := rawPair(t, network)
	s, err := iostream.NewSocket(l, fd, config)
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.Close() })
	if version := tlsVersions[network]; version != 0 {
		return s, secure(t, s, peer, version == tls.VersionTLS13, version)
	}
	return s, peer
}

// awaitRead returns when a read is pending.
func awaitRead(t testing.TB, s *iostream.Stream) {
	for end := time.Now().Add(patience); !s.Reading(); runtime.Gosched() {
		require.True(t, time.Now().Before(end), "no read has begun")
	}
}

func eventually(t *testing.T, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !condition(); {
		require.True(t, time.Now().Before(deadline), "it did not come to that")
		time.Sleep(200 * time.Microsecond)
	}
}

// awaitStuck waits until a stream has something to send and nothing moves in many turns, however
// slow the machine: the peer takes no more.
func awaitStuck(t *testing.T, s *iostream.Stream) {
	t.Helper()
	const turns, long = 50, 50 * time.Millisecond
	still, last, since := 0, int64(-1), time.Now()
	eventually(t, func() bool {
		onLoop(t, s.Loop(), func() {})
		backlog := s.Backlog()
		sent := s.Mark() - int64(backlog)
		if still++; sent != last || backlog == 0 {
			still, last, since = 0, sent, time.Now()
		}
		return still > turns && time.Since(since) > long
	})
}

// send has the peer write, in pieces that arrive one by one.
func send(t testing.TB, peer net.Conn, pieces ...string) {
	t.Helper()
	for _, piece := range pieces {
		_, err := io.WriteString(peer, piece)
		require.NoError(t, err)
	}
}

// expect has the peer read exactly what is wanted.
func expect(t testing.TB, peer net.Conn, want string) {
	t.Helper()
	require.NoError(t, peer.SetReadDeadline(time.Now().Add(patience)))
	got := make([]byte, len(want))
	_, err := io.ReadFull(peer, got)
	require.NoError(t, err)
	require.Equal(t, want, string(got))
}

// reset has the peer close with a reset instead of a FIN.
func reset(t testing.TB, peer net.Conn) {
	t.Helper()
	wine.SkipResets(t)
	if p, ok := peer.(tlsPeer); ok {
		peer = p.raw // else it would send its close_notify
	}
	require.NoError(t, peer.(*net.TCPConn).SetLinger(0))
	require.NoError(t, peer.Close())
}

func closeWrite(t testing.TB, peer net.Conn) {
	t.Helper()
	require.NoError(t, peer.(interface{ CloseWrite() error }).CloseWrite())
}

// result is what an operation came to.
type result struct {
	data string
	n    int
	err  error
}

// face is one of the ways to do an operation.
type face struct {
	name string
	// read does op on s, and returns where the result will be.
	read func(t testing.TB, s *iostream.Stream, op operation) <-chan result
}

// operation is a read in its waiting form and its callback form.
type operation struct {
	name string
	wait func(ctx context.Context, s *iostream.Stream) result
	call func(s *iostream.Stream, done func(result)) error
}

var faces = []face{
	{"goroutine", func(t testing.TB, s *iostream.Stream, op operation) <-chan result {
		c := make(chan result, 1)
		go func() { c <- op.wait(context.Background(), s) }()
		return c
	}},
	{"task", func(t testing.TB, s *iostream.Stream, op operation) <-chan result {
		c := make(chan result, 1)
		require.NoError(t, s.Loop().Go(func(task *ioloop.Task) { c <- op.wait(task, s) }))
		return c
	}},
	{"callback", func(t testing.TB, s *iostream.Stream, op operation) <-chan result {
		c := make(chan result, 1)
		s.Hold() // so that an error that it is told does not close the stream
		if err := op.call(s, func(r result) { c <- r }); err != nil {
			c <- result{err: err}
		}
		return c
	}},
}

func eachFace(t *testing.T, run func(t *testing.T, f face)) {
	for _, f := range faces {
		t.Run(f.name, func(t *testing.T) { run(t, f) })
	}
}

func bytesResult(b []byte, err error) result { return result{data: string(b), n: len(b), err: err} }

func requireIs(t testing.TB, err, want error) {
	t.Helper()
	if want == nil {
		require.NoError(t, err)
		return
	}
	require.ErrorIs(t, err, want)
	var e *iostream.Error
	require.ErrorAs(t, err, &e, "every error is an *Error")
	require.True(t, strings.HasPrefix(err.Error(), "iostream: "), err.Error())
}

var errPlayed = errors.New("played by the test")
