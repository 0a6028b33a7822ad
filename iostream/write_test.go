//go:build unix || windows

package iostream_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/eddyloop/eddy/internal/testtime"
	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
	"github.com/eddyloop/eddy/iostreamtest"
	"github.com/stretchr/testify/require"
)

func onWire(t testing.TB, config *iostream.Config, m *iostreamtest.Wire) *iostream.Stream {
	t.Helper()
	s, err := iostream.New(startLoop(t, ioloop.Config{}), m.Transport(), config)
	require.NoError(t, err)
	quiet(t, s.Loop())
	return s
}

func write(t testing.TB, s *iostream.Stream, text string) int64 {
	t.Helper()
	n, err := s.Write([]byte(text))
	require.NoError(t, err)
	require.Equal(t, len(text), n)
	return s.Mark()
}

// waitSent starts to wait for a mark.
func waitSent(s *iostream.Stream, mark int64) <-chan error {
	c := make(chan error, 1)
	go func() { c <- s.WaitSent(context.Background(), mark) }()
	return c
}

func TestWritesCompleteByIndex(t *testing.T) {
	for _, record := range []int{0, 4} {
		t.Run(fmt.Sprintf("record=%d", record), func(t *testing.T) {
			m := iostreamtest.NewWire(iostreamtest.Options{RecordSize: record, Window: -1})
			own := min(record, 1) * 5 // bytes of a record itself
			s := onWire(t, nil, m)
			first, second, third := write(t, s, "aaaa"), write(t, s, "bbbb"), write(t, s, "cccc")
			order := make(chan string, 3)
			require.NoError(t, s.WaitSentFunc(third, func(err error) { order <- fmt.Sprint("third ", err) }))
			require.NoError(t, s.WaitSentFunc(first, func(err error) { order <- fmt.Sprint("first ", err) }))
			waited := waitSent(s, second)
			m.AddWindow(3)
			quiet(t, s.Loop())
			require.Empty(t, order)
			m.AddWindow(1 + own)
			require.Equal(t, "first <nil>", receive(t, order))
			require.Equal(t, 8, s.Backlog())
			m.AddWindow(4 + own)
			require.NoError(t, receive(t, waited))
			m.AddWindow(100)
			require.Equal(t, "third <nil>", receive(t, order))
			require.Equal(t, "aaaabbbbcccc", m.Sent())
		})
	}
}

func TestFlushIsABarrier(t *testing.T) {
	m := fullWire()
	s := onWire(t, nil, m)
	require.NoError(t, s.Flush(patient(t)), "with nothing written")
	write(t, s, "data")
	_, err := s.Write(nil)
	require.NoError(t, err)
	flushed := make(chan error, 1)
	go func() { flushed <- s.Flush(context.Background()) }()
	quiet(t, s.Loop())
	require.Empty(t, flushed)
	m.AddWindow(4)
	require.NoError(t, receive(t, flushed))
}

func TestWriteBufferFull(t *testing.T) {
	m := fullWire()
	s := onWire(t, &iostream.Config{WriteLimit: 10}, m)
	_, err := s.Write(make([]byte, 11))
	requireIs(t, err, iostream.ErrBufferFull)
	write(t, s, "0123456")
	n, err := s.Write([]byte("abcd"))
	requireIs(t, err, iostream.ErrBufferFull)
	require.Zero(t, n)
	write(t, s, "789")
	m.AddWindow(100)
	require.NoError(t, s.Flush(patient(t)))
	require.Equal(t, "0123456789", m.Sent())
}

func TestConfigIsChecked(t *testing.T) {
	l := startLoop(t, ioloop.Config{})
	for _, c := range []iostream.Config{{ReadLimit: -1}, {WriteLimit: -1}, {HighWaterMark: -1},
		{WriteLimit: 10, HighWaterMark: 11}, {ReadLimit: iostream.MaxReadLimit + 1}} {
		_, err := iostream.New(l, fullWire().Transport(), &c)
		requireIs(t, err, iostream.ErrInvalid)
	}
	_, err := iostream.New(nil, fullWire().Transport(), nil)
	requireIs(t, err, iostream.ErrInvalid)
	_, err = iostream.NewSocket(l, -1, nil)
	requireIs(t, err, syscall.EBADF)
}

