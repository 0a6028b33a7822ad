package iostream_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
	"github.com/stretchr/testify/require"
)

func newFile(t *testing.T, text []byte) *os.File {
	f, err := os.Create(filepath.Join(t.TempDir(), "file"))
	require.NoError(t, err)
	t.Cleanup(func() { _ = f.Close() })
	_, err = f.Write(text)
	require.NoError(t, err)
	_, err = f.Seek(0, io.SeekStart)
	require.NoError(t, err)
	return f
}

func offset(t *testing.T, f *os.File) int64 {
	at, err := f.Seek(0, io.SeekCurrent)
	require.NoError(t, err)
	return at
}

// ownReader reads in a way of its own.
type ownReader struct{ *os.File }

func (r ownReader) Read(p []byte) (int, error) {
	n, err := r.File.Read(p)
	copy(p[:n], bytes.ToUpper(p[:n]))
	return n, err
}

// TestReadFromPartsOfFiles sends files and parts of files, over all transports, with what io.Copy
// leaves: the count, the file's offset and the reader's N.
func TestReadFromPartsOfFiles(t *testing.T) {
	text := randomText(t, 9<<20+17)
	cases := map[string]struct {
		size  int
		at    int64
		limit int64 // -1: none
	}{
		"all":              {len(text), 0, -1},
		"small":            {5, 0, -1},
		"from an offset":   {len(text), 12345, -1},
		"a part":           {len(text), 1000, 5<<20 + 1},
		"a small part":     {len(text), 7, 9},
		"nothing":          {100, 0, 0},
		"a limit too high": {1 << 20, 100, 9 << 20},
		"at its end":       {100, 100, -1},
		"behind its end":   {100, 200, 50},
		"empty":            {0, 0, -1},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			eachNetwork(t, func(t *testing.T, network string) {
				for style, run := range waitingStyles {
					t.Run(style, func(t *testing.T) {
						l := startLoop(t, ioloop.Config{})
						s, _, peer := netPair(t, l, network)
						f := newFile(t, text[:c.size])
						_, err := f.Seek(c.at, io.SeekStart)
						require.NoError(t, err)
						want := text[min(int(c.at), c.size):c.size]
						var r io.Reader = f
						limited := &io.LimitedReader{R: f, N: c.limit}
						if c.limit >= 0 {
							r, want = limited, want[:min(int(c.limit), len(want))]
						}
						got := make(chan []byte, 1)
						go func() { b, _ := io.ReadAll(peer); got <- b }()
						run(t, l, func(ctx context.Context) {
							w := s.IO(ctx)
							_, err := w.Write([]byte("before"))
							require.NoError(t, err)
							n, err := io.Copy(w, r)
							require.NoError(t, err)
							require.EqualValues(t, len(want), n)
							_, err = w.Write([]byte("behind"))
							require.NoError(t, err)
						})
						require.EqualValues(t, len(want)+12, s.Mark())
						require.NoError(t, s.CloseWrite())
						b := receive(t, got)
						require.True(t, bytes.Equal(append(append([]byte("before"), want...), "behind"...), b), "%d bytes", len(b))
						require.Equal(t, c.at+int64(len(want)), offset(t, f))
						if c.limit >= 0 {
							require.Equal(t, c.limit-int64(len(want)), limited.N)
						}
					})
				}
			})
		})
	}
}

// TestReadFromOtherFiles reads what the kernel cannot send, or must not.
func TestReadFromOtherFiles(t *testing.T) {
	l := startLoop(t, ioloop.Config{})
	_, conn, peer := netPair(t, l, "tcp")
	r, w, err := os.Pipe()
	require.NoError(t, err)
	go func() { _, _ = w.WriteString("through a pipe"); _ = w.Close() }()
	n, err := io.Copy(conn, r)
	require.NoError(t, err)
	require.EqualValues(t, 14, n)
	expect(t, peer, "through a pipe")

	n, err = io.Copy(conn, struct{ io.Reader }{ownReader{newFile(t, []byte("loud"))}})
	require.NoError(t, err)
	require.EqualValues(t, 4, n)
	expect(t, peer, "LOUD")
	n, err = conn.(io.ReaderFrom).ReadFrom(ownReader{newFile(t, bytes.Repeat([]byte("louder"), 10_000))})
	require.NoError(t, err)
	require.EqualValues(t, 60_000, n)
	expect(t, peer, strings.Repeat("LOUDER", 10_000))

	zero, err := os.Open("/dev/zero")
	require.NoError(t, err)
	defer zero.Close()
	n, err = io.CopyN(conn, zero, 5)
	require.NoError(t, err)
	require.EqualValues(t, 5, n)
	expect(t, peer, "\x00\x00\x00\x00\x00")

	want, err := os.ReadFile("/proc/version")
	require.NoError(t, err)
	proc, err := os.Open("/proc/version")
	require.NoError(t, err)
	defer proc.Close()
	n, err = io.Copy(conn, proc)
	require.NoError(t, err)
	require.EqualValues(t, len(want), n)
	expect(t, peer, string(want))

	file := newFile(t, []byte("x"))
	writable, err := os.OpenFile(file.Name(), os.O_WRONLY|os.O_APPEND, 0)
	require.NoError(t, err)
	defer writable.Close()
	_, err = io.Copy(conn, writable)
	require.ErrorContains(t, err, "bad file descriptor")
	require.NoError(t, file.Close())
	_, err = io.Copy(conn, file)
	require.ErrorIs(t, err, os.ErrClosed)
	send(t, conn, "still open")
	expect(t, peer, "still open")
}

