//go:build unix

package tcp_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"testing"

	"github.com/eddyloop/eddy/iostream"
	"github.com/eddyloop/eddy/tcp"
	"github.com/stretchr/testify/require"
)

// tlsBenchServers echo what comes over TLS: ours, and a goroutine for each
// connection. The client is a child process, so that cpu-ns/op is the server's
// processor time alone.
var tlsBenchServers = []struct {
	name  string
	start func(b *testing.B) (addr net.Addr)
}{
	{"eddy", func(b *testing.B) net.Addr {
		return serveBench(b, &tcp.Server{TLS: testTLS().server, Callback: echoCallback})
	}},
	{"eddy off loop", func(b *testing.B) net.Addr {
		return serveBench(b, &tcp.Server{TLS: testTLS().server, Callback: echoCallback, Stream: iostream.Config{HandshakeOffLoop: true}})
	}},
	{"net", func(b *testing.B) net.Addr {
		listener, err := tls.Listen("tcp", "127.0.0.1:0", testTLS().server)
		require.NoError(b, err)
		b.Cleanup(func() { listener.Close() })
		go func() {
			for {
				conn, err := listener.Accept()
				if err != nil {
					return
				}
				go func() {
					defer conn.Close()
					buffer := make([]byte, 64<<10)
					for {
						n, err := conn.Read(buffer)
						if err != nil {
							return
						}
						_, _ = conn.Write(buffer[:n])
					}
				}()
			}
		}()
		return listener.Addr()
	}},
}

func echoCallback(s *iostream.Stream) {
	_ = s.Handle(iostream.Some(0), func(b []byte, err error) bool {
		if err != nil {
			_ = s.Close()
			return false
		}
		_, err = s.Write(b)
		return err == nil
	})
}

func serveBench(b *testing.B, srv *tcp.Server) net.Addr {
	b.Helper()
	srv.Logger, srv.Loops = quiet(), 1
	addr, err := srv.Listen("tcp", "127.0.0.1:0")
	require.NoError(b, err)
	served := make(chan error, 1)
	go func() { served <- srv.Serve(context.Background()) }()
	b.Cleanup(func() {
		_ = srv.Close()
		<-served
	})
	return addr
}

// BenchmarkTLS is a message there and back with one connection; bulk is 1 MiB.
// A handshake is with connecting, one byte there and back, and closing.
func BenchmarkTLS(b *testing.B) {
	for _, what := range []string{"small", "bulk", "handshake"} {
		for _, server := range tlsBenchServers {
			if what == "handshake" || server.name != "eddy off loop" {
				b.Run(what+"/"+server.name, func(b *testing.B) {
					child := startTLSClient(b, server.start(b), what, b.N)
					child.await("ready")
					before := processorTime()
					b.ResetTimer()
					child.send("go")
					child.await("done")
					b.ReportMetric(float64(processorTime()-before)/float64(b.N), "cpu-ns/op")
				})
			}
		}
	}
}

// BenchmarkQuietTLS tells what a TLS connection costs in user space that has
// gone quiet, after an echoed line of 1 KiB and after 256 of them. How much
// crypto/tls keeps depends on the peer: on its first message, which is kept and
// is four times as long where TLS 1.3 is on offer, and on how its records grow:
// Go's do by default, those of others are full from the first on.
func BenchmarkQuietTLS(b *testing.B) {
	const conns = 500
	for _, what := range []string{"quiet one line", "quiet bulk", "quiet bulk full records"} {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			b.Run(what+"/"+tls.VersionName(version), func(b *testing.B) {
				addr := serveBench(b, &tcp.Server{TLS: testTLS().server, Callback: lineCallback})
				heap, stack := memory()
				child := startTLSClient(b, addr, what, conns, fmt.Sprint("EDDY_TLS_VERSION=", version))
				child.await("ready")
				child.send("go")
				child.await("done")
				heapNow, stackNow := memory()
				b.ReportMetric(float64(heapNow-heap)/conns, "heap-B/conn")
				b.ReportMetric(float64(stackNow-stack)/conns, "stack-B/conn")
				b.ReportMetric(0, "ns/op")
			})
		}
	}
}

// tlsChild is a client in a process of its own.
type tlsChild struct {
	b   *testing.B
	in  io.Writer
	out *bufio.Scanner
}

func startTLSClient(b *testing.B, addr net.Addr, what string, n int, env ...string) *tlsChild {
	cmd := exec.Command(os.Args[0], "-test.run=^TestTLSBenchClient$")
	cmd.Env = append(os.Environ(), "EDDY_TLS_ADDR="+addr.String(), "EDDY_TLS_WHAT="+what, fmt.Sprint("EDDY_TLS_N=", n))
	cmd.Env = append(cmd.Env, env...)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	require.NoError(b, err)
	out, err := cmd.StdoutPipe()
	require.NoError(b, err)
	require.NoError(b, cmd.Start())
	b.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Wait()
	})
	return &tlsChild{b, in, bufio.NewScanner(out)}
}

func (c *tlsChild) send(line string) { _, _ = fmt.Fprintln(c.in, line) }

func (c *tlsChild) await(line string) {
	require.True(c.b, c.out.Scan())
	require.Equal(c.b, line, c.out.Text())
}

// TestTLSBenchClient is the child process.
func TestTLSBenchClient(t *testing.T) {
	address := os.Getenv("EDDY_TLS_ADDR")
	if address == "" {
		t.Skip("only of use to the benchmarks of TLS")
	}
	n, err := strconv.Atoi(os.Getenv("EDDY_TLS_N"))
	require.NoError(t, err)
	what := os.Getenv("EDDY_TLS_WHAT")
	newest, _ := strconv.Atoi(os.Getenv("EDDY_TLS_VERSION")) // 0 is crypto/tls's choice
	config := &tls.Config{
		InsecureSkipVerify: true, MaxVersion: uint16(newest),
		DynamicRecordSizingDisabled: what == "quiet bulk full records",
	}
	line := append(bytes.Repeat([]byte("x"), 1023), '\n')
	var conns []net.Conn // kept, or the garbage collector would close them
	open := func() net.Conn {
		conn, err := tls.Dial("tcp", address, config)
		require.NoError(t, err)
		conns = append(conns, conn)
		return conn
	}
	echo := func(conn net.Conn, message []byte) {
		written := make(chan error, 1)
		if len(message) > 1<<10 {
			go func() { _, err := conn.Write(message); written <- err }()
		} else {
			_, err := conn.Write(message)
			written <- err
		}
		_, err := io.CopyN(io.Discard, conn, int64(len(message)))
		require.NoError(t, err)
		require.NoError(t, <-written)
	}
	var one net.Conn
	if what == "small" || what == "bulk" {
		one = open()
		echo(one, line)
	}
	fmt.Println("ready")
	input := bufio.NewReader(os.Stdin)
	_, _ = input.ReadString('\n')
	for range n {
		switch what {
		case "small":
			echo(one, line[1024-64:])
		case "bulk":
			echo(one, bytes.Repeat(line, 1024))
		case "handshake":
			conn := open()
			echo(conn, line[:1])
			conn.Close()
			conns = conns[:0]
		case "quiet one line":
			echo(open(), line)
		default:
			echo(open(), bytes.Repeat(line, 256))
		}
	}
	fmt.Println("done")
	_, _ = io.Copy(io.Discard, input)
	runtime.KeepAlive(conns)
	os.Exit(0)
}
