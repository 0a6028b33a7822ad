//go:build unix

package iostream_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/eddyloop/eddy/internal/socket"
	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
	"github.com/stretchr/testify/require"
)

// countedFile counts what is read of it instead of sent by the kernel.
type countedFile struct {
	*os.File
	read int
}

func (f *countedFile) Read(p []byte) (int, error) {
	n, err := f.File.Read(p)
	f.read += n
	return n, err
}

// randomFile returns a file of n bytes, and the bytes.
func randomFile(t testing.TB, n int) (*countedFile, []byte) {
	t.Helper()
	data := make([]byte, n)
	random := rand.NewChaCha8([32]byte{1})
	_, _ = random.Read(data)
	name := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(name, data, 0o600))
	file, err := os.OpenFile(name, os.O_RDWR, 0)
	require.NoError(t, err)
	t.Cleanup(func() { file.Close() })
	iostream.TakeForFiles[*countedFile](t)
	return &countedFile{File: file}, data
}

// slowly reads everything from the peer, with a pause now and then, so that the socket fills.
func slowly(peer net.Conn) <-chan []byte {
	got := make(chan []byte, 1)
	go func() {
		var all bytes.Buffer
		for round := 0; ; round++ {
			if round%4 == 0 {
				time.Sleep(time.Millisecond)
			}
			if _, err := io.CopyN(&all, peer, 512<<10); err != nil {
				got <- all.Bytes()
				return
			}
		}
	}()
	return got
}

// senders are the ways to send what a reader has.
var senders = map[string]func(s *iostream.Stream, r io.Reader) (int64, error){
	"io.Copy to a Conn": func(s *iostream.Stream, r io.Reader) (int64, error) {
		conn := s.NetConn()
		defer conn.Close()
		return io.Copy(conn, r)
	},
	"IO.ReadFrom": func(s *iostream.Stream, r io.Reader) (int64, error) {
		n, err := s.IO(context.Background()).ReadFrom(r)
		return n, errors.Join(err, s.Flush(context.Background()), s.Close())
	},
	"io.Copy to an IO in a task": func(s *iostream.Stream, r io.Reader) (n int64, err error) {
		done := make(chan struct{})
		_ = s.Loop().Go(func(task *ioloop.Task) {
			defer close(done)
			n, err = io.Copy(s.IO(task), r)
			err = errors.Join(err, s.Flush(task), s.Close())
		})
		<-done
		return n, err
	},
}

// Files arrive whole, from their offset on and up to the limit, in every style and transport.
func TestSendFile(t *testing.T) {
	const size, from, most = 9<<20 + 123, 1000, 7<<20 + 5
	for name, send := range senders {
		for _, network := range networks {
			for _, limited := range []bool{false, true} {
				t.Run(name+" "+network+map[bool]string{true: " limited"}[limited], func(t *testing.T) {
					s, peer := pair(t, startLoop(t, ioloop.Config{}), network, nil)
					file, data := randomFile(t, size)
					_, err := file.Seek(from, io.SeekStart)
					require.NoError(t, err)
					var r io.Reader = file
					want := data[from:]
					if limited {
						r, want = io.LimitReader(file, most), want[:most]
					}
					got := slowly(peer)
					n, err := send(s, r)
					require.NoError(t, err)
					require.EqualValues(t, len(want), n)
					require.True(t, bytes.Equal(want, receive(t, got)))
					at, err := file.Seek(0, io.SeekCurrent)
					require.NoError(t, err)
					require.EqualValues(t, from+n, at)
					if limited {
						require.Zero(t, r.(*io.LimitedReader).N)
					}
					if plain := network == "tcp" || network == "unix"; plain && socket.CanSendFile && name != "io.Copy to an IO in a task" {
						require.Less(t, file.read, len(want)/4, "the kernel sends it")
					}
				})
			}
		}
	}
}