// TestFileServerRanges has net/http serve a file and ranges of it as over package net.
func TestFileServerRanges(t *testing.T) {
	text := randomText(t, 3<<20)
	f := newFile(t, text)
	handler := http.FileServer(http.Dir(filepath.Dir(f.Name())))
	for _, ask := range []string{"", "bytes=0-0", "bytes=100-2000000", "bytes=-17", "bytes=3000000-", "bytes=99999999-"} {
		l := startLoop(t, ioloop.Config{})
		_, conn, peer := netPair(t, l, "tcp")
		served := make(chan net.Conn, 1)
		served <- conn
		server := &http.Server{Handler: handler}
		go func() { _ = server.Serve(oneConn{served, conn}) }()
		request, err := http.NewRequest("GET", "http://x/file", nil)
		require.NoError(t, err)
		if ask != "" {
			request.Header.Set("Range", ask)
		}
		client := http.Client{Transport: &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return peer, nil }}}
		answer, err := client.Do(request)
		require.NoError(t, err)
		got, err := io.ReadAll(answer.Body)
		require.NoError(t, err)
		want := map[string][]byte{"": text, "bytes=0-0": text[:1], "bytes=100-2000000": text[100:2000001],
			"bytes=-17": text[len(text)-17:], "bytes=3000000-": text[3000000:]}[ask]
		if want == nil {
			require.Equal(t, http.StatusRequestedRangeNotSatisfiable, answer.StatusCode)
		} else {
			require.True(t, bytes.Equal(want, got), ask)
		}
		client.CloseIdleConnections()
		require.NoError(t, server.Close())
	}
}

// oneConn is a listener of one connection.
type oneConn struct {
	conns chan net.Conn
	conn  net.Conn
}

func (l oneConn) Accept() (net.Conn, error) {
	if c, ok := <-l.conns; ok {
		return c, nil
	}
	return nil, net.ErrClosed
}
func (l oneConn) Close() error   { close(l.conns); return nil }
func (l oneConn) Addr() net.Addr { return l.conn.LocalAddr() }

// TestStartTLSWhileAFileIsSent refuses: the file is plaintext, and not all here.
func TestStartTLSWhileAFileIsSent(t *testing.T) {
	l := startLoop(t, ioloop.Config{})
	s, peer := pair(t, l, "tcp", nil)
	quiet(t, l)
	end, err := iostream.SendingFile(s, 100)
	require.NoError(t, err)
	config := serverConfig(tls.VersionTLS13)
	requireIs(t, s.StartTLS(patient(t), iostream.TLSServer(config)), iostream.ErrInvalid)
	end()
	require.Zero(t, s.Backlog())
	_, err = s.WriteString("plain")
	require.NoError(t, err)
	expect(t, peer, "plain")
}

// A disk that is slow is not taken for a peer that takes nothing.
func TestCloseWaitsForTheDisk(t *testing.T) {
	l, clock := clocked(t)
	s, peer := pair(t, l, "tcp", &iostream.Config{CloseTimeout: time.Second})
	quiet(t, l)
	end, err := iostream.SendingFile(s, 100)
	require.NoError(t, err)
	require.NoError(t, s.Close())
	for range 100 {
		clock.Advance(100 * time.Millisecond)
		quiet(t, l)
	}
	require.NoError(t, s.Err())
	end()
	_, err = peer.Read(make([]byte, 1))
	require.Equal(t, io.EOF, err)
}

// A file that is sent to a peer which has gone is told so, and nothing of it counts as sent.
func TestSendFileToABrokenPeer(t *testing.T) {
	l := startLoop(t, ioloop.Config{})
	s, peer := pair(t, l, "tcp", nil)
	readByLoop(t, s, peer)
	file := newFile(t, make([]byte, 1<<20))
	release := holdLoop(t, l)
	reset(t, peer)
	n, err := s.ReadFrom(file)
	requireIs(t, err, syscall.ECONNRESET)
	require.Zero(t, n)
	release()
	require.NoError(t, s.WaitClosed(patient(t)))
	require.ErrorIs(t, s.Err(), syscall.ECONNRESET)
}
