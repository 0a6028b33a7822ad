//go:build unix || windows

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
	"strings"
	"testing"
	"time"

	"github.com/eddyloop/eddy/internal/selfexec"
	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
	"github.com/eddyloop/eddy/tcp"
	"github.com/stretchr/testify/require"
)

// quietConns is how many connections BenchmarkQuietConnection holds, unless
// EDDY_QUIET_CONNS says otherwise. The clients live in child processes, whose
// files are counted on their own.
const quietConns = 10_000

// quietEach is how many of them a child process holds, at an address of its own.
const quietEach = 5_000

// BenchmarkQuietConnection tells what a connection costs after it has echoed
// one line and gone quiet: B/conn of heap, of stacks, and of the kernel's
// objects where those can be learnt, and the gigabytes of a million of them. The
// kernel's are the whole machine's, halved for the client's end.
func BenchmarkQuietConnection(b *testing.B) {
	conns := quietConns
	if text := os.Getenv("EDDY_QUIET_CONNS"); text != "" {
		var err error
		conns, err = strconv.Atoi(text)
		require.NoError(b, err)
	}
	styles := map[string]*tcp.Server{
		"callback": {Callback: func(s *iostream.Stream) {
			_ = s.Handle(iostream.Until("\n"), func(line []byte, err error) bool {
				if err != nil {
					return false
				}
				_, err = s.Write(line)
				return err == nil
			})
		}},
		"message": {Frame: iostream.Until("\n"), Message: func(_ *ioloop.Task, s *iostream.Stream, line []byte) error {
			_, err := s.Write(line)
			return err
		}},
		"open": {Frame: iostream.Until("\n"), Message: lineMessage, Open: func(*ioloop.Task, *iostream.Stream) error {
			return nil
		}},
		"task": {Handler: func(t *ioloop.Task, s *iostream.Stream) error {
			for {
				line, err := s.Read(t, iostream.Until("\n"))
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
			addr, err := srv.Listen("tcp4", ":0")
			require.NoError(b, err)
			served := make(chan error, 1)
			go func() { served <- srv.Serve(context.Background()) }()
			port := addr.(*net.TCPAddr).Port
			heap, stack := memory()
			time.Sleep(time.Second) // until the kernel has freed what an earlier run had
			kernel := kernelMemory()
			var release []func()
			for i := 0; i*quietEach < conns; i++ {
				at := fmt.Sprintf("127.0.0.%d:%d", 1+i, port)
				release = append(release, quietClients(b, at, min(quietEach, conns-i*quietEach)))
			}
			heapNow, stackNow := memory()
			kernelNow := kernelMemory()
			require.Equal(b, conns, srv.Stats().Conns)
			each := func(n int64) float64 { return float64(n) / float64(conns) }
			total := each(heapNow - heap + stackNow - stack)
			b.ReportMetric(each(heapNow-heap), "heap-B/conn")
			b.ReportMetric(each(stackNow-stack), "stack-B/conn")
			if kernel > 0 {
				b.ReportMetric(each(kernelNow-kernel)/2, "kernel-B/conn")
				total += each(kernelNow-kernel) / 2
			}
			b.ReportMetric(total/1e3, "GB/million")
			b.ReportMetric(0, "ns/op")
			for _, end := range release {
				end()
			}
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

// kernelMemory returns the bytes of the kernel's objects in use, and of its
// socket buffers, on the whole machine; 0 where that cannot be learnt.
func kernelMemory() int64 {
	slabs, err := os.ReadFile("/proc/slabinfo") // for root alone
	if err != nil {
		return 0
	}
	var total int64
	for line := range strings.Lines(string(slabs)) {
		var name string
		var active, all, size int64
		if n, _ := fmt.Sscan(line, &name, &active, &all, &size); n == 4 {
			total += active * size
		}
	}
	sockets, _ := os.ReadFile("/proc/net/sockstat")
	if _, rest, found := strings.Cut(string(sockets), "TCP: "); found {
		var pages int64
		_, rest, _ = strings.Cut(rest, " mem ")
		_, _ = fmt.Sscan(rest, &pages)
		total += pages * int64(os.Getpagesize())
	}
	return total
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
		_ = c.(*net.TCPConn).SetLinger(0) // in the end there shall be nothing left in the kernel
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
