package poller

import (
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// A Poller over poll(2) leaves no descriptor behind.
func TestPollClosesItsPipe(t *testing.T) {
	free := lowestFree(t)
	p, err := newPoll(true)
	require.NoError(t, err)
	require.NotEqual(t, free, lowestFree(t))
	require.NoError(t, p.Close())
	w := p.(*front).backend.(*pollSet).waker.(*pipeWaker)
	for _, fd := range []int{w.r, w.w} {
		_, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
		require.Equal(t, unix.EBADF, err)
	}
}

// The kernel's list keeps its room, but not when a burst is over.
func TestPollRoom(t *testing.T) {
	for _, c := range []struct {
		room, registered int
		kept             bool
	}{
		{maxSpare, 0, true},
		{maxSpare + 4, 0, false},
		{4 * maxSpare, maxSpare - 1, false},
		{4 * maxSpare, maxSpare, true},
	} {
		p := &pollSet{table: newTable(), waker: &pipeWaker{}}
		for fd := range c.registered {
			p.table.take(fd)
		}
		p.fds = make([]unix.PollFd, 0, c.room)
		p.build()
		require.Equal(t, c.kept, cap(p.fds) == c.room, "%+v", c)
		require.Len(t, p.fds, 1, "nobody wants anything")
	}
}
