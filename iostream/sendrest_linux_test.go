package iostream

import (
	"context"
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
	"unsafe"

	"github.com/eddyloop/eddy/internal/socket"
	"github.com/eddyloop/eddy/ioloop"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// socketStream is a stream over a socket, on a loop that does not run, and its peer.
func socketStream(t *testing.T) (s *Stream, peer int) {
	l, err := ioloop.New(ioloop.Config{})
	require.NoError(t, err)
	s, peer = socketStreamOn(t, l)
	t.Cleanup(func() { _ = l.Close() })
	return s, peer
}

func socketStreamOn(t *testing.T, l *ioloop.Loop) (s *Stream, peer int) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	require.NoError(t, err)
	s, err = NewSocket(l, fds[0], nil)
	require.NoError(t, err)
	t.Cleanup(func() { _ = unix.Close(fds[1]) })
	return s, fds[1]
}

// reserve is what begins to send a part of a file.
func reserve(t *testing.T, s *Stream, size int) (mark int64) {
	_, mark, err := s.reserve(size)
	require.NoError(t, err)
	t.Cleanup(s.letGo)
	return mark
}

// If others write, or wait, while a part of a file is sent, what the kernel has not taken is
// copied before that, as far as the file has it.
func TestRestOfAFile(t *testing.T) {
	const size, sent = 20_000, 5_000 // of which nothing has really left
	for name, test := range map[string]struct {
		file io.Reader
		gets int
		err  error
	}{
		"all":              {strings.NewReader(strings.Repeat("x", size)), size - sent, nil},
		"it is shorter":    {strings.NewReader("xx"), 2, nil},
		"it is much so":    {strings.NewReader(""), 0, nil},
		"it is unreadable": {iotest.ErrReader(io.ErrNoProgress), 0, io.ErrNoProgress},
	} {
		s, peer := socketStream(t)
		mark := reserve(t, s, size)
		_, err := s.Write([]byte("tail"))
		require.NoError(t, err)
		require.True(t, s.unreserve(size, sent, mark), name)
		require.Equal(t, size-sent, s.out.reserved)
		src := &fileSource{Reader: test.file, left: size}
		n, err := s.sendRest(src, size-sent)
		require.ErrorIs(t, err, test.err)
		require.Equal(t, test.gets, n, name)
		if test.err == nil && n < size-sent {
			require.Zero(t, src.left)
		} else {
			require.EqualValues(t, size-n, src.left)
		}
		require.Zero(t, s.Backlog())
		got := make([]byte, size)
		k, err := unix.Read(peer, got)
		require.NoError(t, err)
		require.Equal(t, strings.Repeat("x", n)+"tail", string(got[:k]), name)
	}
}

// What a file did not have is not taken for written, if nobody has written behind it.
func TestNothingBehindAFile(t *testing.T) {
	for _, sent := range []int{0, 5, 10} {
		for _, behind := range []bool{false, true} {
			s, _ := socketStream(t)
			mark := reserve(t, s, 10)
			if behind {
				_, err := s.Write([]byte("tail"))
				require.NoError(t, err)
			}
			require.Equal(t, behind && sent < 10, s.unreserve(10, sent, mark))
			if !behind {
				require.EqualValues(t, sent, s.Mark())
				require.Zero(t, s.Backlog())
			}
		}
	}
}

// A stream that ends meanwhile has sent what the kernel has taken, and nothing is copied.
func TestFileOfAStreamThatEnds(t *testing.T) {
	s, _ := socketStream(t)
	mark := reserve(t, s, 10)
	s.Abort(errors.New("enough"))
	require.False(t, s.unreserve(10, 4, mark))
	require.EqualValues(t, 4, s.outSince(0, 10))
	var err error
	require.True(t, comesBack(1<<10, func(b []byte) {
		putBuffer(b)
		_, err = s.sendRest(&fileSource{Reader: strings.NewReader("x")}, 1<<10)
	}))
	require.EqualError(t, err, "iostream: write: enough")
}

// A write of a goroutine goes straight to the kernel as far as that takes it, if nothing is
// before it and it is not too long.
func TestWriteStraight(t *testing.T) {
	s, _ := socketStream(t)
	for _, size := range []int{0, straightLimit + 1} {
		mark, whole := s.writeStraight(make([]byte, size))
		require.False(t, whole)
		require.EqualValues(t, -1, mark)
	}
	p := make([]byte, straightLimit)
	mark, whole := s.writeStraight(p)
	require.True(t, whole)
	for ; whole; mark, whole = s.writeStraight(p) {
	}
	require.Equal(t, s.Mark(), mark)
	require.True(t, s.any(blocked))
	require.Same(t, unsafe.SliceData(s.out.borrowed), &p[len(p)-len(s.out.borrowed)])
	mark, whole = s.writeStraight(p)
	require.False(t, whole, "something is before it")
	require.EqualValues(t, -1, mark)
}

// getPipe returns a pipe, of which a process has few: those that other tests have left are
// closed when memory is collected.
func getPipe(t *testing.T) *socket.Pipe {
	t.Helper()
	for range 100 {
		if pipe := socket.GetPipe(); pipe != nil {
			return pipe
		}
		runtime.GC()
	}
	require.FailNow(t, "no pipe is to be had")
	return nil
}