func TestArgumentOfWriteIsFreeAfterwards(t *testing.T) {
	m := fullWire()
	s := onWire(t, nil, m)
	p := []byte(strings.Repeat("a", 100_000))
	_, err := s.Write(p)
	require.NoError(t, err)
	clear(p)
	m.AddWindow(1 << 20)
	require.NoError(t, s.Flush(patient(t)))
	require.Equal(t, strings.Repeat("a", 100_000), m.Sent())
}

func TestCancelledWaitDoesNotTakeBytesBack(t *testing.T) {
	m := fullWire()
	s := onWire(t, nil, m)
	ctx, cancel := context.WithCancel(context.Background())
	mark := write(t, s, "data")
	waited := make(chan error, 1)
	go func() { waited <- s.WaitSent(ctx, mark) }()
	other := waitSent(s, mark)
	cancel()
	requireIs(t, receive(t, waited), context.Canceled)
	m.AddWindow(10)
	require.NoError(t, receive(t, other))
	require.Equal(t, "data", m.Sent())
}

func TestWaitSentAfterClose(t *testing.T) {
	m := iostreamtest.NewWire(iostreamtest.Options{Window: 4})
	s := onWire(t, nil, m)
	out := write(t, s, "gone")
	require.NoError(t, s.Flush(patient(t)))
	lost := write(t, s, "lost")
	pending := waitSent(s, lost)
	called := make(chan error, 1)
	require.NoError(t, s.WaitSentFunc(lost, func(err error) { called <- err }))
	s.Abort(nil)
	requireIs(t, receive(t, pending), net.ErrClosed)
	requireIs(t, receive(t, called), net.ErrClosed)
	require.NoError(t, s.WaitSent(patient(t), out))
	requireIs(t, s.WaitSent(patient(t), lost), net.ErrClosed)
	_, err := s.Write([]byte("x"))
	requireIs(t, err, net.ErrClosed)
	_, err = s.Write(nil)
	requireIs(t, err, net.ErrClosed)
	requireIs(t, s.Room(patient(t)), net.ErrClosed)
	require.NoError(t, s.RoomFunc(func(err error) { called <- err }))
	requireIs(t, receive(t, called), net.ErrClosed)
	require.NoError(t, s.WaitSentFunc(out, func(err error) { called <- err }))
	require.NoError(t, receive(t, called))
}

func TestRoom(t *testing.T) {
	m := fullWire()
	s := onWire(t, &iostream.Config{WriteLimit: 100, HighWaterMark: 10}, m)
	write(t, s, "0123456789")
	require.NoError(t, s.Room(patient(t)), "not above the mark")
	write(t, s, "x")
	room := make(chan error, 2)
	require.NoError(t, s.Loop().Go(func(task *ioloop.Task) { room <- s.Room(task) }))
	require.NoError(t, s.RoomFunc(func(err error) { room <- err }))
	quiet(t, s.Loop())
	m.AddWindow(5)
	quiet(t, s.Loop())
	require.Empty(t, room)
	m.AddWindow(1)
	require.NoError(t, receive(t, room))
	require.NoError(t, receive(t, room))
	require.Equal(t, 5, s.Backlog())
}

func TestHandlersHoldBackAboveTheHighWaterMark(t *testing.T) {
	m := fullWire()
	s := onWire(t, &iostream.Config{WriteLimit: 100, HighWaterMark: 10}, m)
	var seen atomic.Int32
	require.NoError(t, s.Handle(iostream.Until("\n"), func(line []byte, err error) bool {
		if err == nil {
			seen.Add(1)
			_, err = s.Write(line)
		}
		return err == nil
	}))
	m.Arrive([]byte(strings.Repeat("abc\n", 20)))
	quiet(t, s.Loop())
	require.EqualValues(t, 3, seen.Load(), "12 bytes of echo are above the mark of 10")
	m.AddWindow(7)
	quiet(t, s.Loop())
	require.Greater(t, seen.Load(), int32(3))
	m.AddWindow(1000)
	require.NoError(t, s.Flush(patient(t)))
	for len(m.Sent()) < 80 {
		onLoop(t, s.Loop(), func() {})
	}
	require.Equal(t, strings.Repeat("abc\n", 20), m.Sent())
}

