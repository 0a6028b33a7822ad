package ioloop_test

import (
	"bytes"
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/eddyloop/eddy/internal/leaktest"
	"github.com/eddyloop/eddy/ioloop"
	"github.com/stretchr/testify/require"
)

// lockedBuffer is written by one goroutine and read by another.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// Who forgets Run is told; who runs the loop, or queues nothing, is not.
func TestWorkForALoopThatNobodyRuns(t *testing.T) {
	const limit = 20 * time.Millisecond
	for name, c := range map[string]struct {
		use  func(l *ioloop.Loop)
		told int
	}{
		"forgotten": {func(l *ioloop.Loop) { _ = l.Post(func() {}); _ = l.Go(func(*ioloop.Task) {}) }, 1},
		"nothing":   {func(*ioloop.Loop) {}, 0},
		"late": {func(l *ioloop.Loop) {
			_ = l.Post(l.Stop)
			_ = l.Run(context.Background())
		}, 0},
		"by hand": {func(l *ioloop.Loop) { _ = l.Post(func() {}); _, _ = l.RunOnce() }, 0},
		"forgotten after a run": {func(l *ioloop.Loop) {
			_ = l.Post(l.Stop)
			_ = l.Run(context.Background())
			_ = l.Post(func() {})
		}, 1},
		"closed": {func(l *ioloop.Loop) { _ = l.Post(func() {}); _ = l.Close() }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			leaktest.Check(t)
			for {
				log := new(lockedBuffer)
				l, err := ioloop.New(ioloop.Config{Watchdog: limit, Logger: slog.New(slog.NewTextHandler(log, nil))})
				require.NoError(t, err)
				defer l.Close()
				begin := time.Now()
				c.use(l)
				if c.told == 0 && time.Since(begin) >= limit {
					continue // so slow a machine has the work wait
				}
				told := func() int { return bytes.Count([]byte(log.String()), []byte("nobody runs")) }
				if c.told > 0 {
					require.Eventually(t, func() bool { return told() > 0 }, patience, time.Millisecond)
				}
				time.Sleep(3 * limit)
				require.Equal(t, c.told, told(), log.String())
				return
			}
		})
	}
}