// A queue that is dropped has nothing in a pipe either.
func TestDropForgetsThePipe(t *testing.T) {
	s, peer := socketStream(t)
	_, err := unix.Write(peer, []byte("12345"))
	require.NoError(t, err)
	pipe := getPipe(t)
	_, err = pipe.Fill(s.descriptor(), 100)
	require.NoError(t, err)
	var q output
	q.append([]byte("behind"))
	q.pipe, q.size = pipe, q.size+pipe.Held()
	require.Equal(t, 11, q.queued())
	q.drop()
	require.Nil(t, q.pipe)
	require.Zero(t, q.size)
}

// A page that is copied comes from memory that is used again, and a file that is shorter by now
// has no more to send.
func TestPageOfAFile(t *testing.T) {
	s, peer := socketStream(t)
	var page []byte
	read := func(p []byte) (int, error) { page = p; return copy(p, "page"), nil }
	require.True(t, comesBack(filePage, func(b []byte) {
		putBuffer(b)
		src := &fileSource{Reader: readFunction(read), left: 4}
		n, err := s.sendPage(t.Context(), src)
		require.NoError(t, err)
		require.Equal(t, 4, n)
		require.Zero(t, src.left)
		require.Len(t, page, 4)
		_, err = unix.Read(peer, page)
		require.NoError(t, err)
	}))
	src := &fileSource{Reader: strings.NewReader(""), left: filePage}
	n, err := s.sendPage(t.Context(), src)
	require.NoError(t, err)
	require.Zero(t, n)
	require.Zero(t, src.left)
}

type readFunction func([]byte) (int, error)

func (f readFunction) Read(p []byte) (int, error) { return f(p) }

// Who has nothing of a file to send waits for nobody's bytes.
func TestNothingOfAFileNeedsNoRoom(t *testing.T) {
	s, _ := socketStream(t)
	_, err := s.Write(make([]byte, 8<<20)) // more than the kernel takes
	require.NoError(t, err)
	require.Positive(t, s.Backlog())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	n, err := s.sendFile(ctx, new(fileSource))
	require.NoError(t, err)
	require.Zero(t, n)
}

// What waited behind a part of a file, and is sent with it, counts no longer for the budget.
func TestBudgetBehindAFile(t *testing.T) {
	for name, end := range map[string]func(s *Stream, mark int64){
		"sent whole": func(s *Stream, mark int64) { s.unreserve(10, 10, mark) },
		"copied in part": func(s *Stream, mark int64) {
			s.unreserve(10, 4, mark)
			_, _ = s.sendRest(&fileSource{Reader: strings.NewReader("123456")}, 6)
		},
		"the socket fails": func(s *Stream, mark int64) { _ = s.failFile(unix.ECONNRESET) },
	} {
		t.Run(name, func(t *testing.T) {
			s, _ := socketStream(t)
			budget, err := NewBudget(1 << 20)
			require.NoError(t, err)
			s.config = &Config{Budget: budget}
			mark := reserve(t, s, 10)
			_, err = s.Write(make([]byte, 1000))
			require.NoError(t, err)
			s.charge() // as the loop does
			require.EqualValues(t, 1000, budget.Used())
			end(s, mark)
			require.Zero(t, budget.Used())
		})
	}
}

// The loop waits for room for what a socket does not take of the rest of a file.
func TestRestOfAFileWaitsForRoom(t *testing.T) {
	s, peer := socketStream(t)
	_, err := s.loop.RunOnce() // which attaches it
	require.NoError(t, err)
	full := make([]byte, 64<<10)
	for err == nil {
		_, err = unix.Write(s.descriptor(), full)
	}
	mark := reserve(t, s, 10)
	_, err = s.Write([]byte("tail"))
	require.NoError(t, err)
	require.True(t, s.unreserve(10, 0, mark))
	n, err := s.sendRest(&fileSource{Reader: strings.NewReader("0123456789")}, 10)
	require.NoError(t, err)
	require.Equal(t, 10, n)
	for range 100 {
		if s.Backlog() == 0 {
			return
		}
		_, _ = unix.Read(peer, full)
		_ = s.loop.Post(func() {}) // so that it does not wait
		_, err = s.loop.RunOnce()
		require.NoError(t, err)
	}
	t.Fatal("it was not sent")
}

// A callback that panics ends its stream, also if it is called because this side has ended its
// reading.
func TestPanicBehindCloseRead(t *testing.T) {
	s, peer := socketStream(t)
	_, err := unix.Write(peer, []byte("x"))
	require.NoError(t, err)
	require.NoError(t, s.Handle(Some(1), func([]byte, error) bool { panic("of the test") }))
	require.NoError(t, s.loop.Kit().Schedule((*ownEnd)(s)))
	for s.Err() == nil {
		_, err = s.loop.RunOnce()
		require.NoError(t, err)
	}
	var e *ioloop.PanicError
	require.ErrorAs(t, s.Err(), &e)
}

// A descriptor that somebody had, who may have set SO_LINGER, is closed by a call of which Go's
// scheduler knows, as it may take long.
func TestLentDescriptorIsClosedWithCare(t *testing.T) {
	for name, lend := range map[string]func(s *Stream) error{
		"Control": func(s *Stream) error { return s.Control(func(uintptr) {}) },
		"Detach": func(s *Stream) error {
			conn, _, err := s.Detach()
			if err == nil {
				err = conn.Close()
			}
			return err
		},
	} {
		s, _ := socketStream(t)
		s.transport = &s.socket // as that of a socket which this module has made
		require.NoError(t, lend(s), name)
		require.IsType(t, new(socketTransport), s.transport, name)
	}
}
