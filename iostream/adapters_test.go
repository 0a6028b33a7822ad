//go:build unix

package iostream_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
	"github.com/eddyloop/eddy/iostreamtest"
	"github.com/stretchr/testify/require"
)

func TestWriteBuffersIsOneWrite(t *testing.T) {
	eachNetwork(t, func(t *testing.T, network string) {
		l := startLoop(t, ioloop.Config{})
		s, _, peer := netPair(t, l, network)
		var want []byte
		var bufs [][]byte
		for _, size := range []int{0, 3, 100, 70 << 10, 1, 300 << 10, 0, 17 << 10, 5} {
			p := randomText(t, size)
			bufs, want = append(bufs, p), append(want, p...)
		}
		n, err := s.WriteBuffers(bufs)
		require.NoError(t, err)
		require.EqualValues(t, len(want), n)
		require.EqualValues(t, len(want), s.Mark())
		for _, p := range bufs {
			clear(p) // they are the caller's again
		}
		k, err := s.WriteString("end")
		require.NoError(t, err)
		require.Equal(t, 3, k)
		k, err = s.WriteString("")
		require.NoError(t, err)
		require.Zero(t, k)
		n, err = s.WriteBuffers(nil)
		require.NoError(t, err)
		require.Zero(t, n)
		require.NoError(t, s.CloseWrite())
		got, err := io.ReadAll(peer)
		require.NoError(t, err)
		require.True(t, bytes.Equal(append(want, "end"...), got))
		_, err = s.WriteBuffers([][]byte{{1}})
		require.Error(t, err)
	})
}

func TestWriteBuffersAllOrNone(t *testing.T) {
	l := startLoop(t, ioloop.Config{})
	w := fullWire()
	s, err := iostream.New(l, w.Transport(), &iostream.Config{WriteLimit: 1000, HighWaterMark: 1000})
	require.NoError(t, err)
	quiet(t, l)
	_, err = s.WriteBuffers([][]byte{make([]byte, 600), make([]byte, 401)})
	require.ErrorIs(t, err, iostream.ErrBufferFull)
	require.Zero(t, s.Mark())
	_, err = s.WriteBuffers([][]byte{make([]byte, 600), make([]byte, 400)})
	require.NoError(t, err)
	require.Equal(t, 1000, s.Backlog())
}

// waitingStyles run work in a task or on a goroutine.
var waitingStyles = map[string]func(t *testing.T, l *ioloop.Loop, work func(context.Context)){
	"task": func(t *testing.T, l *ioloop.Loop, work func(context.Context)) {
		done := make(chan struct{})
		require.NoError(t, l.Go(func(task *ioloop.Task) { defer close(done); work(task) }))
		receive(t, done)
	},
	"goroutine": func(t *testing.T, _ *ioloop.Loop, work func(context.Context)) { work(patient(t)) },
}

// plainReader hides what else a reader can do.
type plainReader struct{ io.Reader }

// TestCopyToStream waits for a slow peer by itself, with less than the whole in
// memory.
func TestCopyToStream(t *testing.T) {
	eachNetwork(t, func(t *testing.T, network string) {
		for style, run := range waitingStyles {
			t.Run(style, func(t *testing.T) {
				l := startLoop(t, ioloop.Config{})
				s, _, peer := netPair(t, l, network)
				text := randomText(t, 10<<20)
				got := make(chan []byte, 1)
				go func() {
					time.Sleep(20 * time.Millisecond)
					p, _ := io.ReadAll(peer)
					got <- p
				}()
				run(t, l, func(context.Context) {
					n, err := io.Copy(s, plainReader{bytes.NewReader(text)})
					require.NoError(t, err)
					require.EqualValues(t, len(text), n)
					require.LessOrEqual(t, s.Backlog(), iostream.DefaultHighWaterMark+64<<10)
					require.NoError(t, s.CloseWrite())
				})
				require.True(t, bytes.Equal(text, receive(t, got)))
			})
		}
	})
}

func TestCopyToStreamInCallback(t *testing.T) {
	l := startLoop(t, ioloop.Config{})
	s, _ := pair(t, l, "tcp", nil)
	source := strings.NewReader("text")
	onLoop(t, l, func() {
		n, err := io.Copy(s, plainReader{source})
		require.ErrorIs(t, err, ioloop.ErrOnLoop)
		require.Zero(t, n)
	})
	require.Equal(t, 4, source.Len(), "nothing was read")
}

