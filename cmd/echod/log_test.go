package main

import (
	"bufio"
	"context"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// stuckWriter never takes anything, until it is closed.
type stuckWriter chan struct{}

func (w stuckWriter) Write(p []byte) (int, error) {
	<-w
	return len(p), nil
}

// Whoever reads the log may stop doing so: clients that have much logged hold up
// neither other clients nor the daemon's end.
func TestLogThatNobodyReads(t *testing.T) {
	stuck := make(stuckWriter)
	defer close(stuck)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	stdout, out := io.Pipe()
	defer out.Close()
	code := make(chan int, 1)
	go func() {
		code <- run(ctx, []string{"-listen", "127.0.0.1:0", "-mode", "line", "-max-message", "10", "-loops", "1"}, nil, out, stuck)
	}()
	line, err := bufio.NewReader(stdout).ReadString('\n')
	require.NoError(t, err)
	addr := strings.TrimSpace(strings.TrimPrefix(line, "echod listening on "))
	go io.Copy(io.Discard, stdout)
	connect := func() net.Conn {
		c, err := net.Dial("tcp", addr)
		require.NoError(t, err)
		require.NoError(t, c.SetDeadline(time.Now().Add(patience)))
		return c
	}
	honest := connect()
	defer honest.Close()
	for range 50 {
		c := connect()
		_, err := io.WriteString(c, "a line that is too long\n")
		require.NoError(t, err)
		_, err = io.Copy(io.Discard, c)
		require.False(t, os.IsTimeout(err), "the daemon hangs")
		require.NoError(t, c.Close())
	}
	_, err = io.WriteString(honest, "hello\n")
	require.NoError(t, err)
	echo := make([]byte, 6)
	_, err = io.ReadFull(honest, echo)
	require.NoError(t, err)
	cancel()
	select {
	case c := <-code:
		require.Zero(t, c)
	case <-time.After(patience):
		require.Fail(t, "the daemon does not end")
	}
}
