//go:build unix

package ioloop_test

import (
	"context"
	"errors"
	"runtime"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/poller"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// replace closes a descriptor and makes its number a duplicate of another: dup2,
// which not every system has.
func replace(t testing.TB, fd, by int) {
	t.Helper()
	require.NoError(t, unix.Close(fd))
	number, err := unix.FcntlInt(uintptr(by), unix.F_DUPFD, fd)
	require.NoError(t, err)
	unix.CloseOnExec(number)
	require.Equal(t, fd, number)
}

// pipe opens a pipe, both ends non-blocking, that is closed when the test is over.
func pipe(t testing.TB) (r, w int) {
	t.Helper()
	var p [2]int
	require.NoError(t, syscall.Pipe(p[:]))
	for _, fd := range p {
		require.NoError(t, syscall.SetNonblock(fd, true))
		t.Cleanup(func() { _ = syscall.Close(fd) })
	}
	return p[0], p[1]
}

func write(t testing.TB, fd int, s string) {
	t.Helper()
	n, err := syscall.Write(fd, []byte(s))
	require.NoError(t, err)
	require.Equal(t, len(s), n)
}

func drain(fd int) {
	var buf [64]byte
	for {
		if n, _ := syscall.Read(fd, buf[:]); n <= 0 {
			return
		}
	}
}

// polled runs l until every event that is pending has been dispatched.
func polled(t testing.TB, l *ioloop.Loop) {
	t.Helper()
	require.NoError(t, l.Post(func() { _ = l.Post(func() { _ = l.Post(l.Stop) }) }))
	run(t, l)
}

// listener is a Handler that notes everything.
type listener struct {
	ready []poller.Interest
	hints []poller.Hint
	errs  []error
	then  func()
}

func (h *listener) HandleEvent(ready poller.Interest, hints poller.Hint) {
	h.ready = append(h.ready, ready)
	h.hints = append(h.hints, hints)
	if h.then != nil {
		h.then()
	}
}

func (h *listener) Fail(err error) { h.errs = append(h.errs, err) }

func handle(t testing.TB, l *ioloop.Loop, fd int, i poller.Interest, h ioloop.Handler) ioloop.Registration {
	t.Helper()
	r, err := l.Handle(fd, i, h)
	require.NoError(t, err)
	return r
}

func TestHandleErrors(t *testing.T) {
	l := newLoop(t, ioloop.Config{})
	r, w := pipe(t)
	_, err := l.Handle(r, poller.Readable, nil)
	require.ErrorIs(t, err, ioloop.ErrInvalid)
	_, err = l.Handle(-1, poller.Readable, new(listener))
	require.ErrorIs(t, err, syscall.EBADF)
	_, err = l.Handle(r, 1<<7, new(listener))
	require.ErrorIs(t, err, poller.ErrInvalid)
	require.Zero(t, l.Stats().Handlers)

	h := new(listener)
	handle(t, l, r, poller.Readable, h)
	_, err = l.Handle(r, poller.Readable, new(listener))
	require.ErrorIs(t, err, poller.ErrExists)
	require.Equal(t, 1, l.Stats().Handlers)
	write(t, w, "x")
	polled(t, l)
	require.NotEmpty(t, h.ready, "the first one is unharmed")
}

func TestRemoveErrors(t *testing.T) {
	l := newLoop(t, ioloop.Config{})
	r, _ := pipe(t)
	none := ioloop.Registration{}
	require.ErrorIs(t, l.Remove(none), poller.ErrNotExist)
	require.ErrorIs(t, l.Update(none, poller.Readable), poller.ErrNotExist)
	old := handle(t, l, r, poller.Readable, new(listener))
	require.ErrorIs(t, l.Remove(none), poller.ErrNotExist)
	require.NoError(t, l.Remove(old))
	require.ErrorIs(t, l.Remove(old), poller.ErrNotExist)
	require.ErrorIs(t, l.Update(old, poller.Readable), poller.ErrNotExist)

	next := handle(t, l, r, poller.Readable, new(listener))
	require.NotEqual(t, old, next)
	require.ErrorIs(t, l.Remove(old), poller.ErrNotExist, "names another use of the slot")
	require.ErrorIs(t, l.Update(old, 0), poller.ErrNotExist)
	require.ErrorIs(t, l.Update(next, 1<<7), poller.ErrInvalid)
	require.NoError(t, l.Remove(next))
	require.Zero(t, l.Stats().Handlers)
}

// Two are ready at once, and the handler of the one removes the other.
func TestRemoveByHandlerInSameBatch(t *testing.T) {
	l := newLoop(t, ioloop.Config{})
	var h [2]listener
	var reg [2]ioloop.Registration
	for i := range h {
		r, w := pipe(t)
		reg[i] = handle(t, l, r, poller.Readable, &h[i])
		write(t, w, "x")
		h[i].then = func() {
			if len(h[0].ready)+len(h[1].ready) == 1 {
				require.NoError(t, l.Remove(reg[1-i]))
			}
			drain(r)
		}
	}
	polled(t, l)
	require.Equal(t, 1, len(h[0].ready)+len(h[1].ready))
}

// The same, and the number of the descriptor is taken by another file at once.
func TestNumberReusedInSameBatch(t *testing.T) {
	l := newLoop(t, ioloop.Config{})
	var h [2]listener
	var reg [2]ioloop.Registration
	var fd [2]int
	fresh := new(listener)
	quietEnd, _ := pipe(t)
	for i := range h {
		r, w := pipe(t)
		fd[i] = r
		reg[i] = handle(t, l, r, poller.Readable, &h[i])
		write(t, w, "x")
		h[i].then = func() {
			drain(r)
			if len(h[0].ready)+len(h[1].ready) > 1 {
				return
			}
			other := fd[1-i]
			require.NoError(t, l.Remove(reg[1-i]))
			replace(t, other, quietEnd)
			handle(t, l, other, poller.Readable, fresh)
		}
	}
	polled(t, l)
	require.Equal(t, 1, len(h[0].ready)+len(h[1].ready))
	require.Empty(t, fresh.ready, "nothing is ready there")
}

// An interest that is given up in the batch that found it ready is not told.
func TestUpdateByHandlerInSameBatch(t *testing.T) {
	for name, interest := range map[string]poller.Interest{
		"none": 0, "other": poller.PeerClosed,
	} {
		t.Run(name, func(t *testing.T) {
			l := newLoop(t, ioloop.Config{})
			var h [2]listener
			var reg [2]ioloop.Registration
			for i := range h {
				r, w := pipe(t)
				reg[i] = handle(t, l, r, poller.Readable, &h[i])
				write(t, w, "x")
				h[i].then = func() {
					drain(r)
					require.NoError(t, l.Update(reg[1-i], interest))
				}
			}
			polled(t, l)
			require.Equal(t, 1, len(h[0].ready)+len(h[1].ready))
		})
	}
}

func TestHandlerIsToldOnlyWhatItWants(t *testing.T) {
	l := newLoop(t, ioloop.Config{})
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	require.NoError(t, err)
	defer syscall.Close(fds[0])
	defer syscall.Close(fds[1])
	var h listener
	r := handle(t, l, fds[0], poller.Readable, &h)
	polled(t, l)
	require.Empty(t, h.ready, "it is only writable")
	require.NoError(t, l.Update(r, poller.Writable))
	h.then = func() { require.NoError(t, l.Update(r, 0)) }
	polled(t, l)
	require.Equal(t, []poller.Interest{poller.Writable}, h.ready)
	require.NoError(t, l.Remove(r))
}

func TestHandlerLevelTriggered(t *testing.T) {
	l := newLoop(t, ioloop.Config{})
	r, w := pipe(t)
	var h listener
	h.then = func() {
		if len(h.ready) == 3 {
			drain(r)
		}
	}
	handle(t, l, r, poller.Readable, &h)
	write(t, w, "x")
	for range 5 {
		polled(t, l)
	}
	require.Len(t, h.ready, 3)
}

func TestInterestNone(t *testing.T) {
	l := newLoop(t, ioloop.Config{})
	r, w := pipe(t)
	var h listener
	reg := handle(t, l, r, 0, &h)
	write(t, w, "x")
	replace(t, w, r) // hangs up
	polled(t, l)
	require.Empty(t, h.ready)
	h.then = func() { require.NoError(t, l.Update(reg, 0)) }
	require.NoError(t, l.Update(reg, poller.Readable))
	polled(t, l)
	require.Equal(t, []poller.Interest{poller.Readable}, h.ready)
	polled(t, l)
	require.Len(t, h.ready, 1)
}

func TestHandlerGetsHints(t *testing.T) {
	l := newLoop(t, ioloop.Config{})
	r, w := pipe(t)
	var h listener
	handle(t, l, r, poller.Readable, &h)
	replace(t, w, r)
	polled(t, l)
	require.NotEmpty(t, h.hints)
	require.Equal(t, poller.Hangup, h.hints[0]&poller.Hangup)
}

// Whatever ends a handler's call, it is told, and the rest of the batch is
// dispatched.
func TestHandlerFails(t *testing.T) {
	broken := errors.New("broken")
	for name, c := range map[string]struct {
		fn   func()
		want error
	}{
		"panic":  {func() { panic(broken) }, broken},
		"goexit": {runtime.Goexit, ioloop.ErrGoexit},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLoop(t, ioloop.Config{Logger: quiet})
			var h [5]listener
			for i := range h {
				r, w := pipe(t)
				write(t, w, "x")
				h[i].then = func() {
					drain(r)
					if i%2 == 0 {
						c.fn()
					}
				}
				handle(t, l, r, poller.Readable, &h[i])
			}
			steps(t, l)
			for i := range h {
				require.Len(t, h[i].ready, 1)
				if i%2 == 0 {
					require.Len(t, h[i].errs, 1)
					require.ErrorIs(t, h[i].errs[0], c.want)
				} else {
					require.Empty(t, h[i].errs)
				}
			}
			require.EqualValues(t, 3, l.Stats().Failures)
			require.EqualValues(t, 5, l.Stats().Events)
		})
	}
}