// TestPipelinedLinesLeaveTogether: 16 lines in one arrival are answered with
// one write, in every style.
func TestPipelinedLinesLeaveTogether(t *testing.T) {
	testtime.WholeTurns(t)
	lines := strings.Repeat("line\n", 16)
	styles := map[string]func(t *testing.T, s *iostream.Stream){
		"callback": func(t *testing.T, s *iostream.Stream) {
			require.NoError(t, s.Handle(iostream.Until("\n"), func(line []byte, err error) bool {
				_, _ = s.Write(line)
				return err == nil
			}))
		},
		"one callback after the other": func(t *testing.T, s *iostream.Stream) {
			var next func(line []byte, err error)
			next = func(line []byte, err error) {
				if err == nil {
					_, _ = s.Write(line)
					_ = s.ReadFunc(iostream.Until("\n"), next)
				}
			}
			require.NoError(t, s.ReadFunc(iostream.Until("\n"), next))
		},
		"task": func(t *testing.T, s *iostream.Stream) {
			require.NoError(t, s.Loop().Go(func(task *ioloop.Task) {
				for line, err := range s.Messages(task, iostream.Until("\n")) {
					if err != nil || s.Room(task) != nil {
						return
					}
					_, _ = s.Write(line)
				}
			}))
		},
	}
	for name, echo := range styles {
		t.Run(name, func(t *testing.T) {
			m := iostreamtest.NewWire(iostreamtest.Options{})
			// On a clock that stands still a turn is not cut short, however slow the machine.
			s, err := iostream.New(startLoop(t, ioloop.Config{Clock: new(ioloop.ManualClock)}), m.Transport(), nil)
			require.NoError(t, err)
			echo(t, s)
			quiet(t, s.Loop())
			for round := 1; round <= 3; round++ {
				m.Arrive([]byte(lines))
				for len(m.Sent()) < round*len(lines) {
					onLoop(t, s.Loop(), func() {})
				}
				require.Equal(t, round, m.State().Writes)
			}
			require.NoError(t, s.Close())
		})
	}
}

// TestOneWriteThenSilence: whatever is put off is sent although nothing else
// happens.
func TestOneWriteThenSilence(t *testing.T) {
	s, peer := pair(t, startLoop(t, ioloop.Config{}), "tcp", nil)
	for i := range 300 {
		switch i % 3 {
		case 0:
			write(t, s, "x")
		case 1:
			require.NoError(t, s.Loop().Post(func() { _, _ = s.Write([]byte("x")) }))
		case 2:
			require.NoError(t, s.Loop().Go(func(*ioloop.Task) { _, _ = s.Write([]byte("x")) }))
		}
		expect(t, peer, "x")
	}
}

