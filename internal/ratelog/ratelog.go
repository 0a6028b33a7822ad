// Package ratelog keeps logging from holding up those who log. What is logged on a
// loop can be caused by any client, in any number, and the place that it goes to
// may take its time, or stop taking anything.
package ratelog

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

const (
	perSecond = 10   // records of one kind; debug records are bounded by the queue alone
	maxQueue  = 1024 // records that wait to be written
	maxKinds  = 256
)

// New returns a logger that hands records to handler on a goroutine of its own,
// one at a time, and never blocks. Of one kind, a level and a message, it passes on
// 10 a second from Info up, and none while too many wait. What was left out is
// counted, and told by an attribute "left_out" of the next record of the kind, or
// by a record of its own.
func New(handler slog.Handler) *slog.Logger {
	if h, ok := handler.(*Handler); ok {
		return slog.New(h)
	}
	return slog.New(&Handler{writer: &writer{root: handler, kinds: make(map[kind]*count)}, next: handler})
}

// Handler is the slog.Handler of New's loggers.
type Handler struct {
	*writer
	next slog.Handler
}

// Enabled implements slog.Handler.
func (h *Handler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.next.Enabled(ctx, level)
}

// WithAttrs implements slog.Handler.
func (h *Handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &Handler{writer: h.writer, next: h.next.WithAttrs(attrs)}
}

// WithGroup implements slog.Handler.
func (h *Handler) WithGroup(name string) slog.Handler {
	return &Handler{writer: h.writer, next: h.next.WithGroup(name)}
}

// Handle implements slog.Handler.
func (h *Handler) Handle(_ context.Context, r slog.Record) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	c := h.count(kind{r.Level, r.Message})
	if !c.admits(r, time.Now()) || len(h.queue) >= maxQueue {
		c.leftOut++
		if h.timer == nil {
			h.timer = time.AfterFunc(time.Second, h.tellLeftOut)
		}
		return nil
	}
	r = r.Clone()
	if c.leftOut > 0 {
		r.AddAttrs(slog.Int("left_out", c.leftOut))
		c.leftOut = 0
	}
	h.enqueue(entry{h.next, r})
	return nil
}

// writer is what all handlers that come from one New share.
type writer struct {
	root slog.Handler

	mu    sync.Mutex
	queue []entry
	idle  chan struct{} // closed when all is written; nil: it is
	kinds map[kind]*count
	timer *time.Timer // for what was left out
}

type entry struct {
	handler slog.Handler
	record  slog.Record
}

type kind struct {
	level   slog.Level
	message string
}

// count is how many of a kind there were.
type count struct {
	since   time.Time // the present second
	passed  int       // in it
	leftOut int       // since the last that passed
}

func (c *count) admits(r slog.Record, now time.Time) bool {
	if now.Sub(c.since) >= time.Second {
		c.since, c.passed = now, 0
	}
	if r.Level >= slog.LevelInfo && c.passed >= perSecond {
		return false
	}
	c.passed++
	return true
}

func (w *writer) count(k kind) *count {
	c := w.kinds[k]
	if c == nil {
		if len(w.kinds) >= maxKinds {
			clear(w.kinds)
		}
		c = new(count)
		w.kinds[k] = c
	}
	return c
}

// enqueue has a goroutine write, which ends when there is nothing left.
func (w *writer) enqueue(e entry) {
	w.queue = append(w.queue, e)
	if w.idle == nil {
		w.idle = make(chan struct{})
		go w.write()
	}
}

func (w *writer) write() {
	ended := false
	defer func() {
		if !ended {
			go w.write() // the handler has called runtime.Goexit
		}
	}()
	for {
		e, ok := w.next()
		if !ok {
			ended = true
			return
		}
		e.write()
	}
}

// next takes the next record, if there is one.
func (w *writer) next() (e entry, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.queue) == 0 {
		close(w.idle)
		w.idle = nil
		return entry{}, false
	}
	e = w.queue[0]
	w.queue[0] = entry{}
	w.queue = w.queue[1:]
	return e, true
}

// write contains a panic: a handler's, which may be that of a test that is over, must not
// end the program.
func (e entry) write() {
	defer func() { _ = recover() }()
	_ = e.handler.Handle(context.Background(), e.record)
}

// tellLeftOut writes how many were left out of each kind that has had no record
// since.
func (w *writer) tellLeftOut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.timer = nil
	for k, c := range w.kinds {
		if c.leftOut == 0 || len(w.queue) >= maxQueue {
			continue
		}
		r := slog.NewRecord(time.Now(), k.level, k.message, 0)
		r.AddAttrs(slog.Int("left_out", c.leftOut))
		c.leftOut = 0
		w.enqueue(entry{w.root, r})
	}
}

// Flush waits until what was logged is written, but no longer than limit, and
// reports whether it is.
func Flush(l *slog.Logger, limit time.Duration) bool {
	h, ok := l.Handler().(*Handler)
	if !ok {
		return true
	}
	h.tellLeftOut()
	h.mu.Lock()
	idle := h.idle
	h.mu.Unlock()
	if idle == nil {
		return true
	}
	select {
	case <-idle:
		return true
	case <-time.After(limit):
		return false
	}
}
