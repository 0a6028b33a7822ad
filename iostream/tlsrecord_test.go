//go:build unix || windows

package iostream_test

import (
	"crypto/tls"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/eddyloop/eddy/internal/streamhook"
	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
	"github.com/eddyloop/eddy/iostreamtest"
	"github.com/stretchr/testify/require"
)

// secureSim returns a stream with TLS over a simulation, and its peer.
func secureSim(t testing.TB, version uint16, config *iostream.Config) (*iostream.Stream, *iostreamtest.Wire, *simPeer, *tls.Conn) {
	t.Helper()
	m := iostreamtest.NewWire(iostreamtest.Options{})
	s, err := iostream.New(startLoop(t, ioloop.Config{}), m.Transport(), config)
	require.NoError(t, err)
	peer := &simPeer{sim: m}
	secured := tls.Client(peer, clientConfig(version))
	done := make(chan error, 1)
	go func() { done <- secured.Handshake() }()
	require.NoError(t, s.StartTLS(patient(t), iostream.TLSServer(serverConfig(version))))
	require.NoError(t, receive(t, done))
	if version == tls.VersionTLS13 {
		_, _ = s.Write([]byte("!")) // behind the tickets, which the peer takes in
		expect(t, secured, "!")
	}
	return s, m, peer, secured
}

// All reads, with the records cut up in every way: also a header, an alert and
// the handshake come a byte at a time.
func TestReadsOverTLSOverSimulation(t *testing.T) {
	eachVersion(t, func(t *testing.T, version uint16) {
		for _, chunk := range []int{0, 1, 3, 1000} {
			eachFace(t, func(t *testing.T, f face) {
				for _, c := range readCases {
					if c.name == "some" || c.name == "into" {
						continue // what some is depends on the arrivals
					}
					t.Run(c.name, func(t *testing.T) {
						s, m, _, secured := secureSim(t, version, c.config)
						m.SetReadSize(chunk)
						c.play(t, f, s, func() {
							send(t, secured, c.arrive...)
							if c.eof {
								require.NoError(t, secured.CloseWrite())
							}
						})
					})
				}
			})
		}
	})
}

// Much data both ways at once, through any cutting and blocking.
func TestTLSBulk(t *testing.T) {
	const size = 1 << 20
	data := strings.Repeat("0123456789abcdef", size/16)
	eachVersion(t, func(t *testing.T, version uint16) {
		for _, chunk := range []int{0, 700, 16000} {
			s, m, _, secured := secureSim(t, version, nil)
			m.SetReadSize(chunk)
			m.SetWindow(iostreamtest.NoWindow)
			pending := faces[0].read(t, s, into(size))
			_, err := s.Write([]byte(data))
			require.NoError(t, err)
			mark := s.Mark()
			sent := make(chan error, 1)
			go func() { _, err := io.WriteString(secured, data); sent <- err }()
			got := make(chan string, 1)
			go func() {
				b := make([]byte, size)
				n, _ := io.ReadFull(secured, b)
				got <- string(b[:n])
			}()
			stop := make(chan struct{})
			var opener sync.WaitGroup
			opener.Go(func() { // the kernel takes 4 KiB at a time
				for {
					select {
					case <-stop:
						return
					default:
						m.AddWindow(4096)
						time.Sleep(20 * time.Microsecond)
					}
				}
			})
			require.NoError(t, s.WaitSent(patient(t), mark))
			require.Zero(t, s.Backlog())
			require.True(t, data == receive(t, got))
			require.True(t, data == receive(t, pending).data)
			require.NoError(t, receive(t, sent))
			close(stop)
			opener.Wait()
		}
	})
}

// Records leave in batches: few calls, and little that is encrypted ahead of them.
func TestTLSBatches(t *testing.T) {
	eachVersion(t, func(t *testing.T, version uint16) {
		s, m, _, _ := secureSim(t, version, nil)
		quiet(t, s.Loop())
		before := m.State().Writes
		onLoop(t, s.Loop(), func() {
			for range 2 { // 15 records of 16 KiB, three of which are a batch
				_, err := s.Write(make([]byte, 15*16<<10))
				require.NoError(t, err)
			}
		})
		require.NoError(t, s.Flush(patient(t)))
		require.Equal(t, 2*5, m.State().Writes-before)
	})
}

