//go:build unix

package iostream_test

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/eddyloop/eddy/internal/socket"
	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
	"github.com/eddyloop/eddy/poller"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// pipeMaker returns the two ends of something, as its reader and its writer.
// What has two directions is the same from either side.
type pipeMaker func(t testing.TB) (r, w *os.File)

// pipes are what the tests of pipes run over.
var pipes = map[string]pipeMaker{"pipe": makePipe, "fifo": makeFIFO}

func init() {
	if fifosAreRefused() {
		delete(pipes, "fifo")
		delete(duplexes, "fifos")
	}
}

// fifosAreRefused tries it out: on macOS either end is, on NetBSD the writing one.
func fifosAreRefused() bool {
	p, err := poller.New()
	if err != nil {
		return false
	}
	defer p.Close()
	dir, err := os.MkdirTemp("", "eddy")
	if err != nil {
		return false
	}
	defer os.RemoveAll(dir)
	name := filepath.Join(dir, "fifo")
	if unix.Mkfifo(name, 0o600) != nil {
		return false
	}
	r, err := os.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return false
	}
	defer r.Close()
	w, err := os.OpenFile(name, os.O_WRONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return false
	}
	defer w.Close()
	return errors.Is(p.Add(int(w.Fd()), 0, 0, poller.Level), poller.ErrNotPollable)
}

// oneWay are the names of those that have one direction.
func oneWay() (names []string) {
	for name := range pipes {
		if name != "pty" {
			names = append(names, name)
		}
	}
	return names
}

func eachPipe(t *testing.T, run func(t *testing.T, open pipeMaker)) {
	for name, open := range pipes {
		t.Run(name, func(t *testing.T) { run(t, open) })
	}
}

// eachInput runs a test over everything that a peer can be read from.
func eachInput(t *testing.T, run func(t *testing.T, network string)) {
	eachNetwork(t, run)
	for name := range pipes {
		t.Run(name, func(t *testing.T) { run(t, name) })
	}
}

func makePipe(t testing.TB) (r, w *os.File) {
	r, w, err := os.Pipe()
	require.NoError(t, err)
	closeLater(t, r, w)
	return r, w
}

func makeFIFO(t testing.TB) (r, w *os.File) {
	name := filepath.Join(t.TempDir(), "fifo")
	require.NoError(t, unix.Mkfifo(name, 0o600))
	r, err := os.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK, 0)
	require.NoError(t, err)
	w, err = os.OpenFile(name, os.O_WRONLY, 0)
	require.NoError(t, err)
	require.NoError(t, unix.SetNonblock(int(r.Fd()), false))
	closeLater(t, r, w)
	return r, w
}

func closeLater(t testing.TB, files ...*os.File) {
	t.Cleanup(func() {
		for _, f := range files {
			_ = f.Close()
		}
	})
}

// give returns a descriptor of f for a stream to own, and closes f.
func give(t testing.TB, f *os.File) int {
	t.Helper()
	fd, err := socket.Duplicate(int(f.Fd()))
	require.NoError(t, err)
	require.NoError(t, f.Close())
	return fd
}

func newPipe(t testing.TB, l *ioloop.Loop, f *os.File, config *iostream.Config) *iostream.Stream {
	t.Helper()
	s, err := iostream.NewPipe(l, give(t, f), config)
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// duplicate returns another descriptor of the same open file.
func duplicate(t testing.TB, f *os.File) *os.File {
	fd, err := socket.Duplicate(int(f.Fd()))
	require.NoError(t, err)
	other := os.NewFile(uintptr(fd), f.Name())
	closeLater(t, other)
	return other
}

// filePeer is a file as the peer that the tests of sockets have.
type filePeer struct{ *os.File }

func (p filePeer) LocalAddr() net.Addr  { return nil }
func (p filePeer) RemoteAddr() net.Addr { return nil }
func (p filePeer) CloseWrite() error    { return p.Close() }

// pipePair returns a stream that reads what its peer writes.
func pipePair(t testing.TB, l *ioloop.Loop, open pipeMaker, config *iostream.Config) (*iostream.Stream, net.Conn) {
	t.Helper()
	r, w := open(t)
	return newPipe(t, l, r, config), filePeer{w}
}

// writer returns a stream and the file that reads what it writes.
func writer(t testing.TB, l *ioloop.Loop, open pipeMaker, config *iostream.Config) (*iostream.Stream, *os.File) {
	t.Helper()
	r, w := open(t)
	return newPipe(t, l, w, config), r
}

// isBlocking looks at the flag of the open file.
func isBlocking(t testing.TB, fd int) bool {
	t.Helper()
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	require.NoError(t, err)
	return flags&unix.O_NONBLOCK == 0
}
