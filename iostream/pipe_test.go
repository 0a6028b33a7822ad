//go:build unix

package iostream_test

import (
	"context"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/eddyloop/eddy/internal/streamhook"
	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
	"github.com/eddyloop/eddy/poller"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestPipeWrites(t *testing.T) {
	eachPipe(t, func(t *testing.T, open pipeMaker) {
		l := startLoop(t, ioloop.Config{})
		s, r := writer(t, l, open, nil)
		got := make(chan string, 1)
		data := string(pattern(300_000))
		go func() {
			b := make([]byte, len(data))
			_, _ = io.ReadFull(r, b)
			got <- string(b)
		}()
		for i := 0; i < len(data); { // small ones, which are corked, and large ones
			n := min(1+i%40_000, len(data)-i)
			write(t, s, data[i:i+n])
			i += n
		}
		require.NoError(t, s.Flush(patient(t)))
		require.Equal(t, data, receive(t, got))
		require.False(t, s.Err() != nil, "an idle writer stays open")
		require.False(t, streamhook.ReadClosed(s))
	})
}

// TestPipeVectors: what is queued and what is written on top leave together,
// in order.
func TestPipeVectors(t *testing.T) {
	s, r := writer(t, startLoop(t, ioloop.Config{}), makePipe, nil)
	for range 50 {
		onLoop(t, s.Loop(), func() {
			write(t, s, "small,")
			write(t, s, strings.Repeat("L", 20_000)+",")
		})
		expect(t, filePeer{r}, "small,"+strings.Repeat("L", 20_000)+",")
	}
}

func TestPipeCloseWriteIsTheEnd(t *testing.T) {
	for name, end := range map[string]func(*iostream.Stream) error{
		"CloseWrite":    (*iostream.Stream).CloseWrite,
		"Close":         func(s *iostream.Stream) error { return s.Close() },
		"CloseWhenIdle": func(s *iostream.Stream) error { streamhook.CloseWhenIdle(s); return nil },
	} {
		t.Run(name, func(t *testing.T) {
			s, r := writer(t, startLoop(t, ioloop.Config{}), makePipe, nil)
			data := string(pattern(200_000)) // more than a pipe holds
			mark := write(t, s, data)
			require.NoError(t, end(s))
			got, err := io.ReadAll(r)
			require.NoError(t, err)
			require.Equal(t, data, string(got))
			require.NoError(t, s.WaitClosed(patient(t)))
			require.Equal(t, net.ErrClosed, s.Err())
			require.NoError(t, s.WaitSent(patient(t), mark))
			_, err = s.Write([]byte("x"))
			requireIs(t, err, net.ErrClosed)
		})
	}
}

// TestPipeReaderDoesNotLinger: it has nothing to send, and what is left is for
// whoever reads next.
func TestPipeReaderDoesNotLinger(t *testing.T) {
	eachPipe(t, func(t *testing.T, open pipeMaker) {
		r, w := open(t)
		next := duplicate(t, r)
		s := newPipe(t, startLoop(t, ioloop.Config{}), r, nil)
		require.NoError(t, s.Close())
		send(t, filePeer{w}, "unread")
		require.NoError(t, s.WaitClosed(patient(t)))
		require.Equal(t, net.ErrClosed, s.Err())
		got := make([]byte, 10)
		n, err := next.Read(got)
		require.NoError(t, err)
		require.Equal(t, "unread", string(got[:n]))
	})
}

// TestPipeDirections: the direction that a pipe does not have is refused at
// once, and nothing has changed.
func TestPipeDirections(t *testing.T) {
	ctx := context.Background()
	p := make([]byte, 4)
	re := regexp.MustCompile("x")
	reads := map[string]func(s *iostream.Stream) error{
		"Read":              func(s *iostream.Stream) error { _, err := s.Read(ctx, iostream.Until("\n")); return err },
		"ReadUntilRegexp":   func(s *iostream.Stream) error { _, err := s.Read(ctx, iostream.UntilRegexp(re)); return err },
		"ReadBytes":         func(s *iostream.Stream) error { _, err := s.Read(ctx, iostream.Bytes(1)); return err },
		"ReadBytes of none": func(s *iostream.Stream) error { _, err := s.Read(ctx, iostream.Bytes(0)); return err },
		"Read some":         func(s *iostream.Stream) error { _, err := s.Read(ctx, iostream.Some(0)); return err },
		"ReadAtLeast":       func(s *iostream.Stream) error { _, err := s.ReadAtLeast(ctx, p, len(p)); return err },
		"ReadUntilClose":    func(s *iostream.Stream) error { _, err := s.Read(ctx, iostream.UntilClose()); return err },
		"ReadUntilFunc":     func(s *iostream.Stream) error { return s.ReadFunc(iostream.Until("\n"), func([]byte, error) {}) },
		"ReadAtLeastFunc":   func(s *iostream.Stream) error { return s.ReadAtLeastFunc(p, len(p), func(int, error) {}) },
		"Handle": func(s *iostream.Stream) error {
			return s.Handle(iostream.Some(0), func([]byte, error) bool { return true })
		},
		"Read of a task": func(s *iostream.Stream) error {
			return inTask(s, func(task *ioloop.Task) error { _, err := s.Read(task, iostream.Until("\n")); return err })
		},
	}
	writes := map[string]func(s *iostream.Stream) error{
		"Write":         func(s *iostream.Stream) error { _, err := s.Write(p); return err },
		"Write of none": func(s *iostream.Stream) error { _, err := s.Write(nil); return err },
		"CloseWrite":    (*iostream.Stream).CloseWrite,
		"Room":          func(s *iostream.Stream) error { return s.Room(ctx) },
	}
	l := startLoop(t, ioloop.Config{})
	r, w := makePipe(t)
	reader, writer := newPipe(t, l, r, nil), newPipe(t, l, w, nil)
	for name, read := range reads {
		err := read(writer)
		requireIs(t, err, syscall.EBADF)
		require.Contains(t, err.Error(), "for writing only", name)
	}
	for name, write := range writes {
		err := write(reader)
		requireIs(t, err, syscall.EBADF)
		require.Contains(t, err.Error(), "for reading only", name)
	}
	require.NoError(t, reader.Flush(ctx), "there is nothing to flush")
	require.False(t, writer.Reading())
	write(t, writer, "still good")
	require.Equal(t, "still good", receive(t, faces[0].read(t, reader, exactly(10))).data)
	quiet(t, l)
	require.False(t, reader.Err() != nil || writer.Err() != nil)
	require.NoError(t, writer.Close())
	require.NoError(t, reader.WaitClosed(patient(t)))
	require.Equal(t, io.EOF, reader.Err())
	requireIs(t, reads["ReadBytes"](writer), syscall.EBADF)
}

func inTask(s *iostream.Stream, fn func(t *ioloop.Task) error) error {
	done := make(chan error, 1)
	if err := s.Loop().Go(func(t *ioloop.Task) { done <- fn(t) }); err != nil {
		return err
	}
	return <-done
}

func TestIdleWriterNoticesThatTheReaderHasGone(t *testing.T) {
	for _, name := range oneWay() {
		for _, when := range []string{"before", "idle", "after a write"} {
			t.Run(name+" "+when, func(t *testing.T) {
				l := startLoop(t, ioloop.Config{})
				r, w := pipes[name](t)
				if when == "before" {
					require.NoError(t, r.Close())
				}
				s := newPipe(t, l, w, nil)
				if when == "after a write" {
					write(t, s, "never read")
					require.NoError(t, s.Flush(patient(t)))
				}
				told := make(chan error, 1)
				_ = s.WaitClosedFunc(func(err error) { told <- err })
				quiet(t, l)
				if when != "before" {
					require.NoError(t, s.Err())
					require.NoError(t, r.Close())
				}
				require.ErrorIs(t, receive(t, told), syscall.EPIPE)
				require.ErrorIs(t, s.Err(), syscall.EPIPE)
				_, err := s.Write([]byte("x"))
				requireIs(t, err, syscall.EPIPE)
			})
		}
	}
}

// TestFullPipeWhoseReaderGoes: epoll tells of an error and of no writability.
func TestFullPipeWhoseReaderGoes(t *testing.T) {
	for _, name := range oneWay() {
		t.Run(name, func(t *testing.T) {
			l := startLoop(t, ioloop.Config{})
			s, r := writer(t, l, pipes[name], nil)
			mark := write(t, s, string(pattern(1<<20)))
			sent := make(chan error, 1)
			require.NoError(t, s.WaitSentFunc(mark, func(err error) { sent <- err }))
			quiet(t, l)
			require.Positive(t, s.Backlog())
			require.NoError(t, r.Close())
			requireIs(t, receive(t, sent), syscall.EPIPE)
			require.NoError(t, s.WaitClosed(patient(t)))
			require.ErrorIs(t, s.Err(), syscall.EPIPE)
		})
	}
}

// TestEmptyPipeWhoseWriterGoes: epoll tells of a hang-up and of no readability.
func TestEmptyPipeWhoseWriterGoes(t *testing.T) {
	for name := range pipes {
		t.Run(name, func(t *testing.T) {
			eachFace(t, func(t *testing.T, f face) {
				s, peer := pair(t, startLoop(t, ioloop.Config{}), name, nil)
				pending := f.read(t, s, exactly(1))
				awaitRead(t, s)
				quiet(t, s.Loop())
				require.NoError(t, peer.Close())
				requireIs(t, receive(t, pending).err, io.EOF)
				require.NoError(t, s.Close())
				require.NoError(t, s.WaitClosed(patient(t)))
			})
		})
	}
}

// TestEndedPipeDoesNotSpin: a hang-up, which epoll tells unasked, is told once,
// also while bytes are left that nobody wants.
func TestEndedPipeDoesNotSpin(t *testing.T) {
	for name := range pipes {
		t.Run(name, func(t *testing.T) {
			s, peer := pair(t, startLoop(t, ioloop.Config{}), name, nil)
			send(t, peer, "read\nunread")
			require.Equal(t, "read\n", receive(t, faces[0].read(t, s, until("\n", 0))).data)
			require.NoError(t, peer.Close())
			quiet(t, s.Loop())
			before := s.Loop().Stats().Events
			quiet(t, s.Loop())
			require.Equal(t, before, s.Loop().Stats().Events)
		})
	}
}

// Where the kernel does not tell when a FIFO has room, its writer is refused at once,
// with the reason.
func TestPipeRefusesFIFO(t *testing.T) {
	if pipes["fifo"] != nil {
		t.Skip("FIFOs are fine here")
	}
	l := startLoop(t, ioloop.Config{})
	_, w := makeFIFO(t)
	_, err := iostream.NewPipe(l, int(w.Fd()), nil)
	require.ErrorIs(t, err, poller.ErrNotPollable)
	require.ErrorContains(t, err, "FIFO")
}

// TestPipeCloseWatchMistakesNothing: a FIFO that nobody has written yet is not
// at its end, nor is one whose writer is silent.
func TestPipeCloseWatchMistakesNothing(t *testing.T) {
	if pipes["fifo"] == nil {
		t.Skip("FIFOs are refused here")
	}
	l := startLoop(t, ioloop.Config{})
	name := filepath.Join(t.TempDir(), "fifo")
	require.NoError(t, unix.Mkfifo(name, 0o600))
	fd, err := unix.Open(name, unix.O_RDONLY|unix.O_NONBLOCK, 0)
	require.NoError(t, err)
	s, err := iostream.NewPipe(l, fd, nil)
	require.NoError(t, err)
	pending := faces[2].read(t, s, until("\n", 0))
	quiet(t, l)
	require.False(t, streamhook.ReadClosed(s))
	w, err := os.OpenFile(name, os.O_WRONLY, 0)
	require.NoError(t, err)
	send(t, filePeer{w}, "late")
	quiet(t, l)
	require.False(t, streamhook.ReadClosed(s))
	send(t, filePeer{w}, "\n")
	require.Equal(t, "late\n", receive(t, pending).data)
	require.NoError(t, w.Close())
	require.NoError(t, s.WaitClosed(patient(t)))
}

// TestPipeRefusals: what no stream can be made of is refused by name, and stays
// as it is.
func TestPipeRefusals(t *testing.T) {
	l := startLoop(t, ioloop.Config{})
	open := func(name string, flags int) int {
		fd, err := unix.Open(name, flags|unix.O_CLOEXEC, 0)
		require.NoError(t, err)
		t.Cleanup(func() { unix.Close(fd) })
		return fd
	}
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, []byte("x"), 0o600))
	sockets, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	require.NoError(t, err)
	t.Cleanup(func() { unix.Close(sockets[0]); unix.Close(sockets[1]) })
	r, _ := makePipe(t)
	pipe := int(r.Fd())
	other, err := ioloop.New(ioloop.Config{})
	require.NoError(t, err)
	require.NoError(t, other.Close())
	for name, c := range map[string]struct {
		loop   *ioloop.Loop
		fd     int
		config *iostream.Config
		err    error
	}{
		"regular file":                  {l, open(file, unix.O_RDONLY), nil, poller.ErrNotPollable},
		"regular file to write":         {l, open(file, unix.O_WRONLY), nil, poller.ErrNotPollable},
		"directory":                     {l, open(filepath.Dir(file), unix.O_RDONLY), nil, poller.ErrNotPollable},
		"/dev/null":                     {l, open(os.DevNull, unix.O_RDWR), nil, poller.ErrNotPollable},
		"socket":                        {l, sockets[0], nil, fs.ErrInvalid},
		"no loop":                       {nil, pipe, nil, fs.ErrInvalid},
		"limits that do not make sense": {l, pipe, &iostream.Config{ReadLimit: -1}, fs.ErrInvalid},
		"a closed loop":                 {other, pipe, nil, ioloop.ErrClosed},
	} {
		_, err := iostream.NewPipe(c.loop, c.fd, c.config)
		requireIs(t, err, c.err)
		require.True(t, isBlocking(t, c.fd), name)
	}
	for _, fd := range []int{-1, 1 << 20} {
		_, err := iostream.NewPipe(l, fd, nil)
		requireIs(t, err, syscall.EBADF)
	}
}

