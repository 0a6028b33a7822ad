//go:build unix

package iostream_test

import (
	"context"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
	"github.com/eddyloop/eddy/iostreamtest"
	"github.com/stretchr/testify/require"
)

// A message that drips in is cut off when its time is over, in every style, and one that is
// whole in time begins the next one's time anew.
func TestMessageTimeout(t *testing.T) {
	eachFace(t, func(t *testing.T, f face) {
		eachNetwork(t, func(t *testing.T, network string) {
			clock := new(ioloop.ManualClock)
			l := startLoop(t, ioloop.Config{Clock: clock})
			s, peer := pair(t, l, network, &iostream.Config{MessageTimeout: time.Minute})
			clock.Advance(time.Hour) // silence is none of its business
			for range 3 {
				read := f.read(t, s, until("\n", 0))
				awaitRead(t, s)
				send(t, peer, "drip")
				awaitPart(t, s)
				clock.Advance(59 * time.Second)
				send(t, peer, "\n")
				require.NoError(t, receive(t, read).err)
			}
			clock.Advance(time.Hour) // nobody reads
			quiet(t, l)
			quiet(t, l)
			require.NoError(t, s.Err())
			read := f.read(t, s, until("\n", 0))
			awaitRead(t, s)
			send(t, peer, "drip")
			awaitPart(t, s)
			clock.Advance(time.Minute)
			requireIs(t, receive(t, read).err, iostream.ErrMessageTimeout)
			rest, _ := io.ReadAll(peer)
			require.Empty(t, rest)
			_ = peer.Close()
			require.NoError(t, s.WaitClosed(patient(t)))
			require.ErrorIs(t, s.Err(), iostream.ErrMessageTimeout)
		})
	})
}

func awaitPart(t testing.TB, s *iostream.Stream) {
	t.Helper()
	require.Eventually(t, func() bool { return iostream.InMessage(s) }, patience, time.Millisecond)
}

// lineStyles are the ways to read one line after another, on end.
var lineStyles = map[string]func(t *testing.T, s *iostream.Stream, line func(string)){
	"Handle": func(t *testing.T, s *iostream.Stream, line func(string)) {
		require.NoError(t, s.Handle(iostream.Until("\n"), func(msg []byte, err error) bool {
			line(string(msg))
			return err == nil
		}))
	},
	"HandleTask": func(t *testing.T, s *iostream.Stream, line func(string)) {
		require.NoError(t, s.HandleTask(iostream.Until("\n"), func(_ *ioloop.Task, _ *iostream.Stream, msg []byte) error {
			line(string(msg))
			return nil
		}))
	},
	"task": func(t *testing.T, s *iostream.Stream, line func(string)) {
		require.NoError(t, s.Loop().Go(func(task *ioloop.Task) { readLines(task, s, line) }))
	},
	"goroutine": func(t *testing.T, s *iostream.Stream, line func(string)) {
		go readLines(context.Background(), s, line)
	},
}

func readLines(ctx context.Context, s *iostream.Stream, line func(string)) {
	for msg, err := range s.Messages(ctx, iostream.Until("\n")) {
		if err == nil {
			line(string(msg))
		}
	}
}

// A pipelining client whose messages arrive in halves is served for as long as it likes, until
// it leaves one a half.
func TestMessageTimeoutIsOfEachMessage(t *testing.T) {
	for style, read := range lineStyles {
		t.Run(style, func(t *testing.T) {
			clock := new(ioloop.ManualClock)
			l := startLoop(t, ioloop.Config{Clock: clock})
			s, peer := pair(t, l, "tcp", &iostream.Config{MessageTimeout: time.Minute})
			lines := make(chan string, 100)
			read(t, s, func(line string) { lines <- line })
			send(t, peer, "one ")
			awaitPart(t, s)
			for range 5 {
				clock.Advance(40 * time.Second)
				send(t, peer, "ends\nanother ")
				require.Contains(t, receive(t, lines), "ends\n")
				quiet(t, l)
				awaitPart(t, s)
			}
			require.NoError(t, s.Err())
			clock.Advance(time.Minute)
			rest, _ := io.ReadAll(peer)
			require.Empty(t, rest)
			_ = peer.Close()
			require.NoError(t, s.WaitClosed(patient(t)))
			require.ErrorIs(t, s.Err(), iostream.ErrMessageTimeout)
		})
	}
}

// A peer that takes nothing is given up; one that takes something is not.
func TestSendTimeout(t *testing.T) {
	clock := new(ioloop.ManualClock)
	l := startLoop(t, ioloop.Config{Clock: clock})
	s, peer := pair(t, l, "tcp", &iostream.Config{SendTimeout: time.Minute, WriteLimit: 64 << 20})
	_, err := s.Write(make([]byte, 40<<20))
	require.NoError(t, err)
	quiet(t, l)
	for range 4 {
		_, err := io.ReadFull(peer, make([]byte, 1<<20))
		require.NoError(t, err)
		quiet(t, l)
		clock.Advance(14 * time.Second) // the kernel may tell of what was taken later
		quiet(t, l)
	}
	require.NoError(t, s.Err())
	require.Positive(t, s.Backlog())
	require.Eventually(t, func() bool {
		clock.Advance(15 * time.Second)
		quiet(t, l)
		return s.Err() != nil
	}, patience, time.Millisecond)
	require.ErrorIs(t, s.Err(), iostream.ErrSendTimeout)
	_, err = io.Copy(io.Discard, peer)
	require.ErrorIs(t, err, syscall.ECONNRESET, "the peer must not take what it has for all")
}

