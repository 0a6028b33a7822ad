package socket

import (
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// BenchmarkFromFile and BenchmarkRelay tell what the kernel's own ways of moving
// bytes would save: the processor time for a megabyte, both ends included, with
// what streams do, read and send, beside sendfile and splice. Over loopback, that
// is; a network card that gathers pages itself has not been measured.
func BenchmarkFromFile(b *testing.B) {
	file, err := os.Create(filepath.Join(b.TempDir(), "megabyte"))
	require.NoError(b, err)
	defer file.Close()
	_, err = file.Write(make([]byte, megabyte))
	require.NoError(b, err)
	from := int(file.Fd())
	buffer := make([]byte, 64<<10)
	b.Run("read and send", func(b *testing.B) {
		move(b, func(to int) {
			for at := int64(0); at < megabyte; {
				n, err := unix.Pread(from, buffer, at)
				require.NoError(b, err)
				send(b, to, buffer[:n])
				at += int64(n)
			}
		})
	})
	b.Run("sendfile", func(b *testing.B) {
		move(b, func(to int) {
			for at := int64(0); at < megabyte; {
				_, err := unix.Sendfile(to, from, &at, megabyte-int(at))
				require.NoError(b, err)
			}
		})
	})
}

func BenchmarkRelay(b *testing.B) {
	relay := func(b *testing.B, step func(from, to int) int) {
		source, from := connectedPair(b)
		input := make(chan struct{}, 1)
		go func() {
			data := make([]byte, megabyte)
			for range input {
				_, _ = unix.Write(source, data) // blocking: all of it
			}
		}()
		defer close(input)
		move(b, func(to int) {
			input <- struct{}{}
			for n := 0; n < megabyte; {
				n += step(from, to)
			}
		})
	}
	b.Run("read and send", func(b *testing.B) {
		buffer := make([]byte, 64<<10)
		relay(b, func(from, to int) int {
			n, err := unix.Read(from, buffer)
			require.NoError(b, err)
			send(b, to, buffer[:n])
			return n
		})
	})
	b.Run("splice", func(b *testing.B) {
		var pipe [2]int
		require.NoError(b, unix.Pipe2(pipe[:], unix.O_CLOEXEC))
		defer unix.Close(pipe[0])
		defer unix.Close(pipe[1])
		relay(b, func(from, to int) int {
			n, err := unix.Splice(from, nil, pipe[1], nil, 64<<10, unix.SPLICE_F_MOVE)
			require.NoError(b, err)
			for left := n; left > 0; {
				k, err := unix.Splice(pipe[0], nil, to, nil, int(left), unix.SPLICE_F_MOVE)
				require.NoError(b, err)
				left -= k
			}
			return int(n)
		})
	})
}

const megabyte = 1 << 20

// move measures the sending of megabytes to a socket that is read from.
func move(b *testing.B, sendOne func(to int)) {
	to, sink := connectedPair(b)
	received := make(chan int)
	go func() {
		buffer, total := make([]byte, 64<<10), 0
		for total < b.N*megabyte {
			n, err := unix.Read(sink, buffer)
			if n <= 0 || err != nil {
				break
			}
			total += n
		}
		received <- total
	}()
	b.SetBytes(megabyte)
	before := processorTime()
	for range b.N {
		sendOne(to)
	}
	require.Equal(b, b.N*megabyte, <-received)
	b.ReportMetric(float64(processorTime()-before)/float64(b.N)/1e3, "cpu-µs/op")
}

func send(b *testing.B, to int, p []byte) {
	for len(p) > 0 {
		n, err := unix.Write(to, p)
		require.NoError(b, err)
		p = p[n:]
	}
}

// connectedPair returns two blocking sockets that are connected over loopback.
func connectedPair(b *testing.B) (int, int) {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	require.NoError(b, err)
	defer listener.Close()
	client, err := net.Dial("tcp4", listener.Addr().String())
	require.NoError(b, err)
	defer client.Close()
	server, err := listener.Accept()
	require.NoError(b, err)
	defer server.Close()
	var fds [2]int
	for i, conn := range []net.Conn{client, server} {
		file, err := conn.(*net.TCPConn).File()
		require.NoError(b, err)
		fds[i], err = unix.Dup(int(file.Fd())) // Fd makes it blocking
		require.NoError(b, err)
		require.NoError(b, file.Close())
		b.Cleanup(func() { _ = unix.Close(fds[i]) })
	}
	return fds[0], fds[1]
}

// processorTime is what the process has used, in nanoseconds.
func processorTime() int64 {
	var usage unix.Rusage
	_ = unix.Getrusage(unix.RUSAGE_SELF, &usage)
	return usage.Utime.Nano() + usage.Stime.Nano()
}