func TestConcurrentWriters(t *testing.T) {
	eachNetwork(t, func(t *testing.T, network string) {
		s, peer := pair(t, startLoop(t, ioloop.Config{}), network, nil)
		const writers, writes, size = 10, 200, 1000
		var wg sync.WaitGroup
		for w := range writers {
			line := append([]byte(strings.Repeat(string(rune('a'+w)), size-1)), '\n')
			wg.Go(func() {
				for range writes {
					for s.Room(context.Background()) == nil {
						if _, err := s.Write(line); err == nil {
							break
						}
					}
					if err := s.WaitSent(context.Background(), s.Mark()); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		counts := map[byte]int{}
		buf := make([]byte, size)
		for range writers * writes {
			_, err := io.ReadFull(peer, buf)
			require.NoError(t, err)
			require.Equal(t, strings.Repeat(string(buf[0]), size-1)+"\n", string(buf), "lines are whole")
			counts[buf[0]]++
		}
		wg.Wait()
		require.Len(t, counts, writers)
		for _, n := range counts {
			require.Equal(t, writes, n)
		}
		require.Equal(t, int64(writers*writes*size), s.Mark())
		require.Zero(t, s.Backlog())
	})
}

func TestLargeWrites(t *testing.T) {
	eachNetwork(t, func(t *testing.T, network string) {
		s, peer := pair(t, startLoop(t, ioloop.Config{}), network, nil)
		data := pattern(4 << 20)
		var marks []<-chan error
		for range 3 {
			_, err := s.Write(data)
			require.NoError(t, err)
			marks = append(marks, waitSent(s, s.Mark()))
		}
		got := make([]byte, len(data))
		for range 3 {
			_, err := io.ReadFull(peer, got)
			require.NoError(t, err)
			require.Equal(t, string(data), string(got))
		}
		for _, m := range marks {
			require.NoError(t, receive(t, m))
		}
	})
}

func TestWriteErrorKeepsWhatWasReceived(t *testing.T) {
	m := fullWire()
	s := onWire(t, nil, m)
	m.Arrive([]byte("final words\n"))
	pending := waitSent(s, write(t, s, "request"))
	m.FailWrites(syscall.EPIPE)
	requireIs(t, receive(t, pending), syscall.EPIPE)
	_, err := s.Write([]byte("more"))
	requireIs(t, err, syscall.EPIPE)
	require.NoError(t, s.Err())
	line, err := s.Read(patient(t), iostream.Until("\n"))
	require.NoError(t, err)
	require.Equal(t, "final words\n", string(line))
	m.FIN()
	require.NoError(t, s.WaitClosed(patient(t)))
	require.ErrorIs(t, s.Err(), syscall.EPIPE)
}

// TestAnswersOfTheTransportItselfGoOut: the transport owes its peer a message
// after a read, though the stream has nothing to write.
func TestAnswersOfTheTransportItselfGoOut(t *testing.T) {
	m := iostreamtest.NewWire(iostreamtest.Options{RecordSize: 10, Window: -1})
	s := onWire(t, nil, m)
	pending := faces[0].read(t, s, exactly(10))
	m.Arrive([]byte("12345"))
	for m.State().Held == 0 {
		onLoop(t, s.Loop(), func() {})
	}
	m.Arrive([]byte("67890")) // cannot be read before the answer is out
	quiet(t, s.Loop())
	require.Empty(t, pending)
	m.AddWindow(5) // what a record has of its own
	require.Equal(t, "1234567890", receive(t, pending).data)
}

// What is put off to the end of the turn, and the kernel would take, is not in the way of
// more.
func TestWriteLimitAndWhatIsPutOff(t *testing.T) {
	for name, write := range map[string]func(s *iostream.Stream, text string) error{
		"Write":       func(s *iostream.Stream, text string) error { _, err := s.Write([]byte(text)); return err },
		"WriteString": func(s *iostream.Stream, text string) error { _, err := s.WriteString(text); return err },
		"WriteBuffers": func(s *iostream.Stream, text string) error {
			_, err := s.WriteBuffers([][]byte{[]byte(text)})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			world, wire := iostreamtest.NewWorld(), iostreamtest.NewWire(iostreamtest.Options{Window: 25})
			defer world.Close()
			s, err := iostream.New(world.Loop, wire.Transport(), &iostream.Config{WriteLimit: 10})
			require.NoError(t, err)
			var errs []error
			require.NoError(t, s.ReadFunc(iostream.Bytes(1), func([]byte, error) {
				for range 6 {
					errs = append(errs, write(s, "1234567"))
				}
				errs = append(errs, write(s, "12345678901"))
			}))
			wire.Arrive([]byte("x"))
			require.NoError(t, world.Settle())
			for i, err := range errs {
				require.Equal(t, i >= 5, errors.Is(err, iostream.ErrBufferFull), "write %d: %v", i, err)
			}
			require.Equal(t, "1234567123456712345671234", wire.Sent())
		})
	}
}

// Small writes of one turn are one call of the transport, also where nothing of the stream
// is under way; what a turn writes beyond 16 KiB leaves at once.
func TestWritesOfATurnLeaveTogether(t *testing.T) {
	p := playWire(t, nil, iostreamtest.Options{})
	for _, step := range []struct{ n, size, calls int }{{1, 5, 1}, {20, 5, 1}, {1, 20 << 10, 1}, {3, 20 << 10, 3}, {40, 1 << 10, 3}} {
		before := p.wire.State().Writes
		require.NoError(t, p.World.Loop.Post(func() {
			for range step.n {
				_, err := p.Stream.Write(make([]byte, step.size))
				require.NoError(t, err)
			}
		}))
		p.settle()
		require.Equal(t, step.calls, p.wire.State().Writes-before, "%+v", step)
	}
}
