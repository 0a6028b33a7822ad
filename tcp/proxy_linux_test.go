package tcp_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"testing"

	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/tcp"
	"github.com/stretchr/testify/require"
)

// copyProxy is a proxy as it is written first, two goroutines with io.Copy for each connection,
// over Eddy or package net, before a server that sinks and answers.
func copyProxy(t testing.TB, overNet bool, backend string) (addr string) {
	t.Helper()
	var listener net.Listener
	var err error
	var dial func() (net.Conn, error)
	if overNet {
		listener, err = net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		dial = func() (net.Conn, error) { return net.Dial("tcp", backend) }
	} else {
		group, err := ioloop.NewGroup(1, ioloop.Config{Logger: quiet()})
		require.NoError(t, err)
		stopped := make(chan error, 1)
		go func() { stopped <- group.Run(context.Background()) }()
		srv := &tcp.Server{Group: group}
		_, err = srv.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		listener, err = srv.NetListener()
		require.NoError(t, err)
		go srv.Serve(t.Context())
		t.Cleanup(func() {
			require.NoError(t, srv.Close())
			require.NoError(t, group.Close())
			require.NoError(t, <-stopped)
		})
		dial = func() (net.Conn, error) { return (&tcp.Dialer{Group: group}).DialContext(t.Context(), "tcp", backend) }
	}
	t.Cleanup(func() { _ = listener.Close() })
	type halfCloser interface{ CloseWrite() error }
	pass := func(to, from net.Conn, done chan<- struct{}) {
		_, _ = io.Copy(to, from)
		_ = to.(halfCloser).CloseWrite()
		done <- struct{}{}
	}
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer client.Close()
				server, err := dial()
				if err != nil {
					return
				}
				defer server.Close()
				done := make(chan struct{}, 2)
				go pass(server, client, done)
				go pass(client, server, done)
				<-done
				<-done
			}()
		}
	}()
	return listener.Addr().String()
}

func init() { children["copy ends"] = copyEnds }

// copyEnds is the client and the server of a proxy, in a process of their own: messages of a
// size go through the proxy, and for each a byte comes back.
func copyEnds() {
	check := func(err error) {
		if err != nil {
			panic(err)
		}
	}
	backend, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	fmt.Println(backend.Addr())
	var addr string
	var size, count int
	_, err = fmt.Scanln(&addr, &size)
	check(err)
	client, err := net.Dial("tcp", addr)
	check(err)
	server, err := backend.Accept()
	check(err)
	go func() {
		buf := make([]byte, 256<<10)
		for n := 0; ; n %= size {
			m, err := server.Read(buf[:min(len(buf), size-n)])
			if err != nil {
				return
			}
			if n += m; n == size {
				_, _ = server.Write(buf[:1])
			}
		}
	}()
	message := make([]byte, size)
	for {
		if _, err := fmt.Scanln(&count); err != nil {
			return
		}
		for range count {
			_, err := client.Write(message)
			check(err)
			_, err = io.ReadFull(client, message[:1])
			check(err)
		}
		fmt.Println("done")
	}
}

// BenchmarkCopyProxy tells the processor time of a proxy alone.
func BenchmarkCopyProxy(b *testing.B) {
	for _, size := range []int{1 << 10, 16 << 10, 64 << 10, 1 << 20, 64 << 20} {
		for name, overNet := range map[string]bool{"eddy": false, "net": true} {
			b.Run(fmt.Sprintf("%d/%s", size, name), func(b *testing.B) {
				cmd := exec.CommandContext(b.Context(), os.Args[0])
				cmd.Env = append(os.Environ(), "EDDY_TCP_CHILD=copy ends")
				in, err := cmd.StdinPipe()
				require.NoError(b, err)
				out, err := cmd.StdoutPipe()
				require.NoError(b, err)
				require.NoError(b, cmd.Start())
				defer func() { _, _ = in.Close(), cmd.Wait() }()
				var backend, done string
				_, err = fmt.Fscanln(out, &backend)
				require.NoError(b, err)
				round := func(n int) {
					_, err := fmt.Fprintln(in, n)
					require.NoError(b, err)
					_, err = fmt.Fscanln(out, &done)
					require.NoError(b, err)
				}
				_, err = fmt.Fprintln(in, copyProxy(b, overNet, backend), size)
				require.NoError(b, err)
				round(10)
				b.SetBytes(int64(size))
				b.ResetTimer()
				before := processorTime()
				round(b.N)
				b.ReportMetric(float64((processorTime()-before).Nanoseconds())/1e3/float64(b.N), "cpu-µs/op")
			})
		}
	}
}
