//go:build unix || windows

package iostream_test

import (
	"bytes"
	"io"
	"net"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/eddyloop/eddy/internal/posix"
	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
	"github.com/stretchr/testify/require"
)

// holdLoop keeps the loop busy until the returned function is called.
func holdLoop(t testing.TB, l *ioloop.Loop) (release func()) {
	t.Helper()
	held, free := make(chan struct{}), make(chan struct{})
	require.NoError(t, l.Post(func() { close(held); <-free }))
	receive(t, held)
	return func() { close(free) }
}

// announced waits until the loop has told the stream of input that no read was there for.
func announced(t testing.TB, s *iostream.Stream) {
	t.Helper()
	require.Eventually(t, func() bool { return iostream.KnowsOfInput(s) }, patience, time.Millisecond)
}

func eachSocket(t *testing.T, run func(t *testing.T, network string)) {
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) { run(t, network) })
	}
}

// readByLoop has the loop read a message for a goroutine that waits.
func readByLoop(t testing.TB, s *iostream.Stream, peer net.Conn) {
	t.Helper()
	read := make(chan error, 1)
	go func() { _, err := s.ReadAtLeast(patient(t), make([]byte, 100), 1); read <- err }()
	awaitRead(t, s)
	send(t, peer, "zero")
	require.NoError(t, receive(t, read))
	require.False(t, iostream.KnowsOfInput(s))
}

// What the kernel has is read by the goroutine that wants it: the loop, which is held,
// has no part in it. The end of the stream is read like that too.
func TestGoroutineReadsWithoutTheLoop(t *testing.T) {
	eachSocket(t, func(t *testing.T, network string) {
		l := startLoop(t, ioloop.Config{})
		s, peer := pair(t, l, network, nil)
		readByLoop(t, s, peer)
		send(t, peer, "one two ")
		announced(t, s)
		release := holdLoop(t, l)
		closeWrite(t, peer)
		buf := make([]byte, 4)
		for _, want := range []string{"one ", "two "} {
			n, err := s.ReadAtLeast(patient(t), buf, len(buf))
			require.NoError(t, err)
			require.Equal(t, want, string(buf[:n]))
		}
		_, err := s.ReadAtLeast(patient(t), buf, len(buf))
		requireIs(t, err, io.EOF)
		release()
		_, err = s.ReadAtLeast(patient(t), buf, len(buf))
		requireIs(t, err, io.EOF)
	})
}

// So is what comes when one side has ended: a client that has sent its request, and a peer
// whose last bytes are here.
func TestGoroutineReadsHalfClosedStreamsWithoutTheLoop(t *testing.T) {
	ends := map[string]func(t *testing.T, s *iostream.Stream, peer net.Conn){
		"this side": func(t *testing.T, s *iostream.Stream, peer net.Conn) {
			require.NoError(t, s.CloseWrite())
			_, err := io.ReadAll(peer)
			require.NoError(t, err)
			send(t, peer, "one two ")
			announced(t, s)
		},
		"the peer": func(t *testing.T, s *iostream.Stream, peer net.Conn) {
			send(t, peer, "one two ")
			closeWrite(t, peer)
			announced(t, s)
			require.NoError(t, s.WaitReadClosed(patient(t)))
		},
	}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			eachSocket(t, func(t *testing.T, network string) {
				l := startLoop(t, ioloop.Config{})
				s, peer := pair(t, l, network, nil)
				readByLoop(t, s, peer)
				end(t, s, peer)
				release := holdLoop(t, l)
				defer release()
				buf := make([]byte, 4)
				for _, want := range []string{"one ", "two "} {
					n, err := s.ReadAtLeast(patient(t), buf, len(buf))
					require.NoError(t, err)
					require.Equal(t, want, string(buf[:n]))
				}
				closeWrite(t, peer)
				_, err := s.ReadAtLeast(patient(t), buf, len(buf))
				requireIs(t, err, io.EOF)
			})
		})
	}
}

