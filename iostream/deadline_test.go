//go:build unix || windows

package iostream_test

import (
	"context"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
	"github.com/eddyloop/eddy/iostreamtest"
	"github.com/stretchr/testify/require"
)

var (
	past   = time.Unix(1, 0)
	always = time.Time{}
)

// inAnHour is a deadline that passes when the clock is advanced by an hour.
func inAnHour() time.Time { return time.Now().Add(time.Hour) }

func clocked(t *testing.T) (*ioloop.Loop, *ioloop.ManualClock) {
	clock := new(ioloop.ManualClock)
	return startLoop(t, ioloop.Config{Clock: clock}), clock
}

func TestReadDeadline(t *testing.T) {
	for _, op := range []operation{until("\n", 0), untilRegexp("x", 0), exactly(5), peek(5), into(5), untilClose(0)} {
		t.Run(op.name, func(t *testing.T) {
			eachFace(t, func(t *testing.T, f face) {
				l, clock := clocked(t)
				s, peer := pair(t, l, "unix", nil)
				require.NoError(t, s.SetReadDeadline(inAnHour()))
				pending := f.read(t, s, op)
				awaitRead(t, s)
				send(t, peer, "abc")
				quiet(t, l)
				clock.Advance(30 * time.Minute)
				quiet(t, l)
				require.True(t, s.Reading(), "too early")
				clock.Advance(30 * time.Minute)
				r := receive(t, pending)
				requireIs(t, r.err, os.ErrDeadlineExceeded)
				if strings.HasPrefix(op.name, "into") {
					require.Equal(t, "abc", r.data, "what it has placed")
					send(t, peer, "abc")
				} else {
					require.Empty(t, r.data, "it stays buffered")
				}
				require.False(t, s.Reading())
				requireIs(t, receive(t, f.read(t, s, exactly(4))).err, os.ErrDeadlineExceeded)
				quiet(t, l)
				require.NoError(t, s.SetReadDeadline(always))
				r = receive(t, f.read(t, s, exactly(3)))
				require.NoError(t, r.err)
				require.Equal(t, "abc", r.data, "nothing is lost")
			})
		})
	}
}

// TestReadDeadlineThatIsLiftedAtOnce has ended the read all the same, also that
// of a callback, which is told later.
func TestReadDeadlineThatIsLiftedAtOnce(t *testing.T) {
	eachFace(t, func(t *testing.T, f face) {
		s, peer := pair(t, startLoop(t, ioloop.Config{}), "unix", nil)
		pending := f.read(t, s, exactly(3))
		awaitRead(t, s)
		onLoop(t, s.Loop(), func() {
			require.NoError(t, s.SetReadDeadline(past))
			require.NoError(t, s.SetReadDeadline(always))
		})
		requireIs(t, receive(t, pending).err, os.ErrDeadlineExceeded)
		send(t, peer, "abc")
		require.Equal(t, "abc", receive(t, f.read(t, s, exactly(3))).data)
	})
}

// TestReadDeadlineInThePast aborts a read, as net/http does, and what is
// buffered can be read all the same.
func TestReadDeadlineInThePast(t *testing.T) {
	eachFace(t, func(t *testing.T, f face) {
		l := startLoop(t, ioloop.Config{})
		s, peer := pair(t, l, "tcp", nil)
		pending := f.read(t, s, until("\n", 0))
		awaitRead(t, s)
		require.NoError(t, s.SetReadDeadline(past))
		requireIs(t, receive(t, pending).err, os.ErrDeadlineExceeded)
		require.NoError(t, s.SetReadDeadline(inAnHour()), "a new deadline, a new try")
		send(t, peer, "ab\ncd")
		require.Equal(t, "ab\n", receive(t, f.read(t, s, until("\n", 0))).data)
		require.NoError(t, s.SetReadDeadline(past))
		require.Equal(t, "cd", receive(t, f.read(t, s, exactly(2))).data)
		requireIs(t, receive(t, f.read(t, s, some(0))).err, os.ErrDeadlineExceeded)
		require.Equal(t, "", receive(t, f.read(t, s, exactly(0))).data)
	})
}

func TestRepeatingReadMeetsItsDeadline(t *testing.T) {
	l, clock := clocked(t)
	s, peer := pair(t, l, "unix", nil)
	require.NoError(t, s.SetReadDeadline(inAnHour()))
	got := make(chan result, 9)
	require.NoError(t, s.Handle(iostream.Until("\n"), func(b []byte, err error) bool {
		got <- bytesResult(b, err)
		return true
	}))
	send(t, peer, "a\nb")
	require.Equal(t, "a\n", receive(t, got).data)
	clock.Advance(time.Hour)
	requireIs(t, receive(t, got).err, os.ErrDeadlineExceeded)
	require.False(t, s.Reading())
	require.Equal(t, 1, s.Buffered())
}

