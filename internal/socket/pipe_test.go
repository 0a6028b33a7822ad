//go:build unix

package socket_test

import (
	"bytes"
	"testing"

	"github.com/eddyloop/eddy/internal/leaktest"
	"github.com/eddyloop/eddy/internal/socket"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func pipe(t *testing.T) (r, w int) {
	leaktest.Check(t)
	var fds [2]int
	require.NoError(t, unix.Pipe(fds[:]))
	return fds[0], fds[1]
}

// Looking at a pipe takes nothing, and sees the end only behind the bytes.
func TestPeekPipe(t *testing.T) {
	r, w := pipe(t)
	peek := func() int {
		n, err := socket.PeekPipe(r)
		require.NoError(t, err)
		return n
	}
	_, err := socket.PeekPipe(r)
	require.True(t, socket.WouldBlock(err))
	_, err = socket.ReadShared(r, make([]byte, 10))
	require.True(t, socket.WouldBlock(err))
	n, err := socket.WriteShared(w, [][]byte{nil, []byte("abc")})
	require.NoError(t, err)
	require.Equal(t, 3, n)
	require.Equal(t, 1, peek())
	require.NoError(t, socket.ReaderGone(w))
	require.NoError(t, socket.Close(w))
	require.Equal(t, 1, peek())
	got := make([]byte, 10)
	n, err = socket.ReadShared(r, got)
	require.NoError(t, err)
	require.Equal(t, "abc", string(got[:n]))
	require.Zero(t, peek())
	n, err = socket.ReadPipe(r, got)
	require.NoError(t, err)
	require.Zero(t, n)
	require.NoError(t, socket.Close(r))
}

// What a pipe that is ready takes for sure is all that is written to a shared one: more
// could block.
func TestWriteSharedIsShort(t *testing.T) {
	r, w := pipe(t)
	n, err := socket.WriteShared(w, [][]byte{nil, make([]byte, 1000), make([]byte, 5)})
	require.NoError(t, err)
	require.Equal(t, 512, n)
	require.NoError(t, unix.SetNonblock(w, true))
	for err == nil {
		_, err = unix.Write(w, make([]byte, 512))
	}
	require.NoError(t, unix.SetNonblock(w, false))
	_, err = socket.WriteShared(w, [][]byte{{1}})
	require.True(t, socket.WouldBlock(err))
	require.NoError(t, socket.Close(r))
	require.NoError(t, socket.Close(w))
}

func TestReaderGone(t *testing.T) {
	r, w := pipe(t)
	require.NoError(t, socket.ReaderGone(w))
	require.NoError(t, socket.Close(r))
	require.Equal(t, unix.EPIPE, socket.ReaderGone(w))
	_, err := socket.WritePipe(w, [][]byte{{1}, {2}})
	require.Equal(t, unix.EPIPE, err)
	require.NoError(t, socket.Close(w))
}

// What WritePipe says it has written arrives in order, whatever the slices.
func TestWritePipe(t *testing.T) {
	r, w := pipe(t)
	require.NoError(t, unix.SetNonblock(w, true))
	many := make([]int, 200)
	for i := range many {
		many[i] = 3
	}
	for _, sizes := range [][]int{{1}, {1, 2, 3}, {0, 5, 0}, {40_000, 40_000, 40_000}, {70_000, 1}, many} {
		var bufs [][]byte
		var all []byte
		for i, n := range sizes {
			b := bytes.Repeat([]byte{byte('a' + i%26)}, n)
			bufs, all = append(bufs, b), append(all, b...)
		}
		written, err := socket.WritePipe(w, bufs)
		require.NoError(t, err)
		require.Positive(t, written)
		require.LessOrEqual(t, written, socket.Attempt(bufs))
		got := make([]byte, written)
		for n := 0; n < written; {
			k, err := socket.ReadPipe(r, got[n:])
			require.NoError(t, err)
			n += k
		}
		require.True(t, bytes.Equal(all[:written], got))
	}
	require.NoError(t, socket.Close(w))
	require.NoError(t, socket.Close(r))
}
