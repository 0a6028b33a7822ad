//go:build unix

package ioloop_test

import (
	"os"
	"syscall"
	"testing"

	"github.com/eddyloop/eddy/ioloop"
	"github.com/stretchr/testify/require"
)

func TestSignal(t *testing.T) {
	l := newLoop(t, ioloop.Config{})
	got := make(chan os.Signal, 10)
	stop, err := l.Signal(func(s os.Signal) { got <- s }, syscall.SIGUSR1)
	require.NoError(t, err)
	start(t, l)
	for range 5 {
		require.NoError(t, syscall.Kill(os.Getpid(), syscall.SIGUSR1))
		require.Equal(t, syscall.SIGUSR1, receive(t, got))
	}
	// Another one keeps the signal from ending the process.
	other := make(chan os.Signal, 10)
	stopOther, err := l.Signal(func(s os.Signal) { other <- s }, syscall.SIGUSR1)
	require.NoError(t, err)
	on(t, l, stop)
	on(t, l, stop)
	require.NoError(t, syscall.Kill(os.Getpid(), syscall.SIGUSR1))
	receive(t, other)
	turns(t, l)
	require.Empty(t, got)
	require.NoError(t, l.Close())
	require.NoError(t, syscall.Kill(os.Getpid(), syscall.SIGUSR1)) // to a closed loop
	stopOther()
}

// Ended on the loop, it ends for what has arrived already.
func TestSignalStopOnLoopIsAtOnce(t *testing.T) {
	l := startNew(t)
	called := false
	stop, err := l.Signal(func(os.Signal) { called = true }, syscall.SIGUSR1)
	require.NoError(t, err)
	on(t, l, func() {
		_ = syscall.Kill(os.Getpid(), syscall.SIGUSR1)
		until(t, func() bool { return l.Stats().Queue > 0 })
		stop()
	})
	turns(t, l)
	require.False(t, called)
}