// A write counts as sent when its record is out, and not before: also after a
// close that cuts the next one off.
func TestTLSWaitSent(t *testing.T) {
	eachVersion(t, func(t *testing.T, version uint16) {
		s, m, _, _ := secureSim(t, version, &iostream.Config{WriteLimit: 1 << 20})
		before := s.Mark()
		m.SetWindow(iostreamtest.NoWindow)
		_, _ = s.Write(make([]byte, 16<<10))
		first := s.Mark()
		_, _ = s.Write(make([]byte, 100<<10))
		outcomes := make(chan error, 3)
		for _, mark := range []int64{before, first, first + 1} {
			require.NoError(t, s.WaitSentFunc(mark, func(err error) { outcomes <- err }))
		}
		require.NoError(t, receive(t, outcomes))
		m.AddWindow(16 << 10) // less than the record
		quiet(t, s.Loop())
		require.Empty(t, outcomes)
		require.Equal(t, 116<<10, s.Backlog())
		m.AddWindow(2 << 10) // the rest of it, with its overhead
		require.NoError(t, receive(t, outcomes))
		require.Equal(t, 100<<10, s.Backlog())
		_, err := s.Write(make([]byte, 1<<20))
		require.ErrorIs(t, err, iostream.ErrBufferFull)
		s.Abort(nil)
		requireIs(t, receive(t, outcomes), net.ErrClosed)
	})
}

// crypto/tls looks ahead for close_notify and can return bytes with an error
// when only a part of it is there.
func TestAlertInPieces(t *testing.T) {
	eachVersion(t, func(t *testing.T, version uint16) {
		for cut, length := 0, 1; cut < length; cut++ {
			s, m, peer, secured := secureSim(t, version, nil)
			peer.setHold(true)
			send(t, secured, "hello")
			data := peer.take()
			require.NoError(t, secured.CloseWrite())
			alert := peer.take()
			length = len(alert) // which depends on the cipher
			m.Arrive([]byte(data + alert[:cut]))
			some, err := s.Read(patient(t), iostream.Some(0))
			require.NoError(t, err)
			require.Equal(t, "hello", string(some))
			pending := faces[2].read(t, s, untilClose(0))
			quiet(t, s.Loop())
			require.Empty(t, pending)
			m.Arrive([]byte(alert[cut:]))
			require.Equal(t, result{}, receive(t, pending))
		}
	})
}

// An end that was not announced is no success, wherever it comes.
func TestTruncation(t *testing.T) {
	eachVersion(t, func(t *testing.T, version uint16) {
		for _, cut := range []int{0, 1, 5, 20, 1 << 20} {
			eachFace(t, func(t *testing.T, f face) {
				s, m, peer, secured := secureSim(t, version, nil)
				peer.setHold(true)
				send(t, secured, "one", "two")
				data := peer.take()
				record := len(data) / 2
				m.Arrive([]byte(data[:min(record+cut, len(data))]))
				m.FIN()
				r := receive(t, f.read(t, s, untilClose(0)))
				requireIs(t, r.err, io.ErrUnexpectedEOF)
				require.Equal(t, map[bool]string{false: "one", true: "onetwo"}[cut > 1000], r.data)
				require.True(t, streamhook.ReadClosed(s))
			})
		}
	})
	t.Run("messages", func(t *testing.T) {
		s, _, peer, secured := secureSim(t, tls.VersionTLS13, nil)
		send(t, secured, "one\n")
		peer.sim.FIN()
		var last error
		for _, err := range s.Messages(patient(t), iostream.Until("\n")) {
			last = err
		}
		requireIs(t, last, io.ErrUnexpectedEOF)
	})
}

// A stream that nobody reads notices the end as one without TLS does: with or
// without close_notify, behind tickets, not before bytes that can be read.
func TestCloseWatchOverTLS(t *testing.T) {
	eachVersion(t, func(t *testing.T, version uint16) {
		for name, c := range map[string]struct {
			data string
			end  func(secured *tls.Conn) error
			want error
		}{
			"announced":       {"", (*tls.Conn).CloseWrite, io.EOF},
			"cut off":         {"", func(*tls.Conn) error { return nil }, io.ErrUnexpectedEOF},
			"data, announced": {"data", (*tls.Conn).CloseWrite, io.EOF},
			"data, cut off":   {"data", func(*tls.Conn) error { return nil }, io.ErrUnexpectedEOF},
		} {
			t.Run(name, func(t *testing.T) {
				s, m, peer, secured := secureSim(t, version, nil)
				peer.setHold(true)
				send(t, secured, c.data)
				require.NoError(t, c.end(secured))
				onLoop(t, s.Loop(), func() {
					m.Arrive([]byte(peer.take()))
					m.FIN()
				})
				if c.data != "" {
					eofSeen := make(chan struct{})
					_ = s.WaitReadClosedFunc(func() { close(eofSeen) })
					receive(t, eofSeen)
					quiet(t, s.Loop())
					require.NoError(t, s.Err())
					got, err := s.Read(patient(t), iostream.Bytes(len(c.data)))
					require.NoError(t, err)
					require.Equal(t, c.data, string(got))
					_, err = s.Read(patient(t), iostream.Some(0))
					requireIs(t, err, c.want)
				}
				require.NoError(t, s.WaitReadClosed(patient(t)))
			})
		}
	})
}

