package ioloop

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// Close shuts a queue that is empty. By force it shuts one that is not, but never on a task.
func TestShut(t *testing.T) {
	l, err := New(Config{})
	require.NoError(t, err)
	defer l.Close()
	work := runnerFunc(func() {})
	task := &starting{l, jobFunc(func(*Task) {})}
	for _, c := range []struct {
		queue         []Runner
		freely, force bool
	}{
		{nil, true, true},
		{[]Runner{work}, false, true},
		{[]Runner{task}, false, false},
		{[]Runner{work, task}, false, false},
	} {
		l.queue = c.queue
		require.Equal(t, c.freely, l.shut(false))
		require.Equal(t, c.freely, l.closed)
		require.Equal(t, c.force, l.shut(true))
		require.Equal(t, c.force, l.closed)
	}
	l.queue, l.closed = nil, false
}
