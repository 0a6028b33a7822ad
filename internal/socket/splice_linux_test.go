package socket

import (
	"runtime"
	"testing"
	"time"

	"github.com/eddyloop/eddy/internal/testtime"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// unixPair returns two sockets that are connected.
func unixPair(t *testing.T) (a, b int) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	require.NoError(t, err)
	t.Cleanup(func() {
		unix.Close(fds[0])
		unix.Close(fds[1])
	})
	return fds[0], fds[1]
}

// A pipe holds what Fill has taken until Drain has sent it.
func TestPipeFillAndDrain(t *testing.T) {
	source, from := unixPair(t)
	to, sink := unixPair(t)
	p := GetPipe()
	require.NotNil(t, p)
	size, err := unix.FcntlInt(uintptr(p.w), unix.F_GETPIPE_SZ, 0)
	require.NoError(t, err)
	require.GreaterOrEqual(t, size, PipeSize)

	n, err := p.Fill(from, PipeSize)
	require.Equal(t, unix.EAGAIN, err)
	require.Zero(t, n)
	require.Zero(t, p.Held())
	_, err = unix.Write(source, []byte("abcdef"))
	require.NoError(t, err)
	n, err = p.Fill(from, PipeSize)
	require.NoError(t, err)
	require.Equal(t, 6, n)
	require.Equal(t, 6, p.Held())
	n, err = p.Drain(to)
	require.NoError(t, err)
	require.Equal(t, 6, n)
	require.Zero(t, p.Held())
	got := make([]byte, 10)
	n, err = unix.Read(sink, got)
	require.NoError(t, err)
	require.Equal(t, "abcdef", string(got[:n]))

	require.NoError(t, unix.Shutdown(source, unix.SHUT_WR))
	n, err = p.Fill(from, PipeSize)
	require.NoError(t, err)
	require.Zero(t, n, "the end")

	p.held = 1
	n, err = p.Drain(-1)
	require.Equal(t, unix.EBADF, err)
	require.Zero(t, n)
	require.Equal(t, 1, p.Held())
	p.Put()
}

// There are no more than maxPipes. One with bytes in it is not used again.
func TestPipesAreBounded(t *testing.T) {
	before := pipeCount.Load()
	var all []*Pipe
	for {
		p := GetPipe()
		if p == nil {
			break
		}
		require.Zero(t, p.Held())
		all = append(all, p)
		require.LessOrEqual(t, len(all), maxPipes)
	}
	require.NotEmpty(t, all)
	count := pipeCount.Load()
	require.LessOrEqual(t, count, int32(maxPipes))
	require.Nil(t, GetPipe())
	require.Equal(t, count, pipeCount.Load(), "what was not to be had does not count")
	for _, p := range all {
		p.held = 1
		p.Put()
	}
	require.Equal(t, count-int32(len(all)), pipeCount.Load())
	for _, p := range all {
		for _, fd := range []int{p.r, p.w} {
			_, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
			require.Equal(t, unix.EBADF, err)
		}
	}
	require.LessOrEqual(t, pipeCount.Load(), before)
}

// Pipes that nobody takes are closed, once.
func TestPipesAreCollected(t *testing.T) {
	deadline := time.Now().Add(testtime.Patience(20 * time.Second))
	for _, held := range []int{0, 1} {
		p := GetPipe()
		require.NotNil(t, p)
		p.held = held
		p.Put()
		p = nil
		for pipeCount.Load() > 0 {
			require.True(t, time.Now().Before(deadline), "a pipe stays open")
			runtime.GC()
		}
	}
	for range 3 { // finalizers of what was collected before have run when this one has
		ran := make(chan struct{})
		runtime.SetFinalizer(new(*int), func(**int) { close(ran) })
		runtime.GC()
		<-ran
	}
	require.Zero(t, pipeCount.Load())
}

func TestCannotSplice(t *testing.T) {
	for _, err := range []error{unix.EINVAL, unix.ENOSYS, unix.EPERM} {
		require.True(t, CannotSplice(err), err)
	}
	for _, err := range []error{nil, unix.EAGAIN, unix.ECONNRESET, unix.EPIPE} {
		require.False(t, CannotSplice(err), err)
	}
}