// Plaintext that crypto/tls holds is not forgotten when a read has enough: no
// readiness tells of it.
func TestPlaintextHeldBack(t *testing.T) {
	eachVersion(t, func(t *testing.T, version uint16) {
		s, m, peer, secured := secureSim(t, version, &iostream.Config{ReadLimit: 100})
		line := strings.Repeat("x", 100) + "\n" + strings.Repeat("y", 20)
		pending := faces[2].read(t, s, until("\n", 0))
		send(t, secured, line)
		requireIs(t, receive(t, pending).err, iostream.ErrTooLong)
		r := receive(t, faces[0].read(t, s, into(101)))
		require.Equal(t, line[:101], r.data)
		r = receive(t, faces[0].read(t, s, into(20)))
		require.Equal(t, line[101:], r.data)

		big := strings.Repeat("0123456789", 10_000) // many records, at once
		peer.setHold(true)
		send(t, secured, big)
		require.NoError(t, secured.CloseWrite())
		m.Arrive([]byte(peer.take()))
		for i := range 10 {
			r = receive(t, faces[i%3].read(t, s, into(9_999)))
			require.NoError(t, r.err)
			require.Equal(t, big[i*9_999:(i+1)*9_999], r.data)
			quiet(t, s.Loop())
		}
		r = receive(t, faces[2].read(t, s, untilClose(100)))
		require.Equal(t, result{big[99_990:], 10, nil}, r)
	})
}

// Close tells the peer that nothing is missing exactly if nothing is.
func TestTLSFarewell(t *testing.T) {
	eachVersion(t, func(t *testing.T, version uint16) {
		for name, c := range map[string]struct {
			do   func(s *iostream.Stream, m *iostreamtest.Wire)
			want error
		}{
			"close":             {func(s *iostream.Stream, _ *iostreamtest.Wire) { _ = s.Close() }, io.EOF},
			"close after flush": {func(s *iostream.Stream, _ *iostreamtest.Wire) { _ = s.Close() }, io.EOF},
			"close write":       {func(s *iostream.Stream, _ *iostreamtest.Wire) { _ = s.CloseWrite() }, io.EOF},
			"with an error":     {func(s *iostream.Stream, _ *iostreamtest.Wire) { s.Abort(errPlayed) }, io.ErrUnexpectedEOF},
			"close with a backlog": {func(s *iostream.Stream, m *iostreamtest.Wire) {
				m.SetWindow(30)
				_, _ = s.Write(make([]byte, 100))
				_ = s.Close()
			}, io.ErrUnexpectedEOF},
			"close when idle": {func(s *iostream.Stream, _ *iostreamtest.Wire) {
				streamhook.CloseWhenIdle(s)
				_ = s.ReadFunc(iostream.Some(0), func([]byte, error) {})
			}, io.EOF},
		} {
			t.Run(name, func(t *testing.T) {
				s, m, peer, secured := secureSim(t, version, &iostream.Config{CloseTimeout: 200 * time.Millisecond})
				_, _ = s.Write([]byte("last words"))
				require.NoError(t, s.Flush(patient(t)))
				c.do(s, m)
				got, err := io.ReadAll(&endOfTLS{secured, peer})
				require.Equal(t, c.want == io.EOF, err == nil, "%v", err)
				require.Equal(t, "last words", string(got))
				m.FIN()
			})
		}
	})
}

// endOfTLS tells an end that was announced from one that was not, which
// crypto/tls does not where it comes between records.
type endOfTLS struct {
	conn *tls.Conn
	peer *simPeer
}

func (e *endOfTLS) Read(p []byte) (int, error) {
	n, err := e.conn.Read(p)
	if err == io.EOF && e.peer.ended {
		err = io.ErrUnexpectedEOF // it has asked for more than there was
	}
	return n, err
}

