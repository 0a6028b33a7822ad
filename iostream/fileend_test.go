//go:build unix

package iostream

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/poller"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// newFileEnd is the end of a file of so many bytes, armed on a loop that does not run.
func newFileEnd(t *testing.T, size int, h ioloop.Handler) (*fileEnd, *os.File) {
	name := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(name, []byte(strings.Repeat("x", size)), 0o600))
	f, err := os.Open(name)
	require.NoError(t, err)
	l, err := ioloop.New(ioloop.Config{})
	require.NoError(t, err)
	t.Cleanup(func() {
		_ = l.Close()
		_ = f.Close()
	})
	return &fileEnd{fd: int(f.Fd()), loop: l, handler: h, interest: poller.Readable}, f
}

// A file is read by one call at a time, and is not ready meanwhile: calls at once would read into
// the same block.
func TestFileIsReadByOneCallAtATime(t *testing.T) {
	e, f := newFileEnd(t, 3*fileBlock, nil)
	held, free := make(chan struct{}), make(chan struct{})
	e.start(func(block []byte) (int, error) { close(held); <-free; return f.Read(block) }, func(n int, _ error) { e.unread = e.block[:n] })
	<-held
	require.True(t, e.busy)
	e.startRead()
	require.Zero(t, e.ready())
	_, err := e.read(make([]byte, 10))
	require.Equal(t, ErrWouldBlock, err)
	_, err = e.write([][]byte{make([]byte, 10)})
	require.Equal(t, ErrWouldBlock, err)
	close(free)
	e.handler = handlerFunc(func() {})
	for e.busy {
		_, err = e.loop.RunOnce()
		require.NoError(t, err)
	}
	require.Equal(t, poller.Readable, e.ready())
	at, err := f.Seek(0, io.SeekCurrent)
	require.NoError(t, err)
	require.EqualValues(t, fileBlock, at)
}

type handlerFunc func()

func (f handlerFunc) HandleEvent(poller.Interest, poller.Hint) { f() }

// A file of which something is left unread is ready again, as any level-triggered descriptor is.
func TestFileIsReadyAgain(t *testing.T) {
	calls := 0
	e, _ := newFileEnd(t, 0, handlerFunc(func() { calls++ }))
	e.unread = []byte("left")
	e.announce()
	for range 3 {
		_, err := e.loop.RunOnce()
		require.NoError(t, err)
	}
	require.Equal(t, 3, calls)
	e.close()
	for e.queued {
		_, err := e.loop.RunOnce()
		require.NoError(t, err)
	}
	require.Equal(t, 3, calls, "it is closed")
}

// A file of a closed loop says so, and does not seem to be read for ever.
func TestFileOfAClosedLoop(t *testing.T) {
	e, _ := newFileEnd(t, 1, nil)
	require.NoError(t, e.loop.Close())
	e.startRead()
	require.False(t, e.busy)
	require.ErrorIs(t, e.err, ioloop.ErrClosed)
}

// A file that cannot be read does not look as if it were at its end.
func TestFileThatCannotBeRead(t *testing.T) {
	e, f := newFileEnd(t, 1, handlerFunc(func() {}))
	writer, err := os.OpenFile(f.Name(), os.O_WRONLY, 0)
	require.NoError(t, err)
	defer writer.Close()
	e.fd = int(writer.Fd())
	for e.startRead(); e.busy; {
		_, err = e.loop.RunOnce()
		require.NoError(t, err)
	}
	_, err = e.read(make([]byte, 1))
	require.ErrorIs(t, err, unix.EBADF)
	require.ErrorContains(t, err, "read")
}

// A file takes a block at a time, from the first write on, and says if that was not all.
func TestFileTakesABlockAtATime(t *testing.T) {
	for size, takes := range map[int]int{1: 1, fileBlock: fileBlock, fileBlock + 1: fileBlock} {
		e, f := newFileEnd(t, 0, handlerFunc(func() {}))
		writer, err := os.OpenFile(f.Name(), os.O_WRONLY, 0)
		require.NoError(t, err)
		defer writer.Close()
		e.fd = int(writer.Fd())
		n, err := e.write([][]byte{make([]byte, size-1), {1}})
		require.Equal(t, takes, n)
		require.Equal(t, takes < size, err == ErrWouldBlock)
		require.Equal(t, ErrWouldBlock, e.flush())
		for e.busy {
			_, err = e.loop.RunOnce()
			require.NoError(t, err)
		}
		require.NoError(t, e.flush())
		info, err := f.Stat()
		require.NoError(t, err)
		require.EqualValues(t, takes, info.Size())
	}
}
