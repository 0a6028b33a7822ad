package iostream

import (
	"strings"
	"testing"
	"time"

	"github.com/eddyloop/eddy/internal/testtime"
	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/poller"
	"github.com/stretchr/testify/require"
)

// Bytes are work of a turn, on a clock on which no time passes: a turn ends before it has
// moved a hundred MiB, whether they are written in a callback, put off or received.
func TestBytesAreWorkOfTheTurn(t *testing.T) {
	large := make([]byte, 512<<10)
	for name, tt := range map[string]struct {
		input  string
		pieces int
		handle func(s *Stream) error
	}{
		"sent in the callback": {"x\n", 200, func(s *Stream) error {
			return s.Handle(Until("\n"), func([]byte, error) bool {
				_, err := s.Write(large)
				return err == nil
			})
		}},
		"put off": {"x\n", 100 * 64, func(s *Stream) error {
			return s.Handle(Until("\n"), func([]byte, error) bool {
				_, err := s.Write(large[:corkLimit])
				return err == nil
			})
		}},
		"received": {strings.Repeat("x", 32<<10), 100 * 32, func(s *Stream) error {
			return s.Handle(Some(64<<10), func([]byte, error) bool { return true })
		}},
		"received into a buffer": {strings.Repeat("x", 32<<10), 100 * 32, func(s *Stream) error {
			return s.Handle(Bytes(1<<20), func([]byte, error) bool { return true })
		}},
		"received into a task's buffer": {strings.Repeat("x", 32<<10), 100 * 32, func(s *Stream) error {
			return s.Loop().Go(func(task *ioloop.Task) {
				var err error
				for p := make([]byte, 64<<10); err == nil; {
					_, err = s.ReadAtLeast(task, p, 1)
				}
			})
		}},
	} {
		budget, err := NewBudget(1 << 30) // such a stream has no express
		require.NoError(t, err)
		for _, config := range []*Config{nil, {Budget: budget}} {
			testWorkOfTheTurn(t, name, tt.input, tt.pieces, tt.handle, config)
		}
	}
}

func testWorkOfTheTurn(t *testing.T, name, input string, pieces int, handle func(s *Stream) error, config *Config) {
	t.Run(name, func(t *testing.T) {
		l, err := ioloop.New(ioloop.Config{Clock: new(ioloop.ManualClock)})
		require.NoError(t, err)
		defer l.Close()
		s, err := New(l, &source{input}, config)
		require.NoError(t, err)
		require.NoError(t, handle(s))
		var first, last uint64
		require.NoError(t, l.Post(func() {
			for i := range pieces {
				_ = l.Post(func() {
					if last = l.Stats().Turns; i == 0 {
						first = last
					}
					(*work)(s).HandleEvent(poller.Readable, 0)
					if i == pieces-1 {
						l.Stop()
					}
				})
			}
		}))
		require.NoError(t, l.Run(t.Context()))
		require.Greater(t, last, first)
	})
}

// So are those that are put off to its end: a turn does not send a hundred MiB of many streams.
func TestBytesPutOffAreWorkOfTheTurn(t *testing.T) {
	l, err := ioloop.New(ioloop.Config{Clock: new(ioloop.ManualClock)})
	require.NoError(t, err)
	defer l.Close()
	data := make([]byte, corkLimit)
	var streams []*Stream
	for range 100 * 64 {
		s, err := New(l, &source{}, nil)
		require.NoError(t, err)
		streams = append(streams, s)
	}
	left := 0
	look := func() {
		for _, s := range streams {
			if s.Backlog() > 0 {
				left++
			}
		}
		l.Stop()
	}
	require.NoError(t, l.Post(func() { // the streams are attached by then
		for _, s := range streams {
			_, _ = s.Write(data)
		}
		_ = l.Post(look)
	}))
	require.NoError(t, l.Run(t.Context()))
	require.Positive(t, left)
	require.Less(t, left, len(streams))
}

