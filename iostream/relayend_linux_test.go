package iostream

import (
	"errors"
	"io"
	"net"
	"testing"

	"github.com/eddyloop/eddy/ioloop"
	"github.com/stretchr/testify/require"
)

// socketRelay is a relay on a loop that does not run.
func socketRelay(t *testing.T) *relay {
	l, err := ioloop.New(ioloop.Config{})
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	a, _ := socketStreamOn(t, l)
	b, _ := socketStreamOn(t, l)
	_, err = b.Write(make([]byte, 8<<20)) // more than the kernel takes, before the relay
	require.NoError(t, err)
	require.Positive(t, b.Backlog())
	r, err := newRelay(a, b)
	require.NoError(t, err)
	return r
}

// A relay tells the first error, and each direction its own.
func TestRelayTellsTheFirstError(t *testing.T) {
	r := socketRelay(t)
	r.note(&r.bToA, io.ErrUnexpectedEOF)
	r.note(&r.aToB, io.ErrShortWrite)
	counts, err := r.outcome()
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	require.Equal(t, io.ErrUnexpectedEOF, counts.BToA.Err)
	require.Equal(t, io.ErrShortWrite, counts.AToB.Err)
}

// A direction of which something was lost has failed, though its end had come, and what was sent
// before does not count as sent by it.
func TestRelayTellsOfWhatWasLost(t *testing.T) {
	r := socketRelay(t)
	r.aToB.read.Add(10)
	r.note(&r.aToB, nil)
	r.note(&r.bToA, nil)
	r.aToB.to.Abort(io.ErrShortWrite)
	counts, err := r.outcome()
	require.Equal(t, RelayCount{Read: 10, Err: io.ErrShortWrite}, counts.AToB)
	require.Equal(t, RelayCount{}, counts.BToA)
	require.ErrorIs(t, err, io.ErrShortWrite)
}

// So it is with why the end of a stream could not be passed on.
func TestRelayTellsWhyAnEndWasNotPassedOn(t *testing.T) {
	for _, reason := range []error{io.ErrUnexpectedEOF, net.ErrClosed} {
		r := socketRelay(t)
		r.aToB.to.Abort(io.ErrShortWrite)
		r.aToB.pass(reason)
		counts, err := r.outcome()
		require.Equal(t, reason, counts.AToB.Err)
		require.ErrorIs(t, err, reason)
	}
}

// A stream is broken off if nobody will tell that it may go on.
func TestRelayThatCannotWaitIsOver(t *testing.T) {
	lost := errors.New("lost")
	for name, wait := range map[string]func(func(error)) error{
		"at once": func(func(error)) error { return lost },
		"later":   func(fn func(error)) error { fn(lost); return nil },
	} {
		r := socketRelay(t)
		r.aToB.resumeWhen(wait)
		require.Equal(t, lost, r.aToB.from.Err(), name)
		require.Equal(t, lost, r.aToB.count().Err, name)
	}
}

// A relay stops reading only while too much waits to be sent.
func TestRelayStopsWhereThereIsNoRoom(t *testing.T) {
	r := socketRelay(t)
	r.begin()
	r.aToB.pace()
	r.bToA.pace()
	require.True(t, r.aToB.from.op.stopped)
	require.False(t, r.bToA.from.op.stopped)
}
