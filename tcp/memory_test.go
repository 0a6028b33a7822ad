package tcp_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"runtime"
	"strconv"
	"testing"

	"github.com/eddyloop/eddy/internal/selfexec"
	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
	"github.com/eddyloop/eddy/tcp"
	"github.com/stretchr/testify/require"
)

// quietConns is how many connections BenchmarkQuietConnection holds. The
// clients live in a child process, whose files are counted on their own.
const quietConns = 10_000

// BenchmarkQuietConnection tells what a connection costs in user space after
// it has echoed one line and gone quiet: B/conn of heap, and of stacks.
func BenchmarkQuietConnection(b *testing.B) {
	styles := map[string]*tcp.Server{
		"callback": {Callback: func(s *iostream.Stream) {
			_ = s.HandleUntil("\n", 0, func(line []byte, err error) bool {
				if err != nil {
					return false
				}
				_, err = s.Write(line)
				return err == nil
			})
		}},
		"task": {Handler: func(t *ioloop.Task, s *iostream.Stream) error {
			for {
				line, err := s.ReadUntil(t, "\n", 0)
				if err != nil {
					return err
				}
				if _, err := s.Write(line); err != nil {
					return err
				}
			}
		}},
	}
	for name, srv := range styles {
		b.Run(name, func(b *testing.B) {
			srv.Logger = slog.New(slog.DiscardHandler)
			srv.Loops = 1
			addr, err := srv.Listen("tcp", "127.0.0.1:0")
			require.NoError(b, err)
			served := make(chan error, 1)
			go func() { served <- srv.Serve(context.Background()) }()
			heap, stack := memory()
			release := quietClients(b, addr.String(), quietConns)
			heapNow, stackNow := memory()
			require.Equal(b, quietConns, srv.Stats().Conns)
			b.ReportMetric(float64(heapNow-heap)/quietConns, "heap-B/conn")
			b.ReportMetric(float64(stackNow-stack)/quietConns, "stack-B/conn")
			b.ReportMetric(0, "ns/op")
			release()
			require.NoError(b, srv.Close())
			require.ErrorIs(b, <-served, tcp.ErrServerClosed)
		})
	}
}

func memory() (heap, stack int64) {
	runtime.GC()
	runtime.GC() // a second one empties the pools of buffers
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc), int64(m.StackInuse)
}

// quietClients has a child process hold n connections that have echoed a line.
func quietClients(b *testing.B, addr string, n int) (release func()) {
	child := selfexec.Command("EDDY_QUIET_ADDR="+addr, "-test.run=^TestQuietClients$")
	child.Env = append(child.Env, "EDDY_QUIET_CONNS="+strconv.Itoa(n))
	child.Stderr = os.Stderr
	stdin, err := child.StdinPipe()
	require.NoError(b, err)
	stdout, err := child.StdoutPipe()
	require.NoError(b, err)
	require.NoError(b, child.Start())
	line, err := bufio.NewReader(stdout).ReadString('\n')
	require.NoError(b, err)
	require.Equal(b, "ready\n", line)
	return func() {
		require.NoError(b, stdin.Close())
		_ = child.Wait()
	}
}

// TestQuietClients is the child process of BenchmarkQuietConnection.
func TestQuietClients(t *testing.T) {
	addr := os.Getenv("EDDY_QUIET_ADDR")
	if addr == "" {
		t.Skip("only of use to BenchmarkQuietConnection")
	}
	n, err := strconv.Atoi(os.Getenv("EDDY_QUIET_CONNS"))
	require.NoError(t, err)
	answer := make([]byte, 6)
	var conns []net.Conn // kept, or the garbage collector would close them
	for range n {
		c, err := net.Dial("tcp", addr)
		require.NoError(t, err)
		_, err = io.WriteString(c, "hello\n")
		require.NoError(t, err)
		_, err = io.ReadFull(c, answer)
		require.NoError(t, err)
		conns = append(conns, c)
	}
	fmt.Println("ready")
	_, _ = io.Copy(io.Discard, os.Stdin)
	runtime.KeepAlive(conns)
	os.Exit(0)
}