// What is no file to the kernel, or small, is copied.
func TestSendFileOfOtherReaders(t *testing.T) {
	for name, open := range map[string]func(t *testing.T) (io.Reader, string){
		"small": func(t *testing.T) (io.Reader, string) {
			file, data := randomFile(t, 100)
			return file, string(data)
		},
		"empty": func(t *testing.T) (io.Reader, string) {
			file, _ := randomFile(t, 0)
			return file, ""
		},
		"at its end": func(t *testing.T) (io.Reader, string) {
			file, _ := randomFile(t, 1<<20)
			_, err := file.Seek(0, io.SeekEnd)
			require.NoError(t, err)
			return file, ""
		},
		"behind its end": func(t *testing.T) (io.Reader, string) {
			file, _ := randomFile(t, 1<<20)
			_, err := file.Seek(2<<20, io.SeekStart)
			require.NoError(t, err)
			return file, ""
		},
		"no limit left": func(t *testing.T) (io.Reader, string) {
			file, _ := randomFile(t, 1<<20)
			return io.LimitReader(file, 0), ""
		},
		"device": func(t *testing.T) (io.Reader, string) {
			file, err := os.Open("/dev/zero")
			require.NoError(t, err)
			t.Cleanup(func() { file.Close() })
			return io.LimitReader(file, 100<<10), string(make([]byte, 100<<10))
		},
		"pipe": func(t *testing.T) (io.Reader, string) {
			r, w, err := os.Pipe()
			require.NoError(t, err)
			t.Cleanup(func() { r.Close() })
			go func() { defer w.Close(); _, _ = w.Write(make([]byte, 200<<10)) }()
			return r, string(make([]byte, 200<<10))
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, peer := pair(t, startLoop(t, ioloop.Config{}), "tcp", nil)
			r, want := open(t)
			got := slowly(peer)
			n, err := senders["io.Copy to a Conn"](s, r)
			require.NoError(t, err)
			require.EqualValues(t, len(want), n)
			require.Equal(t, want, string(receive(t, got)))
		})
	}
}

// A file that shrinks ends where it then does; one that grows is sent with what it has gained.
func TestSendFileThatChanges(t *testing.T) {
	for name, size := range map[string]int64{"shrinks": 6 << 20, "grows": 40 << 20} {
		t.Run(name, func(t *testing.T) {
			s, peer := pair(t, startLoop(t, ioloop.Config{}), "tcp", nil)
			file, _ := randomFile(t, 32<<20)
			sent := make(chan int64, 1)
			go func() {
				n, err := senders["io.Copy to a Conn"](s, file)
				if err != nil {
					t.Error(err)
				}
				sent <- n
			}()
			_, err := io.CopyN(io.Discard, peer, 1<<20)
			require.NoError(t, err)
			require.NoError(t, file.Truncate(size))
			rest := receive(t, slowly(peer))
			n := receive(t, sent)
			require.EqualValues(t, n, 1<<20+len(rest))
			if name == "grows" {
				require.Equal(t, size, n)
			} else {
				require.Less(t, n, int64(32<<20))
			}
		})
	}
}

// Others may write at the same time: nothing is lost, and each is told when its own bytes are out.
func TestSendFileBesideWriters(t *testing.T) {
	const size, line, lines = 12 << 20, 100, 300
	s, peer := pair(t, startLoop(t, ioloop.Config{}), "tcp", nil)
	file, _ := randomFile(t, size)
	got := slowly(peer)
	written := make(chan error, 1)
	go func() {
		for range lines {
			if _, err := s.Write(make([]byte, line)); err != nil && !errors.Is(err, iostream.ErrBufferFull) {
				written <- err
				return
			}
			if err := s.WaitSent(context.Background(), s.Mark()); err != nil {
				written <- err
				return
			}
		}
		written <- nil
	}()
	n, err := s.IO(context.Background()).ReadFrom(file)
	require.NoError(t, err)
	require.EqualValues(t, size, n)
	require.NoError(t, receive(t, written))
	require.NoError(t, s.Flush(patient(t)))
	require.EqualValues(t, size+line*lines, s.Mark())
	require.NoError(t, s.Close())
	require.Len(t, receive(t, got), size+line*lines)
}

// hookedFile has something happen between that its bytes are reserved and that the kernel
// is asked to send them.
type hookedFile struct {
	*os.File
	hook func()
}

func (f *hookedFile) SyscallConn() (syscall.RawConn, error) {
	raw, err := f.File.SyscallConn()
	return hookedConn{raw, f.hook}, err
}

type hookedConn struct {
	syscall.RawConn
	hook func()
}

func (c hookedConn) Control(fn func(uintptr)) error {
	c.hook()
	return c.RawConn.Control(fn)
}

