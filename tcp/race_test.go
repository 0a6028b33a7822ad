package tcp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/eddyloop/eddy/internal/leaktest"
	"github.com/eddyloop/eddy/internal/socket"
	"github.com/eddyloop/eddy/ioloop"
	"github.com/stretchr/testify/require"
)

// fakeRace runs a race whose attempts do what the test says. An attempt at
// address i that succeeds has socket i.
type fakeRace struct {
	race
	ends    map[net.Addr]func(int, error)
	history []string
}

type fakeAddr int

func (a fakeAddr) Network() string { return "fake" }
func (a fakeAddr) String() string  { return fmt.Sprint(int(a)) }

var errFake = errors.New("refused")

// newFakeRace has attempts whose outcome is known from the start end inside
// of connect.
func newFakeRace(l *ioloop.Loop, n int, delay time.Duration, immediate map[fakeAddr]error) *fakeRace {
	f := &fakeRace{ends: map[net.Addr]func(int, error){}}
	f.race = race{loop: l, delay: delay}
	for i := range n {
		f.addrs = append(f.addrs, fakeAddr(i))
	}
	f.connect = func(addr net.Addr, ended func(int, error)) func() {
		f.note("begin", addr)
		f.ends[addr] = ended
		if err, ok := immediate[addr.(fakeAddr)]; ok {
			f.end(addr.(fakeAddr), err)
		}
		return func() { f.note("cancel", addr) }
	}
	f.failed = func(addr net.Addr, err error) { f.note("failed", addr) }
	f.done = func(fd int, addr net.Addr) {
		if addr == nil {
			f.history = append(f.history, fmt.Sprintf("lost %d", fd))
		} else {
			f.history = append(f.history, fmt.Sprintf("won %d %v", fd, addr))
		}
	}
	return f
}

func (f *fakeRace) note(what string, addr net.Addr) {
	f.history = append(f.history, what+" "+addr.String())
}

func (f *fakeRace) end(addr fakeAddr, err error) {
	end := f.ends[addr]
	delete(f.ends, addr)
	if err == nil {
		end(int(addr), nil)
	} else {
		end(-1, err)
	}
}

// The first success wins and cancels the others; a failure begins the next
// attempt at once, and time begins one beside those in progress.
func TestRace(t *testing.T) {
	const delay = 250 * time.Millisecond
	for _, test := range []struct {
		name      string
		addresses int
		delay     time.Duration
		immediate map[fakeAddr]error
		script    string // fail i, ok i, cancel, or milliseconds to pass
		history   string
	}{
		{"success", 1, delay, nil, "ok 0", "begin 0, won 0 0"},
		{"success at once", 2, delay, map[fakeAddr]error{0: nil}, "1000", "begin 0, won 0 0"},
		{"failure", 1, delay, nil, "fail 0", "begin 0, failed 0, lost -1"},
		{"no further address for the timer", 1, delay, nil, "1000, ok 0", "begin 0, won 0 0"},
		{"second try", 2, delay, nil, "fail 0, ok 1", "begin 0, failed 0, begin 1, won 1 1"},
		{"second try fails at once", 2, delay, map[fakeAddr]error{1: errFake}, "fail 0",
			"begin 0, failed 0, begin 1, failed 1, lost -1"},
		{"all fail", 3, delay, nil, "fail 0, fail 1, fail 2",
			"begin 0, failed 0, begin 1, failed 1, begin 2, failed 2, lost -1"},
		{"all fail at once", 3, delay, map[fakeAddr]error{0: errFake, 1: errFake, 2: errFake}, "1000",
			"begin 0, failed 0, begin 1, failed 1, begin 2, failed 2, lost -1"},
		{"not before its time", 2, delay, nil, "249", "begin 0"},
		{"beside the first", 2, delay, nil, "250, ok 1", "begin 0, begin 1, won 1 1, cancel 0"},
		{"the first after all", 2, delay, nil, "250, ok 0", "begin 0, begin 1, won 0 0, cancel 1"},
		{"one at a time by the timer", 4, delay, nil, "250, 250, ok 2",
			"begin 0, begin 1, begin 2, won 2 2, cancel 0, cancel 1"},
		{"a failure starts the timer anew", 3, delay, nil, "200, fail 0, 200, 50, ok 2",
			"begin 0, failed 0, begin 1, begin 2, won 2 2, cancel 1"},
		{"and not before", 3, delay, nil, "200, fail 0, 200, ok 1", "begin 0, failed 0, begin 1, won 1 1"},
		{"lost only when the last has failed", 2, delay, nil, "250, fail 1, 1000, fail 0",
			"begin 0, begin 1, failed 1, failed 0, lost -1"},
		{"failure with another in progress begins the next", 3, delay, nil, "250, fail 0, ok 1",
			"begin 0, begin 1, failed 0, begin 2, won 1 1, cancel 2"},
		{"cancelled", 3, delay, nil, "250, cancel, 1000", "begin 0, begin 1, cancel 0, cancel 1"},
		{"success ends it", 3, delay, nil, "ok 0, 1000, cancel", "begin 0, won 0 0"},
		{"one after the other by 0", 3, 0, nil, "1000, fail 0, 1000, ok 1",
			"begin 0, failed 0, begin 1, won 1 1"},
		{"one after the other", 3, -1, nil, "1000, fail 0, 1000, ok 1",
			"begin 0, failed 0, begin 1, won 1 1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			leaktest.Check(t)
			clock := new(ioloop.ManualClock)
			l, err := ioloop.New(ioloop.Config{Clock: clock, Logger: slog.New(slog.DiscardHandler)})
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, l.Close()) })
			f := newFakeRace(l, test.addresses, test.delay, test.immediate)
			turn(t, l, f.next)
			for _, step := range strings.Split(test.script, ", ") {
				var i, ms int
				switch {
				case step == "cancel":
					turn(t, l, f.cancel)
				case scan(step, "ok %d", &i):
					turn(t, l, func() { f.end(fakeAddr(i), nil) })
				case scan(step, "fail %d", &i):
					turn(t, l, func() { f.end(fakeAddr(i), errFake) })
				case scan(step, "%d", &ms):
					clock.Advance(time.Duration(ms) * time.Millisecond)
					turn(t, l, func() {})
				default:
					t.Fatal(step)
				}
			}
			// What "won" and "cancel" say of one moment comes in either order.
			require.ElementsMatch(t, strings.Split(test.history, ", "), f.history)
			var begun []string
			for _, h := range f.history {
				if strings.HasPrefix(h, "begin") {
					begun = append(begun, h)
				}
			}
			require.IsIncreasing(t, append([]string{""}, begun...))
		})
	}
}

