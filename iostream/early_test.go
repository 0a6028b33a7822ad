//go:build unix || windows

package iostream_test

import (
	"context"
	"io"
	"syscall"
	"testing"
	"time"

	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
	"github.com/eddyloop/eddy/iostreamtest"
	"github.com/stretchr/testify/require"
)

// A program may end as soon as a goroutine of it has closed a stream, before the loop has got
// round to that. What the kernel takes is sent by then.
func TestCloseSendsWithoutTheLoop(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			l, err := ioloop.New(ioloop.Config{}) // it never runs
			require.NoError(t, err)
			defer l.Close()
			s, peer := pair(t, l, network, nil)
			for _, text := range []string{"hello, ", "world\n"} {
				_, err = s.Write([]byte(text))
				require.NoError(t, err)
			}
			require.NoError(t, s.Close())
			expect(t, peer, "hello, world\n")
			_, err = peer.Read(make([]byte, 1))
			require.Equal(t, io.EOF, err)
		})
	}
}

// The same while the loop is in a callback of the stream.
func TestCloseSendsBesideACallback(t *testing.T) {
	eachNetwork(t, func(t *testing.T, network string) {
		l := startLoop(t, ioloop.Config{})
		s, peer := pair(t, l, network, nil)
		begun, end := make(chan struct{}), make(chan struct{})
		defer close(end)
		require.NoError(t, s.ReadFunc(iostream.Some(0), func([]byte, error) { close(begun); <-end }))
		_, err := peer.Write([]byte("x"))
		require.NoError(t, err)
		receive(t, begun)
		_, err = s.Write([]byte("hello\n"))
		require.NoError(t, err)
		require.NoError(t, s.Close())
		expect(t, peer, "hello\n")
	})
}

// A program that runs a task to its end has sent all that the task wrote.
func TestRunTaskSendsWhatWasClosed(t *testing.T) {
	const size = 8 << 20
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			l, err := ioloop.New(ioloop.Config{})
			require.NoError(t, err)
			s, peer := pair(t, l, network, nil)
			got := make(chan int, 1)
			go func() {
				time.Sleep(10 * time.Millisecond) // it is slow
				n, _ := io.Copy(io.Discard, peer)
				got <- int(n)
			}()
			require.NoError(t, l.RunTask(context.Background(), func(*ioloop.Task) error {
				_, err := s.Write(make([]byte, size))
				require.NoError(t, err)
				return s.Close()
			}))
			require.NoError(t, l.Close())
			require.Equal(t, size, receive(t, got))
		})
	}
}

// It waits for each stream that was closed, also if another one could not send what it had.
func TestRunTaskWaitsBesideAFailure(t *testing.T) {
	l := newLoop(t, ioloop.Config{})
	defer l.Close()
	broken, slow := fullWire(), fullWire()
	require.NoError(t, l.RunTask(patient(t), func(task *ioloop.Task) error {
		for _, wire := range []*iostreamtest.Wire{broken, slow} {
			s, err := iostream.New(l, wire.Transport(), nil)
			require.NoError(t, err)
			write(t, s, "hello\n")
			require.NoError(t, s.Close())
			if wire == broken {
				wire.FailWrites(syscall.EPIPE)
				require.NoError(t, s.WaitClosed(task))
			}
		}
		l.AfterFunc(time.Millisecond, func() { slow.AddWindow(10) })
		return nil
	}))
	require.Equal(t, "hello\n", slow.Sent())
}