// What is written while the kernel sends stands behind the file, and leaves by itself. Bytes
// that the file has lost by then are not missed.
func TestSendFileAtThatMoment(t *testing.T) {
	if !socket.CanSendFile {
		t.Skip("the system has no sendfile")
	}
	const size, half = 20_000, 10_000
	for _, shrinks := range []bool{false, true} {
		for _, behind := range []string{"", "behind"} {
			t.Run(fmt.Sprintf("shrinks=%v %s", shrinks, behind), func(t *testing.T) {
				s, peer := pair(t, startLoop(t, ioloop.Config{}), "tcp", nil)
				file, data := randomFile(t, size)
				iostream.TakeForFiles[*hookedFile](t)
				n, err := s.IO(context.Background()).ReadFrom(&hookedFile{file.File, sync.OnceFunc(func() {
					if shrinks {
						require.NoError(t, file.Truncate(half))
						data = data[:half]
					}
					write(t, s, behind)
				})})
				require.NoError(t, err)
				require.EqualValues(t, len(data), n)
				require.Zero(t, s.Backlog())
				require.LessOrEqual(t, int64(len(data)+len(behind)), s.Mark())
				require.NoError(t, s.Close())
				got, err := io.ReadAll(peer)
				require.NoError(t, err)
				require.True(t, bytes.Equal(append(data, behind...), got))
			})
		}
	}
}

// Whatever ends the stream ends the sending, with an account of what the kernel took.
func TestSendFileIsEnded(t *testing.T) {
	for name, c := range map[string]struct {
		end  func(s *iostream.Stream, peer net.Conn)
		want error
	}{
		"close":    {func(s *iostream.Stream, _ net.Conn) { _ = s.Close() }, net.ErrClosed},
		"abort":    {func(s *iostream.Stream, _ net.Conn) { s.Abort(iostream.ErrBudget) }, iostream.ErrBudget},
		"deadline": {func(s *iostream.Stream, _ net.Conn) { _ = s.SetWriteDeadline(time.Now()) }, os.ErrDeadlineExceeded},
		"peer":     {func(_ *iostream.Stream, peer net.Conn) { reset(t, peer) }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			s, peer := pair(t, startLoop(t, ioloop.Config{}), "tcp", nil)
			file, data := randomFile(t, 32<<20)
			type outcome struct {
				n   int64
				err error
			}
			done := make(chan outcome, 1)
			go func() {
				n, err := s.NetConn().ReadFrom(file)
				done <- outcome{n, err}
			}()
			got := make([]byte, 1<<20)
			_, err := io.ReadFull(peer, got)
			require.NoError(t, err)
			require.True(t, bytes.Equal(data[:1<<20], got))
			c.end(s, peer)
			result := receive(t, done)
			require.Error(t, result.err)
			if c.want != nil {
				require.ErrorIs(t, result.err, c.want)
			}
			var op *net.OpError
			require.ErrorAs(t, result.err, &op)
			require.Less(t, result.n, int64(32<<20))
			require.GreaterOrEqual(t, result.n, int64(1<<20))
			if name == "close" {
				rest, err := io.ReadAll(peer)
				require.NoError(t, err)
				require.EqualValues(t, result.n, 1<<20+len(rest))
			}
			s.Abort(nil)
		})
	}
}

// A file that somebody closes meanwhile ends the sending, and not the stream.
func TestSendFileThatIsClosed(t *testing.T) {
	s, peer := pair(t, startLoop(t, ioloop.Config{}), "tcp", nil)
	file, data := randomFile(t, 64<<20)
	sent, failed := make(chan int64, 1), make(chan error, 1)
	go func() {
		n, err := s.IO(context.Background()).ReadFrom(file)
		sent <- n
		failed <- err
	}()
	got := make([]byte, 1<<20)
	_, err := io.ReadFull(peer, got)
	require.NoError(t, err)
	require.NoError(t, file.Close())
	rest := slowly(peer)
	n := receive(t, sent)
	require.ErrorIs(t, receive(t, failed), os.ErrClosed)
	_, err = s.WriteString("still there")
	require.NoError(t, err)
	require.NoError(t, s.Close())
	got = append(got, receive(t, rest)...)
	require.True(t, bytes.Equal(append(data[:n:n], "still there"...), got))
}