// turn runs the loop for what is due and fn.
func turn(t *testing.T, l *ioloop.Loop, fn func()) {
	t.Helper()
	require.NoError(t, l.Post(func() {
		defer func() { _ = l.Post(func() { _ = l.Post(l.Stop) }) }() // timers come behind the queue
		fn()
	}))
	require.NoError(t, l.Run(context.Background()))
}

func scan(text, format string, into *int) bool {
	n, err := fmt.Sscanf(text, format, into)
	return n == 1 && err == nil
}

// A socket that comes together with the end of the wait for it is closed.
func TestDialedTooLate(t *testing.T) {
	leaktest.Check(t)
	for _, abandonFirst := range []bool{false, true} {
		l, err := ioloop.New(ioloop.Config{Logger: slog.New(slog.DiscardHandler)})
		require.NoError(t, err)
		t.Cleanup(func() { _ = l.Close() })
		fd, err := socket.New(&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
		require.NoError(t, err)
		w := &dialing{fd: -1, race: race{loop: l}}
		require.NoError(t, w.waiter.Begin(context.Background()))
		if abandonFirst {
			w.abandon()
			w.ended(fd, fakeAddr(0))
		} else {
			w.ended(fd, fakeAddr(0))
			w.abandon()
		}
		require.Error(t, socket.Close(fd), "it was not closed")
		require.Equal(t, -1, w.fd)
	}
}

func TestInterleave(t *testing.T) {
	for in, want := range map[string]string{
		"":                    "",
		"1.1.1.1":             "1.1.1.1",
		"::1 ::2":             "::1 ::2",
		"::1 ::2 ::3 1.1.1.1": "::1 1.1.1.1 ::2 ::3",
		"1.1.1.1 ::1 ::2":     "1.1.1.1 ::1 ::2",
		"1.1.1.1 1.1.1.2 ::1": "1.1.1.1 ::1 1.1.1.2",
	} {
		var got []string
		for _, ip := range interleave(addrs(in)) {
			got = append(got, ip.String())
		}
		require.Equal(t, want, strings.Join(got, " "))
	}
}

func addrs(text string) []netip.Addr {
	var ips []netip.Addr
	for _, field := range strings.Fields(text) {
		ips = append(ips, netip.MustParseAddr(field))
	}
	return ips
}