// Sending that stands still is noticed too if a write before was taken back, so that for a
// while nothing waited to be sent.
func TestSendTimeoutBehindAWithdrawnWrite(t *testing.T) {
	writes := map[string]func(s *iostream.Stream) error{
		"that waits": func(s *iostream.Stream) error { _, err := s.NetConn().Write([]byte("more")); return err },
		"put off": func(s *iostream.Stream) error {
			_, _ = s.Write([]byte("more"))
			return s.Flush(context.Background())
		},
	}
	for name, write := range writes {
		t.Run(name, func(t *testing.T) {
			clock := new(ioloop.ManualClock)
			l := startLoop(t, ioloop.Config{Clock: clock})
			wire := iostreamtest.NewWire(iostreamtest.Options{Window: 4})
			s, err := iostream.New(l, wire.Transport(), &iostream.Config{SendTimeout: time.Minute})
			require.NoError(t, err)
			quiet(t, l)
			advance := func(d time.Duration) {
				for ; d > 0; d -= time.Second {
					clock.Advance(time.Second)
					onLoop(t, l, func() {})
				}
			}
			c := s.NetConn()
			written := make(chan error, 1)
			go func() { _, err := c.Write([]byte("1234567")); written <- err }()
			eventually(t, func() bool { return s.Backlog() == 3 })
			require.NoError(t, c.SetWriteDeadline(time.Now()))
			require.ErrorIs(t, receive(t, written), os.ErrDeadlineExceeded)
			require.Zero(t, s.Backlog())
			require.NoError(t, c.SetWriteDeadline(time.Time{}))
			advance(10 * time.Minute)
			require.NoError(t, s.Err(), "nothing waits to be sent")
			go func() { written <- write(s) }()
			eventually(t, func() bool { return s.Backlog() == 4 })
			advance(59 * time.Second)
			require.NoError(t, s.Err())
			advance(5 * time.Second)
			require.ErrorIs(t, receive(t, written), iostream.ErrSendTimeout)
		})
	}
}

// A reset that a write is told of is one for reads too: what had come is no whole message.
func TestResetIsForReadsToo(t *testing.T) {
	for range 20 {
		l := startLoop(t, ioloop.Config{})
		s, peer := pair(t, l, "tcp", nil)
		_, err := s.Write([]byte(strings.Repeat("x", 12<<20)))
		require.NoError(t, err)
		send(t, peer, "one\ntwo\nthr")
		quiet(t, l)
		reset(t, peer)
		data, err := s.Read(patient(t), iostream.UntilClose())
		requireIs(t, err, syscall.ECONNRESET)
		require.Contains(t, []string{"", "one\ntwo\nthr"}, string(data))
	}
}

// No idle timeout is never, and not at once.
func TestNoIdleTimeout(t *testing.T) {
	clock := new(ioloop.ManualClock)
	l := startLoop(t, ioloop.Config{Clock: clock})
	s, _ := pair(t, l, "tcp", nil)
	require.NoError(t, s.SetIdleTimeout(time.Minute))
	require.NoError(t, s.SetIdleTimeout(0))
	clock.Advance(time.Hour)
	quiet(t, l)
	quiet(t, l)
	require.NoError(t, s.Err())
}

// What a blocked stream receives meanwhile is no progress of what it has to send, and each
// time that it is blocked has its time.
func TestSendTimeoutOfEachTime(t *testing.T) {
	p := newPuppet(t, iostreamtest.Options{Window: iostreamtest.NoWindow}, &iostream.Config{SendTimeout: 8 * time.Second})
	require.NoError(t, p.Handle(iostream.Until("\n"), func([]byte, error) bool { return true }))
	for range 2 {
		write(t, p.Stream, "answer")
		for range 7 {
			p.wire.Arrive([]byte("request\n"))
			require.NoError(t, p.world.Advance(time.Second))
			require.NoError(t, p.Err())
		}
		p.wire.AddWindow(6)
		require.NoError(t, p.world.Advance(time.Minute))
		require.NoError(t, p.Err())
	}
	write(t, p.Stream, "answer")
	for range 8 {
		require.NoError(t, p.Err())
		p.wire.Arrive([]byte("request\n"))
		require.NoError(t, p.world.Advance(time.Second))
	}
	require.ErrorIs(t, p.Err(), iostream.ErrSendTimeout)
}

// A closed stream leaves no timer behind, whatever its clocks were.
func TestClosedStreamHasNoTimers(t *testing.T) {
	p := newPuppet(t, iostreamtest.Options{Window: iostreamtest.NoWindow},
		&iostream.Config{SendTimeout: time.Minute, MessageTimeout: time.Minute})
	require.NoError(t, p.SetIdleTimeout(time.Minute))
	require.NoError(t, p.SetReadDeadline(time.Now().Add(time.Hour)))
	require.NoError(t, p.SetWriteDeadline(time.Now().Add(time.Hour)))
	require.NoError(t, p.ReadFunc(iostream.Until("\n"), p.tell))
	write(t, p.Stream, "answer")
	p.wire.Arrive([]byte("a part"))
	require.NoError(t, p.world.Settle())
	require.Equal(t, 5, p.world.Loop.Stats().Timers)
	require.NoError(t, p.Close())
	require.NoError(t, p.world.Settle())
	require.Equal(t, 6, p.world.Loop.Stats().Timers)
	p.Abort(nil)
	require.NoError(t, p.world.Settle())
	require.NoError(t, p.world.Settle())
	require.Zero(t, p.world.Loop.Stats().Timers)
}