func TestPipeIsClosedOnExec(t *testing.T) {
	l := startLoop(t, ioloop.Config{})
	var fds [2]int
	require.NoError(t, unix.Pipe(fds[:]))
	defer unix.Close(fds[1])
	s, err := iostream.NewPipe(l, fds[0], nil)
	require.NoError(t, err)
	flags, err := unix.FcntlInt(uintptr(fds[0]), unix.F_GETFD, 0)
	require.NoError(t, err)
	require.NotZero(t, flags&unix.FD_CLOEXEC)
	require.False(t, isBlocking(t, fds[0]))
	require.True(t, isBlocking(t, fds[1]), "the other end is another open file")
	require.Nil(t, s.LocalAddr())
	s.Abort(nil)
	require.NoError(t, s.WaitClosed(patient(t)))
}

// What a goroutine writes does not wait for the loop.
func TestPipesTakeWritesBeforeTheyAreAttached(t *testing.T) {
	for name, open := range map[string]func(l *ioloop.Loop, fd int) (*iostream.Stream, error){
		"pipe": func(l *ioloop.Loop, fd int) (*iostream.Stream, error) {
			fd, err := unix.Dup(fd)
			require.NoError(t, err)
			return iostream.NewPipe(l, fd, nil)
		},
		"stdio": func(l *ioloop.Loop, fd int) (*iostream.Stream, error) {
			in, _ := makePipe(t)
			return iostream.NewStdioOf(l, int(in.Fd()), fd, false, nil)
		},
	} {
		t.Run(name, func(t *testing.T) {
			l, err := ioloop.New(ioloop.Config{}) // it never runs
			require.NoError(t, err)
			defer l.Close()
			r, w := makePipe(t)
			s, err := open(l, int(w.Fd()))
			require.NoError(t, err)
			_, err = s.Write([]byte("hello"))
			require.NoError(t, err)
			require.NoError(t, r.SetReadDeadline(time.Now().Add(patience)))
			got := make([]byte, 5)
			_, err = io.ReadFull(r, got)
			require.NoError(t, err)
			require.Equal(t, "hello", string(got))
		})
	}
}

// The loop forgets a pipe that is closed.
func TestLoopForgetsAClosedPipe(t *testing.T) {
	eachPipe(t, func(t *testing.T, open pipeMaker) {
		l := startLoop(t, ioloop.Config{})
		r, _ := open(t)
		s := newPipe(t, l, r, nil)
		quiet(t, l)
		require.Equal(t, 1, l.Stats().Handlers)
		s.Abort(nil)
		require.NoError(t, s.WaitClosed(patient(t)))
		quiet(t, l)
		require.Zero(t, l.Stats().Handlers)
	})
}