// gate is a transport that takes nothing before it is open.
type gate struct {
	source
	open bool
}

func (g *gate) Write(bufs [][]byte) (int, error) {
	if !g.open {
		return 0, ErrWouldBlock
	}
	return g.source.Write(bufs)
}

// So are those of backlogs that can go on at once, also where a message has come whose task is
// next.
func TestBacklogsAreWorkOfTheTurn(t *testing.T) {
	const backlogs, chunks = 200, 32
	for name, ready := range map[string]poller.Interest{"alone": poller.Writable, "message": poller.Writable | poller.Readable} {
		t.Run(name, func(t *testing.T) {
			l, err := ioloop.New(ioloop.Config{Clock: new(ioloop.ManualClock)})
			require.NoError(t, err)
			defer l.Close()
			sink, data := &gate{source: source{"x\n"}}, make([]byte, corkLimit)
			s, err := New(l, sink, nil)
			require.NoError(t, err)
			require.NoError(t, s.HandleTask(Until("\n"), func(*ioloop.Task, *Stream, []byte) error { return nil }))
			rest(t, l)
			var turns []uint64
			for range backlogs {
				require.NoError(t, l.Post(func() {
					sink.open = false
					for range chunks { // none is so large that writing it would count
						_, _ = s.Write(data)
					}
					require.Equal(t, chunks*len(data), s.Backlog())
					sink.open = true
					(*work)(s).HandleEvent(ready, 0)
					require.Zero(t, s.Backlog())
					if turns = append(turns, l.Stats().Turns); len(turns) == backlogs {
						l.Stop()
					}
				}))
			}
			require.NoError(t, l.Run(t.Context()))
			require.Greater(t, turns[backlogs-1], turns[0])
		})
	}
}

// slowSink is a transport whose Write takes time.
type slowSink struct {
	source
	clock *ioloop.ManualClock
	took  time.Duration
}

func (s *slowSink) Write(bufs [][]byte) (int, error) {
	s.clock.Advance(s.took)
	return s.source.Write(bufs)
}

// So are those of large writes that leave at once, whoever makes them: a task that never has
// to wait gives way, and of callbacks that write to other streams a turn has few.
func TestBytesSentAtOnceAreWorkOfTheTurn(t *testing.T) {
	const writes = 100
	large := make([]byte, 512<<10)
	for name, write := range map[string]func(l *ioloop.Loop, s *Stream, each func()){
		"task, Write": func(l *ioloop.Loop, s *Stream, each func()) {
			_ = l.Go(func(task *ioloop.Task) {
				for s.Room(task) == nil {
					_, _ = s.Write(large)
					each()
				}
			})
		},
		"task, WriteBuffers": func(l *ioloop.Loop, s *Stream, each func()) {
			_ = l.Go(func(task *ioloop.Task) {
				for s.Flush(task) == nil {
					_, _ = s.WriteBuffers([][]byte{large[:10], large})
					each()
				}
			})
		},
		"callbacks": func(l *ioloop.Loop, s *Stream, each func()) {
			for range writes {
				_ = l.Post(func() {
					_, _ = s.Write(large)
					each()
				})
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			testtime.WholeTurns(t)
			clock := new(ioloop.ManualClock)
			l, err := ioloop.New(ioloop.Config{Clock: clock})
			require.NoError(t, err)
			defer l.Close()
			s, err := New(l, &slowSink{clock: clock, took: time.Millisecond}, nil)
			require.NoError(t, err)
			n, inTurn, most, turn := 0, 0, 0, uint64(0)
			write(l, s, func() {
				if now := l.Stats().Turns; now != turn {
					inTurn, turn = 0, now
				}
				inTurn++
				most = max(most, inTurn)
				if n++; n == writes {
					l.Stop()
				}
			})
			require.NoError(t, l.Run(t.Context()))
			require.LessOrEqual(t, most, 2)
		})
	}
}