// The time of a message runs too if a goroutine has read a part of it by itself.
func TestMessageTimeoutOfADirectRead(t *testing.T) {
	clock := new(ioloop.ManualClock)
	l := startLoop(t, ioloop.Config{Clock: clock})
	s, peer := pair(t, l, "tcp", &iostream.Config{MessageTimeout: time.Second})
	read := make(chan error, 1)
	go func() { _, err := s.ReadAtLeast(patient(t), make([]byte, 4), 4); read <- err }()
	awaitRead(t, s)
	send(t, peer, "full") // behind which there is usually more
	require.NoError(t, receive(t, read))
	release := holdLoop(t, l)
	send(t, peer, "part")
	go func() { _, err := s.ReadAtLeast(patient(t), make([]byte, 100), 100); read <- err }()
	awaitRead(t, s)
	release()
	onLoop(t, l, func() {})
	onLoop(t, l, func() {})
	clock.Advance(2 * time.Second)
	requireIs(t, receive(t, read), iostream.ErrMessageTimeout)
}

// A part of a record that a goroutine has taken by itself counts as one of the message.
func TestMessageTimeoutOfARecordInPart(t *testing.T) {
	eachVersion(t, func(t *testing.T, version uint16) {
		clock := new(ioloop.ManualClock)
		l := startLoop(t, ioloop.Config{Clock: clock})
		s, peer := pair(t, l, "tcp", &iostream.Config{MessageTimeout: time.Minute})
		cut := &cutConn{Conn: peer}
		secured := secure(t, s, cut, false, version)
		cut.hold.Store(true)
		send(t, secured, strings.Repeat("x", 8<<10), strings.Repeat("y", 8<<10))
		cut.release(t, 4<<10) // but the end of the second record
		for range 2 {
			_, err := s.ReadAtLeast(patient(t), make([]byte, 4<<10), 4<<10)
			require.NoError(t, err)
			quiet(t, l)
		}
		read := make(chan error, 1)
		go func() { _, err := s.ReadAtLeast(patient(t), make([]byte, 10), 1); read <- err }()
		awaitRead(t, s)
		quiet(t, l)
		clock.Advance(time.Minute)
		requireIs(t, receive(t, read), iostream.ErrMessageTimeout)
	})
}

// cutConn is a connection that holds back what is written, in the end for good.
type cutConn struct {
	net.Conn
	hold atomic.Bool
	held []byte
}

func (c *cutConn) Write(p []byte) (int, error) {
	if !c.hold.Load() {
		return c.Conn.Write(p)
	}
	c.held = append(c.held, p...)
	return len(p), nil
}

// release sends what was held back but the last bytes.
func (c *cutConn) release(t testing.TB, but int) {
	send(t, c.Conn, string(c.held[:len(c.held)-but]))
}

// What TLS has received of a record is taken by the goroutine that wants it, piece by piece.
func TestGoroutineReadsARecordWithoutTheLoop(t *testing.T) {
	for network := range tlsVersions {
		t.Run(network, func(t *testing.T) {
			l := startLoop(t, ioloop.Config{})
			s, peer := pair(t, l, network, nil)
			record := []byte(strings.Repeat("0123456789abcdef", 1<<10))
			send(t, peer, string(record)) // which the kernel has, so that the loop receives all of it
			first := make([]byte, 4<<10)
			_, err := s.ReadAtLeast(patient(t), first, len(first))
			require.NoError(t, err)
			release := holdLoop(t, l)
			got := bytes.Clone(first)
			for range 3 {
				piece := make([]byte, 4<<10)
				_, err := s.ReadAtLeast(patient(t), piece, len(piece))
				require.NoError(t, err)
				got = append(got, piece...)
			}
			require.Equal(t, string(record), string(got))
			release()
			read := make(chan error, 1)
			go func() { _, err := s.ReadAtLeast(patient(t), first, 1); read <- err }()
			awaitRead(t, s)
			send(t, peer, "more")
			require.NoError(t, receive(t, read))
		})
	}
}

func TestGoroutineReadsAReset(t *testing.T) {
	if posix.UnderWine() {
		t.Skip("wine takes the error of a reset to itself: reading finds the end")
	}
	l := startLoop(t, ioloop.Config{})
	s, peer := pair(t, l, "tcp", nil)
	readByLoop(t, s, peer)
	send(t, peer, "x")
	announced(t, s)
	release := holdLoop(t, l)
	reset(t, peer)
	buf := make([]byte, 100)
	var err error
	for err == nil { // the system may still hand out what had come
		_, err = s.ReadAtLeast(patient(t), buf, 1)
	}
	requireIs(t, err, syscall.ECONNRESET)
	release()
	require.NoError(t, s.WaitClosed(patient(t)))
	require.ErrorIs(t, s.Err(), syscall.ECONNRESET)
}

