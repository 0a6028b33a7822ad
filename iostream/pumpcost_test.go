//go:build unix || windows

package iostream_test

import (
	"strings"
	"testing"

	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
	"github.com/eddyloop/eddy/iostreamtest"
	"github.com/stretchr/testify/require"
)

// A callback that is due when the transport can take more finds what it takes gone: it need not
// be refused for what is as good as sent.
func TestCallbackFindsTheRoomThereIs(t *testing.T) {
	p := playWire(t, &iostream.Config{WriteLimit: 10}, iostreamtest.Options{Window: iostreamtest.NoWindow})
	write(t, p.Stream, "0123456789")
	p.settle()
	called := false
	require.NoError(t, p.ReadFunc(iostream.Until("\n"), func([]byte, error) {
		called = true
		require.Zero(t, p.Backlog())
		write(t, p.Stream, "0123456789")
	}))
	p.settle()
	p.wire.AddWindow(20)
	p.wire.Arrive([]byte("line\n"))
	p.settle()
	require.True(t, called)
	require.Equal(t, 20, p.wire.State().Sent)
}

// What a large read waits for is taken as long as more is there, without an event for each part.
func TestLargeReadTakesOneEvent(t *testing.T) {
	const most = 64 << 10 // what a read of the transport brings
	events := 0
	p := playWire(t, nil, iostreamtest.Options{ReadSize: most, Trace: func(event string) {
		if strings.HasPrefix(event, "ready") {
			events++
		}
	}})
	var read ends
	require.NoError(t, p.ReadAtLeastFunc(make([]byte, 3*most), 3*most, func(_ int, err error) { read.take(err) }))
	p.settle()
	p.wire.Arrive(make([]byte, 3*most))
	p.settle()
	require.Equal(t, ends{nil, 1}, read)
	require.Equal(t, 1, events)
}

// A stream whose reader is away now and then says once that it does not listen, and when it
// does again not each time that a read ends.
func TestReaderThatWasAwayListensOn(t *testing.T) {
	p := playWire(t, nil, iostreamtest.Options{})
	message := func(before bool) {
		if before { // it is read
			p.wire.Arrive([]byte("x\n"))
			p.settle()
		}
		var read ends
		require.NoError(t, p.ReadFunc(iostream.Until("\n"), read.read))
		p.settle()
		if !before {
			p.wire.Arrive([]byte("x\n"))
			p.settle()
		}
		require.Equal(t, ends{nil, 1}, read)
	}
	p.Stream.Hold()
	message(false)
	message(true)
	message(false)
	arms := p.wire.State().Arms
	for range 10 {
		message(false)
	}
	require.Equal(t, arms, p.wire.State().Arms)
}

// A goroutine whose buffer the loop has filled looks by itself for what else the kernel has, also
// where the loop looks at more than the message.
func TestFilledBufferTellsOfMore(t *testing.T) {
	budget, err := iostream.NewBudget(1 << 30)
	require.NoError(t, err)
	s, peer := pair(t, startLoop(t, ioloop.Config{}), "tcp", &iostream.Config{Budget: budget})
	quiet(t, s.Loop())
	for size, full := range map[int]bool{10: true, 11: false} {
		done := make(chan error, 1)
		go func() {
			_, err := s.ReadAtLeast(t.Context(), make([]byte, size), 1)
			done <- err
		}()
		awaitRead(t, s)
		quiet(t, s.Loop())
		send(t, peer, "0123456789")
		require.NoError(t, receive(t, done))
		require.Equal(t, full, iostream.KnowsOfInput(s))
	}
}

// A callback that panics may have kept its bytes, until somebody reads what is left. Then the
// memory is given up.
func TestFailedCallbackPinsNothing(t *testing.T) {
	p := playWire(t, nil, iostreamtest.Options{})
	require.NoError(t, p.ReadFunc(iostream.Until("\n"), func([]byte, error) { panic("played") }))
	p.wire.Arrive([]byte("a\nb\n"))
	p.settle()
	require.ErrorContains(t, p.Stream.Err(), "played")
	line, err := p.Read(t.Context(), iostream.Until("\n"))
	require.NoError(t, err)
	require.Equal(t, "b\n", string(line))
	_, err = p.Read(t.Context(), iostream.Until("\n"))
	require.ErrorContains(t, err, "played")
	require.False(t, iostream.HasInputBuffer(p.Stream))
}
