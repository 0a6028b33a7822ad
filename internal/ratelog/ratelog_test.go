package ratelog

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const patience = 30 * time.Second

// sink is written to by the logger's goroutine.
type sink struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (s *sink) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.Write(p)
}

func (s *sink) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.String()
}

func textTo(w interface{ Write([]byte) (int, error) }) *slog.Logger {
	return New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

func TestEachKindIsBounded(t *testing.T) {
	var s sink
	l := textTo(&s)
	start := time.Now()
	for range 1000 {
		l.Warn("frequent", slog.Int("n", 1))
	}
	took := time.Since(start)
	l.With("a", 1).WithGroup("g").Error("rare", slog.Int("b", 2))
	for range 100 {
		l.Debug("details")
	}
	require.True(t, Flush(l, patience))
	text := s.String()
	if took < time.Second {
		require.Equal(t, perSecond+1, strings.Count(text, "msg=frequent"), "and the count of what was left out")
		require.Contains(t, text, "left_out=990")
	}
	require.Contains(t, text, "msg=rare a=1 g.b=2")
	require.Equal(t, 100, strings.Count(text, "msg=details"))
}

// A sink that takes nothing any more holds nobody up, and what waits is bounded.
func TestStuckSink(t *testing.T) {
	stuck := make(chan struct{})
	var s sink
	l := textTo(writerFunc(func(p []byte) (int, error) {
		<-stuck
		return s.Write(p)
	}))
	for range 10 * maxQueue {
		l.Debug("details")
	}
	require.False(t, Flush(l, time.Millisecond))
	close(stuck)
	require.True(t, Flush(l, patience))
	require.LessOrEqual(t, strings.Count(s.String(), "msg=details"), 2*maxQueue+2)
}

type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func TestNotWrappedTwice(t *testing.T) {
	l := textTo(new(sink))
	require.Same(t, l.Handler(), New(l.Handler()).Handler())
}

// What was left out is told after a while though nothing more of the kind comes.
func TestLeftOutIsTold(t *testing.T) {
	var s sink
	l := textTo(&s)
	for range perSecond + 5 {
		l.Warn("frequent")
	}
	for deadline := time.Now().Add(patience); !strings.Contains(s.String(), "left_out="); time.Sleep(time.Millisecond) {
		require.True(t, time.Now().Before(deadline), s.String())
	}
}