// Direct reads and those that wait for the loop, of all sizes and mixed with reads by
// meaning, return every byte once and in order.
func TestDirectReadsKeepTheOrder(t *testing.T) {
	eachNetwork(t, func(t *testing.T, network string) {
		l := startLoop(t, ioloop.Config{})
		s, peer := pair(t, l, network, nil)
		const lines = 20_000
		go func() {
			for i := range lines {
				if _, err := io.WriteString(peer, strings.Repeat(string(rune('a'+i%26)), i%100)+"\n"); err != nil {
					return
				}
				if i%1000 == 0 {
					time.Sleep(time.Millisecond) // it runs dry now and then
				}
			}
		}()
		buf := make([]byte, 200)
		for i := range lines {
			want := strings.Repeat(string(rune('a'+i%26)), i%100) + "\n"
			if i%7 == 0 {
				line, err := s.Read(patient(t), iostream.Until("\n"))
				require.NoError(t, err)
				require.Equal(t, want, string(line))
				continue
			}
			n, err := s.ReadAtLeast(patient(t), buf[:len(want)], len(buf[:len(want)]))
			require.NoError(t, err)
			require.Equal(t, want, string(buf[:n]))
		}
	})
}

// What a slow reader leaves of a large write waits in the writer's slice.
func TestNetConnWriteIsNotCopied(t *testing.T) {
	l := startLoop(t, ioloop.Config{})
	s, conn, peer := netPair(t, l, "tcp")
	big := bytes.Repeat([]byte("0123456789abcdef"), 1<<20)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	written := make(chan error, 1)
	go func() { _, err := conn.Write(big); written <- err }()
	eventually(t, func() bool { return s.Backlog() > 1<<20 }) // testify's allocates
	runtime.ReadMemStats(&after)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(1<<20))
	got := make([]byte, len(big))
	_, err := io.ReadFull(peer, got)
	require.NoError(t, err)
	require.True(t, bytes.Equal(big, got))
	require.NoError(t, receive(t, written))
}

// A write that times out gives its slice back: what stays queued, because others have
// written behind it, is a copy.
func TestNetConnWriteGivesTheSliceBack(t *testing.T) {
	for _, behind := range []string{"", "behind"} {
		l := startLoop(t, ioloop.Config{})
		s, conn, peer := netPair(t, l, "tcp")
		big := bytes.Repeat([]byte("0123456789abcdef"), 1<<20)
		want := bytes.Clone(big)
		written := make(chan int, 1)
		go func() {
			n, err := conn.Write(big)
			requireTimeout(t, err)
			written <- n
		}()
		require.Eventually(t, func() bool { return s.Backlog() > 1<<20 }, patience, time.Millisecond)
		if behind != "" {
			_, err := s.Write([]byte(behind))
			require.NoError(t, err)
		}
		require.NoError(t, conn.SetWriteDeadline(time.Now()))
		n := receive(t, written)
		clear(big)
		require.NoError(t, conn.SetWriteDeadline(time.Time{}))
		require.NoError(t, conn.(interface{ CloseWrite() error }).CloseWrite())
		require.NoError(t, peer.SetReadDeadline(time.Now().Add(patience)))
		got, err := io.ReadAll(peer)
		require.NoError(t, err)
		if behind != "" {
			require.Equal(t, len(want), n, "it can no longer be taken back")
		} else {
			require.Less(t, n, len(want))
		}
		require.True(t, bytes.Equal(append(want[:n:n], behind...), got))
	}
}

func requireTimeout(t testing.TB, err error) {
	e, ok := err.(net.Error)
	if !ok || !e.Timeout() {
		t.Errorf("no time-out: %v", err)
	}
}

// What the kernel refuses of a write that goes straight to it counts as not sent.
func TestStraightWriteToABrokenPeer(t *testing.T) {
	l := startLoop(t, ioloop.Config{})
	s, peer := pair(t, l, "tcp", nil)
	readByLoop(t, s, peer)
	release := holdLoop(t, l)
	defer release()
	reset(t, peer)
	n, err := s.NetConn().Write([]byte("hello"))
	require.ErrorIs(t, err, syscall.ECONNRESET)
	require.Zero(t, n)
}