// What CloseWrite has to say waits for the transport, and the FIN for that.
func TestCloseNotifyBlocked(t *testing.T) {
	eachVersion(t, func(t *testing.T, version uint16) {
		s, m, _, secured := secureSim(t, version, nil)
		m.SetWindow(5)
		require.NoError(t, s.CloseWrite())
		quiet(t, s.Loop())
		require.Zero(t, m.State().FINs)
		m.AddWindow(1 << 10)
		_, err := secured.Read(make([]byte, 1))
		require.Equal(t, io.EOF, err)
		quiet(t, s.Loop())
		require.Equal(t, 1, m.State().FINs)

		send(t, secured, "answer") // the other direction goes on
		got, err := s.Read(patient(t), iostream.Bytes(6))
		require.NoError(t, err)
		require.Equal(t, "answer", string(got))
		_, err = s.Write([]byte("x"))
		requireIs(t, err, net.ErrClosed)
		require.NoError(t, secured.CloseWrite())
		_, err = s.Read(patient(t), iostream.Some(0))
		requireIs(t, err, io.EOF)
	})
}

// The peer ends its side; ours goes on.
func TestTLSHalfClose(t *testing.T) {
	eachVersion(t, func(t *testing.T, version uint16) {
		s, _, _, secured := secureSim(t, version, nil)
		send(t, secured, "request")
		require.NoError(t, secured.CloseWrite())
		got, err := s.Read(patient(t), iostream.UntilClose())
		require.NoError(t, err)
		require.Equal(t, "request", string(got))
		_, err = s.Write([]byte("answer"))
		require.NoError(t, err)
		require.NoError(t, s.CloseWrite())
		answer, err := io.ReadAll(secured)
		require.NoError(t, err)
		require.Equal(t, "answer", string(answer))
		require.NoError(t, s.WaitClosed(patient(t)))
	})
}

// What this package takes crypto/tls to do. If one of these fails with a new
// Go, wire has to be thought over.
func TestAssumptionsAboutCryptoTLS(t *testing.T) {
	t.Run("a temporary error of Read is not kept, and comes out as it is", func(t *testing.T) {
		conn, peer := playedPair(t)
		for range 3 {
			conn.readErr = errTemporary
			_, err := conn.tls.Read(make([]byte, 1))
			require.True(t, err == errTemporary, "%v", err)
		}
		conn.readErr = nil
		go func() { _, _ = io.WriteString(peer, "x") }()
		n, err := conn.tls.Read(make([]byte, 1))
		require.NoError(t, err)
		require.Equal(t, 1, n)
	})
	t.Run("any error of Write is", func(t *testing.T) {
		conn, peer := playedPair(t)
		go func() { _, _ = io.Copy(io.Discard, peer) }()
		conn.writeErr = errTemporary
		_, err := conn.tls.Write([]byte("x"))
		require.Error(t, err)
		conn.writeErr = nil
		_, err = conn.tls.Write([]byte("x"))
		require.Error(t, err)
	})
	t.Run("a handshake does not survive it", func(t *testing.T) {
		a, b := net.Pipe()
		defer a.Close()
		defer b.Close()
		conn := &playedConn{Conn: a, readErr: errTemporary}
		conn.tls = tls.Server(conn, serverConfig(0))
		require.Error(t, conn.tls.Handshake())
		conn.readErr = nil
		require.True(t, conn.tls.Handshake() == errTemporary)
	})
}

type temporaryError struct{}

func (temporaryError) Error() string   { return "not yet" }
func (temporaryError) Timeout() bool   { return true }
func (temporaryError) Temporary() bool { return true }

var errTemporary net.Error = temporaryError{}

// playedConn fails as it is told.
type playedConn struct {
	net.Conn
	tls               *tls.Conn
	readErr, writeErr error
}

func (c *playedConn) Read(p []byte) (int, error) {
	if c.readErr != nil {
		return 0, c.readErr
	}
	return c.Conn.Read(p)
}

func (c *playedConn) Write(p []byte) (int, error) {
	if c.writeErr != nil {
		return 0, c.writeErr
	}
	return c.Conn.Write(p)
}

func playedPair(t *testing.T) (*playedConn, *tls.Conn) {
	a, b := net.Pipe()
	t.Cleanup(func() { a.Close(); b.Close() })
	conn := &playedConn{Conn: a}
	conn.tls = tls.Server(conn, serverConfig(tls.VersionTLS12))
	peer := tls.Client(b, clientConfig(tls.VersionTLS12))
	done := make(chan error, 1)
	go func() { done <- peer.Handshake() }()
	require.NoError(t, conn.tls.Handshake())
	require.NoError(t, receive(t, done))
	return conn, peer
}
