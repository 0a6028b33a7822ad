package ioloop

import (
	"context"
	"log/slog"
	"runtime"
	"runtime/debug"
	"testing"
	"time"

	"github.com/eddyloop/eddy/internal/testtime"
	"github.com/stretchr/testify/require"
)

type closer chan struct{}

func (c closer) Close() error {
	close(c)
	return nil
}

// A result that came between the end of the wait and that of Await is closed, and none
// that the task has taken.
func TestLateResultIsClosed(t *testing.T) {
	l, err := New(Config{Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	defer l.Close()
	late, taken := make(closer), make(closer)
	(&awaited[closer]{loop: l, value: taken, ended: true, taken: true}).leave()
	(&awaited[closer]{loop: l}).leave()
	(&awaited[closer]{loop: l, value: late, ended: true}).leave()
	select {
	case <-late:
	case <-time.After(testtime.Patience(30 * time.Second)):
		require.FailNow(t, "it stays open")
	}
	select {
	case <-taken:
		require.FailNow(t, "the task has it")
	default:
	}
}

// A loop that is closed has no number any more, whoever holds it.
func TestClosedLoopHasNoNumber(t *testing.T) {
	l, err := New(Config{})
	require.NoError(t, err)
	require.NoError(t, l.Go(func(*Task) {}))
	_, err = l.RunOnce()
	require.NoError(t, err)
	number := l.number
	require.Same(t, l, loopNumbers.find(number))
	require.NoError(t, l.Close())
	require.Nil(t, loopNumbers.find(number))
	runtime.KeepAlive(l)
}

// Who asks whether it may block, and may, is as it was: a fault ends the program there.
func TestMayBlockLeavesNoMark(t *testing.T) {
	marked := make(chan bool)
	go func() {
		err := MayBlock()
		marked <- debug.SetPanicOnFault(false) || err != nil
	}()
	require.False(t, <-marked)
}

// A Waiter that is kept for the next use holds no context, whether it had to wait or not.
func TestWaiterForgetsItsContext(t *testing.T) {
	cancelled, cancel := context.WithCancel(t.Context())
	var w Waiter
	for _, ctx := range []context.Context{context.Background(), t.Context(), cancelled} {
		require.NoError(t, w.Begin(ctx))
		w.Wake()
		require.NoError(t, w.Wait())
		require.Nil(t, w.blocked.ctx)
	}
	require.NoError(t, w.Begin(cancelled))
	cancel()
	require.ErrorIs(t, w.Wait(), context.Canceled)
	require.Nil(t, w.blocked.ctx)
}