// TestMovedDeadline sets one for each message, as servers do, and one timer
// does for all.
func TestMovedDeadline(t *testing.T) {
	l, clock := clocked(t)
	s, peer := pair(t, l, "unix", nil)
	for range 100 {
		require.NoError(t, s.SetReadDeadline(inAnHour()))
		send(t, peer, "x")
		_, err := s.Read(context.Background(), iostream.Bytes(1))
		require.NoError(t, err)
		clock.Advance(40 * time.Minute)
		quiet(t, l)
	}
	require.NoError(t, s.SetReadDeadline(time.Now().Add(time.Minute)), "earlier than the timer is set to")
	clock.Advance(2 * time.Minute)
	_, err := s.Read(context.Background(), iostream.Bytes(1))
	requireIs(t, err, os.ErrDeadlineExceeded)

	require.NoError(t, s.SetReadDeadline(inAnHour()))
	require.NoError(t, s.SetReadDeadline(always), "taken back")
	pending := faces[0].read(t, s, exactly(1))
	awaitRead(t, s)
	clock.Advance(10 * time.Hour)
	quiet(t, l)
	require.True(t, s.Reading())
	send(t, peer, "x")
	require.NoError(t, receive(t, pending).err)
}

func TestWriteDeadline(t *testing.T) {
	l, clock := clocked(t)
	m := iostreamtest.NewWire(iostreamtest.Options{Window: 3})
	s, err := iostream.New(l, m.Transport(), &iostream.Config{HighWaterMark: 1})
	require.NoError(t, err)
	_, err = s.Write([]byte("abcdef"))
	require.NoError(t, err)
	mark := s.Mark()
	require.NoError(t, s.SetWriteDeadline(inAnHour()))
	waits := make(chan error, 3)
	go func() { waits <- s.Flush(context.Background()) }()
	go func() { waits <- s.Room(context.Background()) }()
	require.NoError(t, s.WaitSentFunc(mark, func(err error) { waits <- err }))
	quiet(t, l)
	for s.Backlog() != 3 { // the first three have left
		quiet(t, l)
	}
	require.Empty(t, waits)
	clock.Advance(time.Hour)
	for range 3 {
		requireIs(t, receive(t, waits), os.ErrDeadlineExceeded)
	}
	requireIs(t, s.Flush(context.Background()), os.ErrDeadlineExceeded)
	require.NoError(t, s.WaitSent(context.Background(), 3), "they are out")
	_, err = s.Write([]byte("x"))
	requireIs(t, err, os.ErrDeadlineExceeded)

	m.AddWindow(100)
	quiet(t, l)
	require.Equal(t, "abcdef", m.Sent(), "what was taken is sent")
	require.NoError(t, s.Flush(context.Background()))
	require.NoError(t, s.SetWriteDeadline(always))
	_, err = s.Write([]byte("g"))
	require.NoError(t, err)
	require.NoError(t, s.Flush(context.Background()))
	require.NoError(t, s.SetWriteDeadline(past))
	require.NoError(t, s.CloseWrite(), "an end of stream is not a write")
	s.Abort(nil)
	requireIs(t, s.SetReadDeadline(past), net.ErrClosed)
}

// TestDeadlineOfAClosedStream leaves no timer behind.
func TestDeadlineOfAClosedStream(t *testing.T) {
	l, _ := clocked(t)
	s, peer := pair(t, l, "unix", nil)
	require.NoError(t, s.SetReadDeadline(inAnHour()))
	require.NoError(t, s.SetWriteDeadline(inAnHour()))
	require.NoError(t, s.SetIdleTimeout(2*time.Hour))
	require.Equal(t, 3, l.Stats().Timers)
	require.NoError(t, peer.Close())
	require.NoError(t, s.Close())
	require.NoError(t, s.WaitClosed(patient(t)))
	quiet(t, l)
	require.Zero(t, l.Stats().Timers)
}

// TestWriteDeadlineThatIsLiftedAtOnce has failed all who waited all the same,
// and nobody who begins after it.
func TestWriteDeadlineThatIsLiftedAtOnce(t *testing.T) {
	l := startLoop(t, ioloop.Config{})
	m := iostreamtest.NewWire(iostreamtest.Options{Window: 3})
	s, err := iostream.New(l, m.Transport(), nil)
	require.NoError(t, err)
	_, err = s.Write([]byte("abcdef"))
	require.NoError(t, err)
	for s.Backlog() != 3 {
		quiet(t, l)
	}
	early, late, after := make(chan error, 1), make(chan error, 2), make(chan error, 1)
	tell := func(to chan error) func(error) { return func(err error) { to <- err } }
	onLoop(t, l, func() {
		require.NoError(t, s.WaitSentFunc(3, tell(early)))
		require.NoError(t, s.WaitSentFunc(5, tell(late)))
		require.NoError(t, s.WaitSentFunc(6, tell(late)))
		require.NoError(t, s.SetWriteDeadline(past))
		require.NoError(t, s.SetWriteDeadline(always))
		require.NoError(t, s.WaitSentFunc(4, tell(after)))
	})
	require.NoError(t, receive(t, early), "these bytes were out")
	requireIs(t, receive(t, late), os.ErrDeadlineExceeded)
	requireIs(t, receive(t, late), os.ErrDeadlineExceeded)
	require.Empty(t, after)
	m.AddWindow(100)
	require.NoError(t, receive(t, after))
	require.NoError(t, s.Close())
}