// More are ready than the first batch has room for.
func TestManyHandlersReady(t *testing.T) {
	l, _ := newClocked(t) // so that no share of a turn ends by time
	const n = 200
	var h [n]listener
	for i := range h {
		r, w := pipe(t)
		h[i].then = func() { drain(r) }
		write(t, w, "x")
		handle(t, l, r, poller.Readable, &h[i])
	}
	steps(t, l)
	for i := range h {
		require.Len(t, h[i].ready, 1)
	}
}

// Neither posts nor timers that come back at once keep events from handlers.
func TestNothingStarvesHandlers(t *testing.T) {
	for name, again := range map[string]func(l *ioloop.Loop, fn func()){
		"post":  func(l *ioloop.Loop, fn func()) { _ = l.Post(fn) },
		"timer": func(l *ioloop.Loop, fn func()) { l.AfterFunc(0, fn) },
		"goexit": func(l *ioloop.Loop, fn func()) {
			_ = l.Post(fn)
			runtime.Goexit()
		},
		"yield": func(l *ioloop.Loop, fn func()) {
			_ = l.Go(func(t *ioloop.Task) {
				_ = t.Yield()
				fn()
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLoop(t, ioloop.Config{Logger: quiet})
			r, w := pipe(t)
			h := listener{then: l.Stop}
			handle(t, l, r, poller.Readable, &h)
			n := 0
			var endless func()
			endless = func() {
				if n++; n == 100 {
					write(t, w, "x")
				}
				again(l, endless)
			}
			require.NoError(t, l.Post(endless))
			run(t, l)
			require.Len(t, h.ready, 1)
		})
	}
}

func TestCloseTellsHandlers(t *testing.T) {
	l := newLoop(t, ioloop.Config{Logger: quiet})
	var h [6]listener
	for i := range h {
		r, w := pipe(t)
		told := &failing{&h[i], nil}
		reg := handle(t, l, r, poller.Readable, told)
		switch i {
		case 1, 3:
			told.then = runtime.Goexit
		case 2:
			told.then = func() { panic("in Fail") }
		case 4:
			told.then = func() { require.NoError(t, l.Remove(reg)) }
		}
		handle(t, l, w, 0, ioloop.HandlerFunc(func(poller.Interest, poller.Hint) {}))
	}
	require.NoError(t, l.Close())
	for i := range h {
		require.Equal(t, []error{ioloop.ErrClosed}, h[i].errs, "once")
	}
}

// failing does more in its Fail.
type failing struct {
	*listener
	then func()
}

func (f *failing) Fail(err error) {
	f.listener.Fail(err)
	if f.then != nil {
		f.then()
	}
}

// A loop that always has events never sleeps; goroutines that it wakes run all the
// same, even if they share its processor.
func TestBusyLoopLetsWokenGoroutinesRun(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	l := newLoop(t, ioloop.Config{})
	r, w := pipe(t)
	write(t, w, "x")
	const rounds = 100
	left := rounds
	var waiter ioloop.Waiter
	var running atomic.Bool
	begun := make(chan struct{})
	go func() {
		for range rounds {
			_ = waiter.Begin(context.Background())
			begun <- struct{}{}
			_ = waiter.Wait()
			running.Store(true)
		}
	}()
	waking, calls, prompt := false, 0, 0
	handle(t, l, r, poller.Readable, ioloop.HandlerFunc(func(poller.Interest, poller.Hint) {
		switch calls++; {
		case !waking:
			<-begun
			running.Store(false)
			l.Kit().WakeWaiter(&waiter)
			waking, calls = true, 0
		case running.Load():
			if calls == 1 {
				prompt++
			}
			waking = false
			if left--; left == 0 {
				l.Stop()
			}
		}
	}))
	run(t, l)
	require.Greater(t, prompt, rounds/2, "the scheduler may decide otherwise at times")
}

// A registration names its handler whatever the count of handlers has come to: with
// the tag eddy_wrap32 that wraps here.
func TestRegistrationsAreNeverZero(t *testing.T) {
	l := newLoop(t, ioloop.Config{})
	r, _ := pipe(t)
	var last ioloop.Registration
	for range 6 {
		registration, err := l.Handle(r, 0, ioloop.HandlerFunc(func(poller.Interest, poller.Hint) {}))
		require.NoError(t, err)
		require.True(t, registration.Registered())
		require.ErrorIs(t, l.Update(last, 0), poller.ErrNotExist)
		require.NoError(t, l.Remove(registration))
		last = registration
	}
}
