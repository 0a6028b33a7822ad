//go:build unix || windows

package iostream_test

import (
	"context"
	"io"
	"testing"
	"time"

	"github.com/eddyloop/eddy/ioloop"
	"github.com/eddyloop/eddy/iostream"
	"github.com/eddyloop/eddy/iostreamtest"
	"github.com/stretchr/testify/require"
)

// What ReadAtLeast refuses takes nothing of what is there.
func TestReadAtLeastRefuses(t *testing.T) {
	done, cancel := context.WithCancel(context.Background())
	cancel()
	p := newPuppet(t, iostreamtest.Options{}, nil)
	p.wire.Arrive([]byte("peek"))
	require.NoError(t, p.ReadFunc(iostream.Peek(4), p.tell))
	require.NoError(t, p.world.Settle())
	for name, test := range map[string]struct {
		ctx   context.Context
		least int
		errs  []error
	}{
		"negative":         {context.Background(), -1, []error{iostream.ErrInvalid}},
		"more than fits":   {context.Background(), 5, []error{iostream.ErrInvalid, io.ErrShortBuffer}},
		"context is done":  {done, 4, []error{context.Canceled}},
		"both, and no ctx": {done, 5, []error{io.ErrShortBuffer}},
	} {
		n, err := p.ReadAtLeast(test.ctx, make([]byte, 4), test.least)
		require.Zero(t, n, name)
		for _, want := range test.errs {
			requireIs(t, err, want)
		}
		require.Equal(t, 4, p.Buffered(), name)
	}
}

// A read into a buffer that has to wait gives the loop something to do only if the time of a
// message is to run, of which a part is here.
func TestWaitingReadIsNoWorkOfTheLoop(t *testing.T) {
	for name, test := range map[string]struct {
		timeout time.Duration
		part    string
		works   bool
	}{
		"no timeout":           {0, "ab", false},
		"nothing of a message": {time.Minute, "", false},
		"part of a message":    {time.Minute, "ab", true},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPuppet(t, iostreamtest.Options{}, &iostream.Config{MessageTimeout: test.timeout})
			require.NoError(t, p.ReadFunc(iostream.Bytes(1), p.tell))
			p.wire.Arrive([]byte("x" + test.part))
			require.NoError(t, p.world.Settle())
			result := make(chan result, 1)
			go func() {
				b := make([]byte, 4)
				n, err := p.ReadAtLeast(patient(t), b, 4)
				result <- bytesResult(b[:n], err)
			}()
			awaitRead(t, p.Stream)
			worked, err := p.world.RunOnce()
			require.NoError(t, err)
			require.Equal(t, test.works, worked)
			p.wire.Arrive([]byte("cdef"))
			require.NoError(t, p.world.Settle())
			require.Equal(t, (test.part + "cdef")[:4], receive(t, result).data)
		})
	}
}

// What has been read to its end leaves no buffer behind.
func TestInputBufferGoesWithItsLastByte(t *testing.T) {
	p := newPuppet(t, iostreamtest.Options{}, nil)
	require.NoError(t, p.Handle(iostream.Until("\n"), func(msg []byte, err error) bool {
		p.tell(msg, err)
		return len(p.told) < 3
	}))
	release := p.Hold()
	defer release()
	p.wire.Arrive([]byte("all\n"))
	require.NoError(t, p.world.Settle())
	require.False(t, iostream.HasInputBuffer(p.Stream))
	for range 2 { // messages in two pieces, which are put together in a buffer
		p.wire.Arrive([]byte("mess"))
		require.NoError(t, p.world.Settle())
		require.True(t, iostream.HasInputBuffer(p.Stream))
		p.wire.Arrive([]byte("age\n"))
		require.NoError(t, p.world.Settle())
		require.False(t, iostream.HasInputBuffer(p.Stream))
	}

	await := func(what string, begin func() (int, error)) {
		read := make(chan result, 1)
		go func() {
			n, err := begin()
			read <- result{n: n, err: err}
		}()
		awaitRead(t, p.Stream)
		require.False(t, iostream.HasInputBuffer(p.Stream), what)
		p.wire.Arrive([]byte("line\nrest"))
		require.NoError(t, p.world.Settle())
		require.NoError(t, receive(t, read).err)
	}
	line := func() (int, error) {
		msg, err := p.Read(patient(t), iostream.Until("\n"))
		return len(msg), err
	}
	await("first", line)
	n, err := p.ReadAtLeast(patient(t), make([]byte, 100), 1)
	require.NoError(t, err)
	require.Equal(t, 4, n)
	require.False(t, iostream.HasInputBuffer(p.Stream), "ReadAtLeast has taken the rest")
	await("second", line)
	rest, err := p.Read(patient(t), iostream.Bytes(4))
	require.NoError(t, err)
	require.Equal(t, "rest", string(rest))
	p.wire.Arrive([]byte("more\n"))
	require.NoError(t, p.world.Settle())
	require.True(t, iostream.HasInputBuffer(p.Stream), "the caller has its message there")
	await("which ends with the next read", line)
}

// What a task writes at length when it has read into a buffer leaves as the peer takes it.
func TestLongAnswerToWhatWasReadIntoABuffer(t *testing.T) {
	const size = 8 << 20 // more than the kernel takes
	l := startLoop(t, ioloop.Config{})
	s, peer := pair(t, l, "tcp", nil)
	require.NoError(t, l.Go(func(task *ioloop.Task) {
		if _, err := s.ReadAtLeast(task, make([]byte, 10), 1); err == nil {
			_, _ = s.Write(make([]byte, size))
		}
	}))
	awaitRead(t, s)
	quiet(t, l)
	send(t, peer, "x")
	require.NoError(t, peer.SetReadDeadline(time.Now().Add(patience)))
	_, err := io.ReadFull(peer, make([]byte, size))
	require.NoError(t, err)
}
