package iostream

import (
	"fmt"
	"strings"
	"testing"
	"unsafe"

	"github.com/eddyloop/eddy/internal/testtime"
	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/poller"
	"github.com/stretchr/testify/require"
)

// source is a transport that always has the same input and takes everything.
type source struct{ input string }

func (source) Attach(*ioloop.Loop, ioloop.Handler, poller.Interest) error { return nil }
func (source) Arm(*ioloop.Loop, poller.Interest) error                    { return nil }
func (s source) Read(p []byte) (int, error)                               { return copy(p, s.input), nil }
func (source) Probe() error                                               { return nil }
func (source) CloseWrite() error                                          { return nil }
func (source) Close(*ioloop.Loop) error                                   { return nil }

func (source) Write(bufs [][]byte) (n int, err error) {
	for _, b := range bufs {
		n += len(b)
	}
	return n, nil
}

// pumped are the styles of an echo that BenchmarkPump measures.
var pumped = []struct {
	name  string
	start func(s *Stream) error
}{
	{"callback", func(s *Stream) error {
		return s.Handle(Until("\n"), func(line []byte, err error) bool {
			_, _ = s.Write(line)
			return err == nil
		})
	}},
	{"message", func(s *Stream) error {
		return s.HandleTask(Until("\n"), func(_ *ioloop.Task, s *Stream, line []byte) error {
			_, err := s.Write(line)
			return err
		})
	}},
	{"task", func(s *Stream) error {
		return s.loop.Go(func(t *ioloop.Task) {
			for {
				line, err := s.Read(t, Until("\n"))
				if err != nil {
					return
				}
				_, _ = s.Write(line)
			}
		})
	}},
}

// readySource makes its stream readable once in each turn.
type readySource struct {
	s    *Stream
	left int
	done chan struct{}
}

func (p *readySource) Run() {
	if p.left == 0 {
		close(p.done)
		return
	}
	p.left--
	(*work)(p.s).HandleEvent(poller.Readable, 0)
	_ = p.s.loop.Kit().Schedule(p)
}

// A callback gets its bytes where they were received, also where the pump looks at more than
// the message.
func TestCallbackGetsWhatWasReceivedUncopied(t *testing.T) {
	l, err := ioloop.New(ioloop.Config{})
	require.NoError(t, err)
	defer l.Close()
	budget, err := NewBudget(1 << 20) // such a stream has no express
	require.NoError(t, err)
	s, err := New(l, &source{"line\n"}, &Config{Budget: budget})
	require.NoError(t, err)
	uncopied := false
	require.NoError(t, s.Handle(Until("\n"), func(line []byte, _ error) bool {
		uncopied = unsafe.SliceData(line) == unsafe.SliceData(l.Kit().Scratch())
		return true
	}))
	rest(t, l)
	require.NoError(t, l.Post(func() { (*work)(s).HandleEvent(poller.Readable, 0) }))
	rest(t, l)
	require.True(t, uncopied)
}

// What a callback does to its own stream, the pump that has called it sees to: it costs no
// further callback of the loop.
func TestCallbackNeedsNoFurtherPump(t *testing.T) {
	testtime.WholeTurns(t)
	l, err := ioloop.New(ioloop.Config{Clock: new(ioloop.ManualClock)})
	require.NoError(t, err)
	defer l.Close()
	s, err := New(l, &source{"line\n"}, nil)
	require.NoError(t, err)
	told := 0
	require.NoError(t, s.Handle(Until("\n"), func(line []byte, _ error) bool {
		_, _ = s.Write(line)
		_ = s.WaitSentFunc(s.accepted, func(error) { told++ })
		return true
	}))
	rest(t, l)
	before, messages := l.Stats().Callbacks, uint64(100)
	for range messages {
		require.NoError(t, l.Post(func() { (*work)(s).HandleEvent(poller.Readable, 0) }))
		rest(t, l)
	}
	require.EqualValues(t, messages, told)
	require.Equal(t, before+messages, l.Stats().Callbacks)
}

// BenchmarkPump is what an echo costs in user space alone: everything but the
// system calls, and a turn of the loop.
func BenchmarkPump(b *testing.B) {
	for _, style := range pumped {
		for _, lines := range []int{1, 16} {
			b.Run(fmt.Sprintf("%s/%d", style.name, lines), func(b *testing.B) {
				l, err := ioloop.New(ioloop.Config{})
				require.NoError(b, err)
				defer l.Close()
				go func() { _ = l.Run(b.Context()) }()
				s, err := New(l, &source{strings.Repeat(strings.Repeat("x", 63)+"\n", lines)}, nil)
				require.NoError(b, err)
				require.NoError(b, style.start(s))
				b.ReportAllocs()
				b.ResetTimer()
				p := &readySource{s: s, left: b.N, done: make(chan struct{})}
				require.NoError(b, l.Kit().Schedule(p))
				<-p.done
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*lines), "ns/line")
			})
		}
	}
}