func TestCopyToStreamErrors(t *testing.T) {
	l := startLoop(t, ioloop.Config{})
	s, peer := pair(t, l, "tcp", nil)
	sick := errors.New("sick")
	n, err := s.ReadFrom(io.MultiReader(strings.NewReader("abc"), iotest.ErrReader(sick)))
	require.Equal(t, sick, err)
	require.EqualValues(t, 3, n)
	n, err = s.ReadFrom(iotest.DataErrReader(strings.NewReader("def")))
	require.NoError(t, err)
	require.EqualValues(t, 3, n)
	_, err = s.ReadFrom(nil)
	require.ErrorIs(t, err, iostream.ErrInvalid)
	require.NoError(t, s.CloseWrite())
	_, err = s.ReadFrom(strings.NewReader("x"))
	require.Error(t, err)
	got, err := io.ReadAll(peer)
	require.NoError(t, err)
	require.Equal(t, "abcdef", string(got))
}

// TestIO copies through the adapter both ways.
func TestIO(t *testing.T) {
	eachNetwork(t, func(t *testing.T, network string) {
		for style, run := range waitingStyles {
			t.Run(style, func(t *testing.T) {
				l := startLoop(t, ioloop.Config{})
				s, _, peer := netPair(t, l, network)
				text := randomText(t, 3<<20)
				got := make(chan []byte, 1)
				go func() {
					_, _ = peer.Write(text)
					closeWrite(t, peer)
					p, _ := io.ReadAll(peer)
					got <- p
				}()
				run(t, l, func(ctx context.Context) {
					c := s.IO(ctx)
					begin := make([]byte, 10)
					n, err := io.ReadFull(c, begin)
					require.NoError(t, err)
					require.Equal(t, 10, n)
					rest := bytes.NewBuffer(begin)
					copied, err := io.Copy(rest, c)
					require.NoError(t, err)
					require.EqualValues(t, len(text)-10, copied)
					require.True(t, bytes.Equal(text, rest.Bytes()))
					n, err = c.Read(begin)
					require.Zero(t, n)
					require.Equal(t, io.EOF, err, "as it is")

					for p := text; len(p) > 0; { // small and large writes
						size := min(len(p), 1+len(p)%40000)
						n, err := c.Write(p[:size])
						require.NoError(t, err)
						require.Equal(t, size, n)
						require.LessOrEqual(t, s.Backlog(), iostream.DefaultHighWaterMark+64<<10)
						p = p[size:]
					}
					_, err = c.WriteString("end")
					require.NoError(t, err)
					require.NoError(t, c.Close())
				})
				require.True(t, bytes.Equal(append(text, "end"...), receive(t, got)))
			})
		}
	})
}

// TestProducingTaskLetsOthersRun writes to a peer that takes everything: a call that
// need not wait gives way all the same.
func TestProducingTaskLetsOthersRun(t *testing.T) {
	produce := map[string]func(task *ioloop.Task, s *iostream.Stream) error{
		"room": func(task *ioloop.Task, s *iostream.Stream) error {
			_, _ = s.Write([]byte("x"))
			return s.Room(task)
		},
		"io": func(task *ioloop.Task, s *iostream.Stream) error {
			_, err := s.IO(task).Write([]byte("x"))
			return err
		},
		"large": func(task *ioloop.Task, s *iostream.Stream) error {
			_, err := s.IO(task).Write(make([]byte, 17<<10))
			return err
		},
	}
	for name, step := range produce {
		t.Run(name, func(t *testing.T) {
			l := startLoop(t, ioloop.Config{})
			s, err := iostream.New(l, iostreamtest.NewWire(iostreamtest.Options{}).Transport(), nil)
			require.NoError(t, err)
			stop := false
			steps := make(chan int, 1)
			require.NoError(t, l.Go(func(task *ioloop.Task) {
				_ = l.Post(func() { stop = true })
				n := 0
				for !stop && n < 200_000 && step(task, s) == nil {
					n++
				}
				steps <- n
			}))
			require.Less(t, receive(t, steps), 200_000)
		})
	}
}
